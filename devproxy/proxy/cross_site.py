"""The cross-site guard: what is known of where a request comes from, and so whether it may pass, and wake a service.

Lives here: the rule as one pure function, `judge`, over a field section, and the signs that it reads.
Not here: the answer that a refusal gets (`decide.py`, `error_pages.py`), what stands before a service that does not run
(`gates.py`), devproxy's own pages (`control/guard.py`).

A dev server on loopback trusts whoever reaches it; every page in the browser can. What a browser says about where a
request comes from (Fetch Metadata `Sec-Fetch-*`, RFC 6454 `Origin`, `Referer`, `Sec-Purpose`) cannot be forged by a
page, so those fields decide. A page is *own* (this very authority), *project* (a name of the same project, or of the
same registry without one; devproxy's own pages), *loopback*, *registered* (of another project), *listed*
(`cross_site`), or *foreign*. The first line that fits counts:

| `Sec-Fetch-Site` | what else | passes | wakes |
|---|---|---|---|
| any, and `cross_site = "allow"` | | yes | unless speculative |
| `same-origin` | | yes | unless speculative |
| any other or none | speculative | own by Referer (and `none` or no site); listed | never |
| `none` | | yes | a navigation of a tab |
| any other or none | `Origin`, not `null` | all but foreign | yes |
| `same-site` | below `.localhost` | yes | yes |
| any other | navigation of a tab, no `Origin` | yes | with `Sec-Fetch-User: ?1` |
| any other | by Referer | own, project, loopback, listed | never |
| (absent) | a Referer | own, project, loopback, listed; registered if it navigates | own |
| (absent) | no Referer, `Origin` or browser | yes: no page sends this | yes |
| (absent) | no Referer, navigates | yes | once our page asks again |
| (absent) | no Referer, anything else of a browser | no | |

- `Origin` names the page, and a redirect by somebody else makes it `null`; Referer stays through every redirect. So a
  Referer alone proves less: it wakes nothing, and counts between names of one project. `null` counts as no `Origin`,
  but a method that is not safe needs more than a Referer then: a redirect (307) repeats it.
- `same-site` means the same registrable domain. Below `.localhost` that is `x.localhost`, which is this machine alone
  (RFC 6761 §6.3); below another ending it may be anybody's, and counts as any other site.
- Browsers send Sec-Fetch to potentially trustworthy URLs only: https, and names below `.localhost`. Elsewhere, and in
  Safari before 16.4, only navigations (of frames, too) send `Upgrade-Insecure-Requests: 1`, and no page can take
  `User-Agent` and `Accept-Language` away or make the former up. A frame and a tab look the same then; so nothing is
  woken by the request itself, but by the page that answers it, which no frame shows (`frame-ancestors`).
- Loopback is any spelling that is, mapped addresses too: a page at `[::ffff:7f00:1]` came from 127.0.0.1.
"""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias

from devproxy.addresses import is_loopback
from devproxy.http1.fields import Section
from devproxy.registry.hostnames import tells_where_from
from devproxy.registry.model import Service
from devproxy.routing.authority import parse_authority
from devproxy.routing.table import RouteTable

EVIDENCE: Final = frozenset((b"origin", b"sec-fetch-site"))  # with Referer, what says which page a request comes from
SPECULATION: Final = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")  # the newest first
_SPECULATION: Final = frozenset(SPECULATION)
_IN_ADVANCE: Final = (b"prefetch", b"prerender", b"preview")
_SAFE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS"))
_NAVIGATION: Final = frozenset((b"GET", b"HEAD"))
_BROWSERS: Final = (b"Mozilla/", b"AppleCoreMedia/")  # the second loads audio and video for Safari

Look: TypeAlias = Callable[[bytes], bytes | None]  # a field's value by its name in lower case

# What a request may do with a service that does not run: nothing; start it once the page that answers has asked again
# from a tab; start it.
Waking: TypeAlias = Literal["never", "by-page", "now"]
Why: TypeAlias = Literal["foreign", "referer-only", "hidden", "in-advance"]
Page: TypeAlias = Literal["own", "project", "loopback", "listed", "registered", "foreign", "unknown"]


class Refused(NamedTuple):
    """Whom the guard does not let pass: an origin as a person would read it (`null` too), or "an unknown page"."""

    page: str
    why: Why


class Verdict(NamedTuple):
    """What a request may do. `lasts`: so may each with the same special fields, whatever its method and Referer."""

    waking: Waking
    refused: Refused | None = None
    lasts: bool = False


_WAKES: Final = Verdict("now")
_EACH_WAKES: Final = Verdict("now", lasts=True)
_BY_PAGE: Final = Verdict("by-page")
_PASSES: Final = Verdict("never")
_UNKNOWN: Final = "an unknown page"


def site_of(fields: Section) -> bytes | None:
    """`Sec-Fetch-Site`; empty, which is no site, where it stands several times; None without it."""
    if b"sec-fetch-site" not in fields.found:
        return None
    sites = fields.all(b"sec-fetch-site")
    return sites[0] if len(sites) == 1 else b""


def is_speculative(look: Look) -> bool:
    """Whether a browser asks in advance: prefetch, prerender, preview. No person has asked for it."""
    for name in SPECULATION:
        value = look(name)
        if value is not None and (name == b"sec-purpose" or any(word in value.lower() for word in _IN_ADVANCE)):
            return True
    return False


def is_ahead(fields: Section) -> bool:
    """`is_speculative` for a section of a request."""
    return not _SPECULATION.isdisjoint(fields.found) and is_speculative(fields.get)


def names_browser(agent: bytes | None) -> bool:
    """Whether `User-Agent` is a browser's; some programs borrow one."""
    return agent is not None and agent.startswith(_BROWSERS)


def is_browser(look: Look) -> bool:
    """Whether it is a browser that asks, Sec-Fetch apart."""
    return names_browser(look(b"user-agent")) and look(b"accept-language") is not None


def navigates(method: bytes, look: Look) -> bool:
    """Whether a tab or a frame goes somewhere, Sec-Fetch apart: a page that fetches can set `Accept`, not the other."""
    accept = look(b"accept") or b""
    return method in _NAVIGATION and look(b"upgrade-insecure-requests") == b"1" and b"text/html" in accept.lower()


def judge(method: bytes, fields: Section, service: Service, authority: bytes, table: RouteTable) -> Verdict:
    """What a request to `service`, which it calls `authority`, may do."""
    site = site_of(fields)
    ahead = is_ahead(fields)
    if service.cross_site == "allow" or site == b"same-origin":
        return _PASSES if ahead else _EACH_WAKES
    origin, referer = fields.get(b"origin"), fields.referer
    named = origin is not None and origin.lower() != b"null"  # the browser names the page
    source = origin if origin is not None and (named or not referer) else _origin_of(referer or b"")
    page = _page(source, service, authority, table)
    if ahead:
        passes = page == "listed" or (page == "own" and site in (None, b"none"))
        return _PASSES if passes else _refuse(source, "in-advance")
    if site == b"none":
        return _WAKES if _is_tab(fields) else _PASSES
    if named:
        if page in ("foreign", "unknown"):
            return _refuse(source, "foreign" if source else "hidden")
        return _EACH_WAKES
    if site == b"same-site" and tells_where_from(parse_authority(authority).host):
        return _EACH_WAKES
    if site is not None:
        if origin is None and method in _NAVIGATION and _is_tab(fields):
            return _WAKES if fields.get(b"sec-fetch-user") == b"?1" else _PASSES
    elif origin is None and referer is None:
        return _of_nobody(method, fields)
    return _by_referer(method, fields, site, source, page)


def _of_nobody(method: bytes, fields: Section) -> Verdict:
    """Of a request that names no page and no site."""
    if not is_browser(fields.any):
        return _WAKES
    return _BY_PAGE if navigates(method, fields.any) else _refuse(b"", "hidden")


def _by_referer(method: bytes, fields: Section, site: bytes | None, source: bytes, page: Page) -> Verdict:
    """Of a request that has no more than a Referer, or not even that."""
    if page == "listed":
        return _PASSES
    if b"origin" in fields.found and method not in _SAFE and not (page == "own" and site is None):
        return _refuse(fields.get(b"origin") or b"", "hidden")
    if page == "own" and site is None:
        return _WAKES
    if page in ("own", "project", "loopback"):
        return _PASSES
    if page == "registered":
        return _PASSES if site is None and navigates(method, fields.any) else _refuse(source, "referer-only")
    return _refuse(source, "foreign" if page == "foreign" else "hidden")


def _is_tab(fields: Section) -> bool:
    """A navigation of a whole tab, as Fetch Metadata says."""
    return fields.get(b"sec-fetch-mode") == b"navigate" and fields.get(b"sec-fetch-dest") == b"document"


def _refuse(source: bytes, why: Why) -> Verdict:
    return Verdict("never", Refused(source.decode("latin-1") or _UNKNOWN, why))


def _origin_of(url: bytes) -> bytes:
    """`scheme://authority` of a URL, empty where it has none."""
    scheme, separator, rest = url.partition(b"://")
    if not separator:
        return b""
    authority = rest.partition(b"/")[0].partition(b"?")[0].partition(b"#")[0]
    return scheme + separator + authority


def _page(origin: bytes, service: Service, authority: bytes, table: RouteTable) -> Page:
    """What a page of this origin is to the service."""
    text = origin.decode("latin-1").lower()
    if isinstance(service.cross_site, tuple) and text in service.cross_site:
        return "listed"
    if text in ("", "null"):
        return "unknown"
    scheme, separator, rest = origin.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return "foreign"
    try:
        host, _, kind = parse_authority(rest)
    except ValueError:
        return "foreign"
    if kind != "name":
        return "loopback" if is_loopback(host) else "foreign"
    if rest.lower() == authority.lower():
        return "own"
    routes = table.lookup(host)
    if host in table.control or (routes is not None and routes.serves(service.project)):
        return "project"
    if host == "localhost":
        return "loopback"
    return "registered" if routes is not None else "foreign"
