"""Names: of services, projects and hosts.

Lives here: what a name may look like, and what is ours.
Not here: a project and the label of its checkout (`model.py`), who holds which name (`claims.py`), the Host field of a
request (`routing/authority.py`).

RFC 1123 §2.1 and RFC 1035 §2.3.4: labels of letters, digits and hyphens, 63 characters each, 253 in all. Service and
project names are lower-case because they are keys that files share; hostnames may be written in either case.
RFC 6761 §6.3 reserves `.localhost`, RFC 6762 §3 gives `.local` to multicast DNS.
"""

import re

from devproxy.problems import Wrong
from devproxy.text import shown
from devproxy.urls import CONTROL_LABEL

RESERVED = CONTROL_LABEL
LONGEST = 253
LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

_LABEL = re.compile(LABEL)
_NAME = rf"{LABEL}(?:\.{LABEL})*"
_ADDRESS = r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)"  # the URL Standard's "ends in a number"

_HSTS_TLDS = frozenset({"app", "bank", "dev", "foo", "new", "page", "zip"})  # browsers insist on https below these


def name(text: str) -> str:
    """The name of a service or a project: one lower-case label, not `devproxy`."""
    if not _LABEL.fullmatch(text):
        near = slug(text)
        raise Wrong(
            f'"{shown(text)}" is not a name',
            why="a name is part of a hostname: lower-case letters, digits and hyphens, at most 63, no hyphen at an end",
            fix=f"call it `{near}`" if near else "write it as in `web`",
            code="bad-name",
        )
    if text == RESERVED:
        raise Wrong(
            f"`{RESERVED}` is reserved",
            why=f"{RESERVED}.localhost is where devproxy's own pages are",
            fix="choose another name",
            code="reserved-name",
        )
    return text


def slug(text: str) -> str:
    """The name that is nearest to `text`; empty where nothing of it can be kept."""
    return re.sub("[^a-z0-9]+", "-", text[:200].lower()).strip("-")[:63].strip("-")


def service_name(text: str) -> str:
    """A service as others refer to it: `api` in the same project, `api.shop` anywhere."""
    if not re.fullmatch(rf"{LABEL}(?:\.{LABEL})?", text):
        raise Wrong(
            f'"{shown(text)}" is not the name of a service',
            why="a service is `api` in the same project and `api.shop` from elsewhere",
            fix=f"write `{slug(text)}`" if slug(text) else "write it as in `api`",
            code="bad-name",
        )
    return text


def host(text: str) -> str:
    """A hostname in lower case, without a wildcard."""
    if text.startswith("*."):
        why = "a wildcard stands in `hosts` only"
        raise Wrong(f'"{shown(text)}" is not a hostname', why=why, fix=_bare_fix(text[2:].lower()), code="bad-host")
    return _host(text, text)


def _host(text: str, whole: str) -> str:
    lower = text.lower()
    if not re.fullmatch(_NAME, lower) or len(lower) > LONGEST:
        raise Wrong(f'"{shown(whole)}" is not a hostname', **_advice(whole.lower()), code="bad-host")
    if re.fullmatch(_ADDRESS, lower):
        raise Wrong(
            f'"{shown(whole)}" is an address, not a hostname',
            why="browsers read a name whose last part is a number as an IPv4 address",
            fix="use a name, as in shop.localhost",
            code="bad-host",
        )
    return lower


def host_pattern(text: str) -> str:
    """A hostname in lower case; its first label may be `*`, which stands for one label or more."""
    if not text.startswith("*."):
        return _host(text, text)
    return "*." + _host(text[2:], text)


def _advice(lower: str) -> dict[str, str]:
    """Why and fix for a text that is no hostname."""
    why = "a hostname is labels of letters, digits and hyphens with dots between, without scheme, port or path"
    if "*" in lower:
        why = "`*` is only allowed as the whole first label"
    elif len(lower) > LONGEST:
        why = f"a hostname has at most {LONGEST} characters"
    return {"why": why, "fix": _bare_fix(lower)}


def _bare_fix(lower: str) -> str:
    """What to write: the hostname that is in a text, if one is."""
    bare = re.sub("^[a-z][a-z0-9+.-]*://", "", lower)
    bare = re.split(r"[/?#]", bare)[0].rpartition("@")[2]
    bare = re.sub(r"(?::[0-9]*)?\.?$", "", bare).replace("_", "-")
    fits = len(bare) <= LONGEST and re.fullmatch(_NAME, bare) is not None
    return f'write "{bare}"' if fits else 'write it as in "shop.localhost"'


def tld(text: str) -> str:
    """The last part of hostnames, in lower case; it may have dots."""
    lower = text.lower().strip(".")
    is_name = re.fullmatch(_NAME, lower) and not re.fullmatch(_ADDRESS, lower)
    if lower != text.lower() or not is_name or len(lower) > LONGEST - 66:
        raise Wrong(
            f'"{shown(text)}" cannot be the last part of hostnames',
            why="it is labels of letters, digits and hyphens, with dots between, and no number at the end",
            fix='write it as in "localhost" or "test"',
            code="bad-host",
        )
    return lower


def doubt_about_tld(lower: str) -> tuple[str, str] | None:
    """Why and fix where a legal `tld` is one to be avoided, else None."""
    last = lower.rpartition(".")[2]
    if last == "local":
        return ".local belongs to multicast DNS (RFC 6762): looking it up is slow or fails", 'use "localhost" or "test"'
    if last in _HSTS_TLDS:
        return f"browsers insist on https below .{last}, a public domain", 'use "localhost" or "test"'
    return None


def tells_where_from(lower: str) -> bool:
    """Whether browsers tell this name, or names below it, where a request comes from over http, too (Sec-Fetch)."""
    return lower == "localhost" or lower.endswith(".localhost")


def under(lower: str, tlds: tuple[str, ...]) -> str | None:
    """The one of `tlds` that `lower` (a hostname or a pattern) is below, the longest first; None if there is none."""
    below = [tld for tld in tlds if lower.endswith("." + tld)]
    return max(below, key=len) if below else None


def is_reserved(lower: str, tlds: tuple[str, ...]) -> bool:
    """Whether a hostname or a pattern is ours: `devproxy.<tld>`, and everything below it."""
    bare = lower.removeprefix("*.")
    return any(bare == f"{RESERVED}.{tld}" or bare.endswith(f".{RESERVED}.{tld}") for tld in tlds)


def misplaced(lower: str, tlds: tuple[str, ...]) -> Wrong | None:
    """Why nobody may have the hostname or pattern `lower`, with hostnames below `tlds`."""
    tld = under(lower, tlds)
    if tld is None:
        return _foreign_tld(lower, tlds)
    if lower == f"*.{tld}":
        return _too_wide(lower)
    if is_reserved(lower, tlds):
        why = f"{RESERVED}.{tld} is where devproxy's own pages are"
        return Wrong(f'"{lower}" is reserved', why=why, fix="choose another name", code="reserved-name")
    return None


def _foreign_tld(host: str, tlds: tuple[str, ...]) -> Wrong:
    first, dot, last = host.rpartition(".")
    return Wrong(
        f'"{host}" does not end in {" or ".join("." + tld for tld in tlds)}',
        why="devproxy answers below these names only",
        fix=f'write "{(first or last).removesuffix(".")}.{tlds[0]}"'
        + (f', or add "{last}" to `tlds` in [proxy] of registry.toml' if dot and last not in tlds else ""),
        code="foreign-tld",
    )


def _too_wide(host: str) -> Wrong:
    return Wrong(
        f'"{host}" would take every name',
        why="a wildcard stands below a name of the service or its project",
        fix=f'write it as in "*.shop{host[1:]}"',
        code="bad-host",
    )
