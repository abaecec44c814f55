"""Who may talk to devproxy's own pages: only this machine's user, directly or from these pages.

Lives here: three rules as pure functions, and the middleware that applies them to every request.
Not here: the guard of the services (`proxy/cross_site.py`), which lets registered services call each other; here none
may.

1. The authority is ours (RFC 9110 §7.4: else 421); a name that an attacker points at 127.0.0.1 (DNS rebinding) is not.
2. GET and HEAD only: nothing here changes anything.
3. No other page uses us (Fetch Metadata, RFC 6454 origins): following a link here is fine, reading us is not, nor is
   asking in advance. The signs are read by the services' guard; without any of a browser, no page asks.
"""

from collections.abc import Callable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from devproxy.control.responses import refusal
from devproxy.proxy.cross_site import Look, is_browser, is_speculative, navigates
from devproxy.routing.authority import parse_authority
from devproxy.urls import url

METHODS = ("GET", "HEAD")


def guard(hosts: Callable[[], frozenset[str]]) -> Middleware:
    """A middleware; `hosts` says which names are ours now."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_ours(request.raw_path, request.headers.getall("Host", []), hosts()):
            return refusal(request, 421, "misdirected", "this address is not one of devproxy's own")
        if request.method not in METHODS:
            answer = refusal(request, 405, "method", "devproxy's own pages are read-only", "use GET or HEAD")
            answer.headers["Allow"] = ", ".join(METHODS)
            return answer
        origin = foreign_page(request.method, request.headers, request.headers["Host"])
        if origin is not None:
            detail = f"a page of {origin} may not use devproxy's own pages"
            return refusal(request, 403, "cross-site", detail, "open the address yourself, or follow a link to it")
        return await handler(request)

    return check


def is_ours(raw_path: str, host_fields: list[str], hosts: frozenset[str]) -> bool:
    """Whether there is one Host, it is ours, and so is the authority of an absolute-form target if there is one."""
    authorities = [field.encode("latin-1", "replace") for field in host_fields]
    if len(authorities) != 1:
        return False
    if not raw_path.startswith("/"):
        scheme, separator, rest = raw_path.partition("://")
        if not separator or scheme.lower() not in {"http", "https"}:
            return False
        authorities.append(rest.partition("/")[0].partition("?")[0].encode("latin-1", "replace"))
    try:
        return all(parse_authority(authority).host in hosts for authority in authorities)
    except ValueError:
        return False


def foreign_page(method: str, fields: Mapping[str, str], host: str) -> str | None:
    """The origin of the other page that makes this request, or None where there is none or it only links to us."""
    site = fields.get("Sec-Fetch-Site")
    look = _look(fields)
    if site == "same-origin" or (site == "none" and not is_speculative(look)):
        return None
    if is_speculative(look):
        return "a page that asks in advance"
    own = {url(scheme, host.lower()) for scheme in ("http", "https")}
    origin = fields.get("Origin")
    if origin is not None:
        return None if origin.lower() in own else origin
    if site is not None:
        return None if _is_followed_link(method, fields) else "another site"
    referer = fields.get("Referer")
    if referer is None:
        return "another site" if is_browser(look) and not navigates(method.encode(), look) else None
    scheme, _, rest = referer.partition("://")
    page = url(scheme, rest.partition("/")[0].partition("?")[0].partition("#")[0])
    return None if page.lower() in own else page


def _look(fields: Mapping[str, str]) -> Look:
    def look(name: bytes) -> bytes | None:
        value = fields.get(name.decode().title())
        return None if value is None else value.encode("utf-8", "surrogateescape")

    return look


def _is_followed_link(method: str, fields: Mapping[str, str]) -> bool:
    """A navigation of a whole tab: the page that links cannot read what it leads to."""
    top_level = fields.get("Sec-Fetch-Mode") == "navigate" and fields.get("Sec-Fetch-Dest") == "document"
    return top_level and method in METHODS
