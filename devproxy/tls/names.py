"""Which names an authority may sign for: the name constraints of RFC 5280 §4.2.1.10, as far as ours have them. Pure."""

from collections.abc import Iterable


def is_below(hostname: str, tlds: Iterable[str]) -> bool:
    """Whether an authority for `tlds` may sign for `hostname`."""
    return any(hostname == tld or hostname.endswith(f".{tld}") for tld in tlds)
