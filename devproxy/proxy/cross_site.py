"""The cross-site guard: may a page from elsewhere use this service?

Lives here: the cross-site rules as one pure function over a field section (Fetch Metadata, RFC 6454 origins).
Not here: the answer that a refusal gets (`error_pages.py`), devproxy's own pages (`control/guard.py`).

A dev server on loopback trusts whoever reaches it; every page in the browser can. What a browser says about where a
request comes from (`Sec-Fetch-*`, `Origin`, `Referer`) cannot be forged by a page, so those fields decide.
"""

from collections.abc import Callable

from devproxy.addresses import is_loopback
from devproxy.http1.fields import Section
from devproxy.registry.model import CrossSite
from devproxy.routing.authority import parse_authority

_OWN_SITE = frozenset((b"same-origin", b"same-site", b"none"))
_NAVIGATION = frozenset((b"GET", b"HEAD"))


EVIDENCE = frozenset((b"origin", b"sec-fetch-site"))  # with Referer, what says where a request comes from


def is_own_site(fields: Section) -> bool:
    """Whether the browser says that the request comes from the service's own site, or from no page at all."""
    return fields.get(b"sec-fetch-site") in _OWN_SITE and len(fields.all(b"sec-fetch-site")) == 1


def foreign_origin(method: bytes, fields: Section, allowed: CrossSite, known: Callable[[str], bool]) -> str | None:
    """The origin to refuse, as a person would read it, or None where the request may pass.

    `known` says whether a hostname is registered.
    """
    if allowed == "allow" or is_own_site(fields):
        return None
    origin = fields.get(b"origin")
    if origin is not None:
        return _unless_allowed(origin, allowed, known)
    referer = fields.referer
    if b"sec-fetch-site" not in fields.found:
        return None if referer is None else _unless_allowed(_origin_of(referer), allowed, known)
    if _is_navigation(method, fields):
        return None
    return _unless_allowed(_origin_of(referer or b""), allowed, known)


def _is_navigation(method: bytes, fields: Section) -> bool:
    mode, dest = fields.get(b"sec-fetch-mode"), fields.get(b"sec-fetch-dest")
    return method in _NAVIGATION and mode == b"navigate" and dest == b"document"


def _origin_of(url: bytes) -> bytes:
    """`scheme://authority` of a URL, empty where it has none."""
    scheme, separator, rest = url.partition(b"://")
    if not separator:
        return b""
    authority = rest.partition(b"/")[0].partition(b"?")[0].partition(b"#")[0]
    return scheme + separator + authority


def _unless_allowed(origin: bytes, allowed: CrossSite, known: Callable[[str], bool]) -> str | None:
    text = origin.decode("latin-1")
    if not text:
        return "an unknown page"
    if text.lower() in allowed and allowed != "refuse":
        return None
    scheme, separator, rest = origin.partition(b"://")
    if separator and scheme.lower() in (b"http", b"https"):
        try:
            host, _, kind = parse_authority(rest)
        except ValueError:
            return text
        if host == "localhost" or (known(host) if kind == "name" else is_loopback(host)):
            return None
    return text
