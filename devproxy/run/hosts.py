"""The variables that make frameworks accept our hostnames.

Lives here: what is set whatever the command is, since a framework may run somewhere below it.
Not here: host checks that are flags (`rows.py`). Pure.

Vite takes one name more, or with a dot in front everything below one. Rails takes a list. Both let in `.localhost` by
themselves (Rails `.test` as well), as do webpack-dev-server, Next.js and Django with DEBUG.
"""

from collections.abc import Sequence

VITE = "__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS"
RAILS = "RAILS_DEVELOPMENT_HOSTS"


def variables(hostnames: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The environment for these hostnames (`*.` is a wildcard), none for none."""
    if not hostnames:
        return ()
    dotted = [name.removeprefix("*") for name in hostnames]
    found = [(VITE, _one(dotted))]
    foreign = [name for name in dotted if not name.endswith((".localhost", ".test"))]
    if foreign:
        found.append((RAILS, ",".join(foreign)))
    return tuple(found)


def is_foreign(hostname: str) -> bool:
    """Whether dev servers do not let it in by themselves."""
    return not hostname.endswith(".localhost")


def _one(dotted: Sequence[str]) -> str:
    """One entry that covers all the names, if they have more than a top-level domain in common; else the first."""
    if len(set(dotted)) == 1:
        return dotted[0]
    labels = [name.lstrip(".").split(".")[::-1] for name in dotted]
    common = []
    for parts in zip(*labels, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "." + ".".join(reversed(common)) if len(common) > 1 else dotted[0]
