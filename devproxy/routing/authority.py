"""The one parser of an authority: the value of Host, of `:authority`, and of an absolute request target.

Lives here: RFC 9110 §7.2 and RFC 3986 §3.2 as one regular expression, and hostnames as devproxy compares them.
Not here: which hostnames are routed (`table.py`).

Userinfo is refused: no client sends it in Host, and `a@b` reads differently to different programs.
"""

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

_AUTHORITY: Final = re.compile(
    rb"(?:(?P<v4>[0-9]{1,3}(?:\.[0-9]{1,3}){3})"
    rb"|\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]"
    rb"|(?P<name>(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2}){1,255}))"
    rb"(?::(?P<port>[0-9]{0,5}))?"
)


class Authority(NamedTuple):
    """`host` is lower case, without brackets, port or trailing dot; `port` is None where none is written."""

    host: str
    port: int | None
    kind: Literal["name", "ipv4", "ipv6"]


@lru_cache(512)
def parse_authority(raw: bytes) -> Authority:
    """Parse `host[:port]`. Raises ValueError, with a sentence for a person, where it is none (RFC 3986 §3.2)."""
    found = _AUTHORITY.fullmatch(raw)
    if found is None:
        raise ValueError("it is not a host name or address with an optional port" if raw else "it is empty")
    digits = found["port"]
    port = int(digits) if digits else None
    if port is not None and port > 65535:
        raise ValueError(f"{port} is above the highest port, 65535")
    if found["v4"] is not None:
        if any(int(octet) > 255 for octet in found["v4"].split(b".")):
            raise ValueError("a part of its IPv4 address is above 255")
        return Authority(found["v4"].decode(), port, "ipv4")
    if found["v6"] is not None:
        return Authority(_ipv6(found["v6"].decode()), port, "ipv6")
    host = found["name"].decode().lower()
    return Authority(host.removesuffix(".") or host, port, "name")


def _ipv6(text: str) -> str:
    from ipaddress import AddressValueError, IPv6Address

    try:
        return str(IPv6Address(text))
    except AddressValueError:
        raise ValueError(f"`{text}` is not an IPv6 address") from None


def under(host: str, tlds: tuple[str, ...]) -> bool:
    """Whether `host` is one of `tlds` or ends in one of them on a label boundary."""
    return any(host == tld or host.endswith("." + tld) for tld in tlds)
