"""The cross-site guard, rule by rule, in the order in which the rules apply; then as one table.

Lives here: `judge` over field sections. Not here: what a real browser sends (`tests/e2e/test_cross_site.py`), answers
(`test_decide.py`).
"""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.proxy.cross_site import SPECULATION, Verdict, judge
from devproxy.registry.model import CrossSite
from tests.proxy.values import fields, service, table

KNOWN = frozenset(("web.localhost", "api.shop.localhost", "devproxy.localhost"))
NAMES = table(service("web"), service("api.shop"))
EVIL = "http://evil.example"
CROSS = b"Sec-Fetch-Site: cross-site"
FORM = b"Origin: null"


def refused(*each: bytes, method: bytes = b"GET", allowed: CrossSite = "refuse") -> str | None:
    verdict = judge(method, fields(*each), service("web", cross_site=allowed), b"web.localhost", NAMES)
    return verdict.refused.page if verdict.refused else None


@pytest.mark.parametrize("site", [b"same-origin", b"none"])
@pytest.mark.parametrize("rest", [(), (FORM,), (b"Origin: http://evil.example",), (b"Referer: http://evil.example/",)])
def test_first_what_the_browser_itself_calls_its_own_site_passes(site: bytes, rest: tuple[bytes, ...]) -> None:
    for method in (b"GET", b"POST"):
        assert refused(b"Sec-Fetch-Site: " + site, *rest, method=method) is None


@pytest.mark.parametrize("rest", [(), (FORM,), (b"Referer: http://evil.example/",)])
def test_a_page_of_the_same_site_passes_unless_its_origin_says_otherwise(rest: tuple[bytes, ...]) -> None:
    for method in (b"GET", b"POST"):
        assert refused(b"Sec-Fetch-Site: same-site", *rest, method=method) is None
        assert refused(b"Sec-Fetch-Site: same-site", b"Origin: http://evil.example", method=method) == EVIL


@pytest.mark.parametrize("site", [b"cross-site", b"", b"Same-Origin", b"same-origin, same-origin", b"same-origin;a"])
def test_a_site_that_is_not_to_the_letter_one_of_these_does_not(site: bytes) -> None:
    assert refused(b"Sec-Fetch-Site: " + site, b"Origin: http://evil.example", method=b"POST") == EVIL


def test_nor_does_one_that_stands_twice() -> None:
    assert refused(b"Sec-Fetch-Site: none", b"Sec-Fetch-Site: none", b"Origin: http://evil.example") == EVIL
    assert refused(CROSS, b"Sec-Fetch-Site: none", b"Origin: http://evil.example") == EVIL


@pytest.mark.parametrize(
    "origin",
    [
        *("http://web.localhost", "https://web.localhost", "HTTP://WEB.LOCALHOST", "http://web.localhost:7080"),
        *("http://web.localhost.", "http://api.shop.localhost", "http://devproxy.localhost"),
        *("http://localhost", "http://localhost:5173", "https://LOCALHOST:1", "http://localhost."),
        *("http://127.0.0.1", "http://127.0.0.1:8000", "http://127.8.9.10", "http://[::1]", "http://[::1]:3000"),
        *("http://[0:0:0:0:0:0:0:1]", "http://[::ffff:127.0.0.1]", "http://[::ffff:7f00:2]"),
    ],
)
@pytest.mark.parametrize("site", [(), (CROSS,)])
def test_then_an_origin_of_a_registered_name_or_of_loopback_passes(origin: str, site: tuple[bytes, ...]) -> None:
    assert refused(*site, b"Origin: " + origin.encode(), method=b"POST") is None


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "NULL", "http://evil.example", "https://evil.example:443", "http://localhost.evil.example"),
        *("http://web.localhost.evil.example", "http://evilweb.localhost", "http://other.localhost"),
        *(
            "http://127.0.0.1.evil.example",
            "http://127.1",
            "http://2130706433",
            "http://0x7f000001",
            "http://0127.0.0.1",
        ),
        *("http://128.0.0.1", "http://10.0.0.1", "http://[::]", "http://[::2]"),
        *("http://web.localhost@evil.example", "http://evil.example@web.localhost", "http://a:b@web.localhost"),
        *("http://web.localhost/", "http://web.localhost?", "http://web.localhost#", "http://web.localhost:port"),
        *("http://web.localhost:99999", "http://", "http:web.localhost", "web.localhost", "//web.localhost"),
        *("ftp://web.localhost", "file://", "file://localhost", "chrome-extension://web.localhost", "about:blank"),
        *("http://web.localhost http://evil.example", "http://evil.example http://web.localhost"),
        *(
            "http://xn--wb-bja.localhost",
            "http://w\xe9b.localhost",
            "http://web.localhost\xad",
            "http://%77eb.localhost",
        ),
        *("http://[::1", "http://[::1%25lo]", "http://[::1]evil", "http://web.localhost\\@evil.example"),
        *("view-source:http://web.localhost", "http://.web.localhost", "http://web..localhost"),
    ],
)
@pytest.mark.parametrize("site", [(), (CROSS,)])
def test_and_any_other_origin_does_not(origin: str, site: tuple[bytes, ...]) -> None:
    assert refused(*site, b"Origin: " + origin.encode("latin-1"), method=b"POST") == origin


def test_an_empty_origin_is_an_unknown_page() -> None:
    assert refused(b"Origin:") == "an unknown page"


def test_an_origin_decides_even_where_it_is_a_navigation() -> None:
    navigation = (CROSS, b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document")
    assert refused(*navigation, b"Origin: http://evil.example") == EVIL
    assert refused(*navigation, FORM, method=b"POST") == "null"


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_without_an_origin_a_followed_link_passes(method: bytes) -> None:
    link = (CROSS, b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document", b"Referer: http://evil.example/page")
    assert refused(*link, method=method) is None


@pytest.mark.parametrize(
    ("mode", "dest", "method"),
    [
        *((b"navigate", b"iframe", b"GET"), (b"navigate", b"embed", b"GET"), (b"navigate", b"document", b"POST")),
        *((b"no-cors", b"script", b"GET"), (b"no-cors", b"image", b"GET"), (b"no-cors", b"document", b"GET")),
        *((b"cors", b"empty", b"GET"), (b"navigate", b"", b"GET"), (b"", b"document", b"GET")),
        *((b"Navigate", b"document", b"GET"), (b"navigate", b"document", b"get"), (b"websocket", b"empty", b"GET")),
    ],
)
def test_anything_else_across_sites_depends_on_the_page_it_came_from(mode: bytes, dest: bytes, method: bytes) -> None:
    each = (CROSS, b"Sec-Fetch-Mode: " + mode, b"Sec-Fetch-Dest: " + dest)
    assert refused(*each, b"Referer: http://evil.example/a?b#c", method=method) == EVIL
    assert refused(*each, b"Referer: http://web.localhost:7080/a?b#c", method=method) is None
    assert refused(*each, method=method) == "an unknown page"
    assert refused(*each, b"Referer: about:blank", method=method) == "an unknown page"


def test_without_a_word_from_the_browser_only_a_foreign_referer_is_refused() -> None:
    assert refused(b"Host: x", b"Cookie: a") is None
    assert refused(b"Referer: http://web.localhost/") is None
    assert refused(b"Referer: http://localhost:3000") is None
    assert refused(b"Referer: http://evil.example?http://web.localhost/") == EVIL
    assert refused(b"Referer: http://evil.example#@web.localhost/") == EVIL
    assert refused(b"Referer: http://web.localhost@evil.example/") == "http://web.localhost@evil.example"
    assert refused(b"Referer: /a") == "an unknown page"
    assert refused(b"Referer:") == "an unknown page"


@pytest.mark.parametrize("method", [b"GET", b"POST", b"DELETE"])
def test_what_is_allowed_passes(method: bytes) -> None:
    evil = (CROSS, b"Origin: http://Evil.example")
    assert refused(*evil, method=method, allowed="allow") is None
    assert refused(*evil, method=method, allowed=("https://other.example", EVIL)) is None
    assert refused(*evil, method=method, allowed=("https://evil.example",)) == "http://Evil.example"
    assert refused(*evil, method=method, allowed=("http://evil.example:80",)) == "http://Evil.example"
    assert refused(*evil, method=method, allowed=()) == "http://Evil.example"
    assert refused(CROSS, FORM, method=method, allowed=("null",)) is None
    assert refused(CROSS, b"Referer: http://evil.example/p", method=method, allowed=(EVIL,)) is None


@pytest.mark.parametrize("origin", [b"refuse", b"ref", b"e", b"allow", b""])
def test_a_policy_is_not_mistaken_for_a_list(origin: bytes) -> None:
    assert refused(b"Origin: " + origin) is not None


ORIGINS = st.text("htp:/[]@.\\ localhostweb127#?%:1", max_size=30)


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(origin=ORIGINS.map(lambda text: "http://" + text))
def test_an_origin_passes_only_if_it_is_one_to_the_letter(origin: str) -> None:
    if refused(b"Origin: " + origin.encode(), method=b"POST") is not None:
        return
    authority = origin.strip(" \t").removeprefix("http://")
    host = authority.rpartition(":")[0] or authority if not authority.endswith("]") else authority
    host = host.removesuffix(".")
    assert host in KNOWN or host in {"localhost", "[::1]"} or host.startswith("127.")
    assert not set(authority) & set("@/\\?# ")


# What a request to `web.shop`, at its name below `.localhost` or `.test`, may do: be refused, pass, have the page that
# answers it start the service, or start it.

SHOP = table(
    *(service(name, hosts=(f"{name}.localhost", f"{name}.test")) for name in ("web.shop", "api.shop", "app")),
    tlds=("localhost", "test"),
)
OWN, SIBLING, OTHER = "http://web.shop.{}:7080", "http://api.shop.{}:7080", "http://app.{}:7080"
PAGES = {
    "own": OWN,
    "project": SIBLING,
    "pages": "http://devproxy.{}:7080",
    "other": OTHER,
    "loopback": "http://localhost:3000",
    "mapped": "http://[::ffff:7f00:1]:3000",
    "listed": "https://listed.example",
    "foreign": EVIL,
}
BROWSER = (b"User-Agent: Mozilla/5.0 (X11)", b"Accept-Language: en")
TOOL = (b"User-Agent: curl/8.5.0", b"Accept: */*")
GOES = (b"Accept: text/html,*/*;q=0.8", b"Upgrade-Insecure-Requests: 1")
TAB = (b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document", *GOES)
PERSON = (*TAB, b"Sec-Fetch-User: ?1")
FRAME = (b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: iframe", *GOES)
IMAGE = (b"Sec-Fetch-Mode: no-cors", b"Sec-Fetch-Dest: image", b"Accept: image/*")
FETCH = (b"Sec-Fetch-Mode: cors", b"Sec-Fetch-Dest: empty", b"Accept: */*")
AHEAD = (b"Sec-Purpose: prefetch;prerender",)


def verdict(
    *each: bytes, tld: str = "localhost", method: bytes = b"GET", allowed: CrossSite = ("https://listed.example",)
) -> Verdict:
    authority = f"web.shop.{tld}:7080".encode()
    return judge(method, fields(*each), service("web.shop", cross_site=allowed), authority, SHOP)


def word(found: Verdict) -> str:
    return "refused" if found.refused else found.waking


def line(name: str, page: str, tld: str) -> tuple[bytes, ...]:
    """`Origin` or `Referer` of one of PAGES; "" is none, and "null" itself."""
    if page in ("", "null"):
        return (f"{name}: null".encode(),) if page else ()
    origin = PAGES[page].format(tld)
    return (f"{name}: {origin}{'/page' if name == 'Referer' else ''}".encode(),)


def site(value: bytes) -> tuple[bytes, ...]:
    return (b"Sec-Fetch-Site: " + value,) if value else ()


LISTS = {"": "refused", "own": "never", "project": "never", "pages": "never", "loopback": "never", "mapped": "never"}
BY_REFERER = LISTS | {"listed": "never", "other": "refused", "foreign": "refused"}
BY_ORIGIN = dict.fromkeys(PAGES, "now") | {"foreign": "refused"}


@pytest.mark.parametrize("tld", ["localhost", "test"])
@pytest.mark.parametrize("page", PAGES)
def test_an_origin_is_who_asks(tld: str, page: str) -> None:
    sites, kinds = (b"cross-site", b"same-site", b"", b"nonsense"), (TAB, FRAME, IMAGE, FETCH, BROWSER, TOOL)
    for where, kind, method, referer in product(sites, kinds, (b"GET", b"POST"), ("", "own", "foreign")):
        each = (*site(where), *line("Origin", page, tld), *line("Referer", referer, tld), *kind)
        assert word(verdict(*each, tld=tld, method=method)) == BY_ORIGIN[page]


@pytest.mark.parametrize("tld", ["localhost", "test"])
@pytest.mark.parametrize("kind", [IMAGE, FRAME, FETCH])
@pytest.mark.parametrize(("page", "says"), BY_REFERER.items())
def test_across_sites_a_referer_alone_counts_within_a_project_and_starts_nothing(
    tld: str, kind: tuple[bytes, ...], page: str, says: str
) -> None:
    """It stays through the redirect of anybody."""
    for where in (b"cross-site", b"nonsense", *([b"same-site"] if tld == "test" else [])):
        for origin in ("", "null"):
            each = (*site(where), *line("Origin", origin, tld), *line("Referer", page, tld), *kind)
            assert word(verdict(*each, tld=tld)) == says
        each = (*site(where), b"Origin: null", *line("Referer", page, tld), *kind)
        assert word(verdict(*each, tld=tld, method=b"POST")) == ("never" if page == "listed" else "refused")


@pytest.mark.parametrize("page", ["", *PAGES])
def test_below_localhost_the_same_site_is_this_machine(page: str) -> None:
    for origin, method in product(("", "null"), (b"GET", b"POST")):
        each = (b"Sec-Fetch-Site: same-site", *line("Origin", origin, ""), *line("Referer", page, "localhost"), *IMAGE)
        assert word(verdict(*each, method=method)) == "now"


@pytest.mark.parametrize("page", ["", *PAGES])
def test_a_tab_that_follows_a_link_passes_and_starts_only_where_a_person_clicked(page: str) -> None:
    link = (b"Sec-Fetch-Site: cross-site", *line("Referer", page, "localhost"))
    assert word(verdict(*link, *PERSON)) == "now"
    assert word(verdict(*link, *TAB)) == "never"
    assert word(verdict(*link, *TAB, b"Sec-Fetch-User: ?0")) == "never"
    assert word(verdict(*link, *FRAME, b"Sec-Fetch-User: ?1")) == BY_REFERER[page]
    if page in ("", "foreign", "other"):
        assert word(verdict(*link, *PERSON, method=b"POST")) == "refused"


def test_an_address_that_somebody_typed_starts_a_service_and_what_else_has_no_site_does_not() -> None:
    typed = (b"Sec-Fetch-Site: none",)
    assert word(verdict(*typed, *PERSON)) == "now"
    assert word(verdict(*typed, *TAB)) == "now"  # the system opened the browser with it
    for kind in (FETCH, IMAGE, FRAME, ()):
        assert word(verdict(*typed, *kind)) == "never"


# Where browsers send no Sec-Fetch


@pytest.mark.parametrize("tld", ["localhost", "test"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"DELETE"])
@pytest.mark.parametrize(
    "each",
    [
        *(
            (),
            TOOL,
            (b"User-Agent: Mozilla/5.0 (Windows NT) PowerShell/7.4",),
            (b"User-Agent: node", b"Accept-Language: *"),
        ),
        *((b"Sec-Fetch-Mode: cors", b"User-Agent: node", b"Accept-Language: *"), (b"Accept-Language: de", *TOOL)),
        (b"Connection: Upgrade", b"Upgrade: websocket"),
    ],
)
def test_what_is_no_browser_starts_a_service(tld: str, method: bytes, each: tuple[bytes, ...]) -> None:
    assert word(verdict(*each, tld=tld, method=method)) == "now"


@pytest.mark.parametrize("tld", ["localhost", "test"])
def test_of_a_browser_only_what_goes_somewhere_passes_and_its_page_starts_the_service(tld: str) -> None:
    assert word(verdict(*BROWSER, *GOES, tld=tld)) == "by-page"
    assert word(verdict(*BROWSER, *GOES, tld=tld, method=b"HEAD")) == "by-page"
    assert word(verdict(*BROWSER, *GOES, tld=tld, method=b"POST")) == "refused"
    for kind in ((), (b"Accept: image/avif,*/*",), (b"Accept: text/html",), (GOES[1], b"Accept: */*")):
        found = verdict(*BROWSER, *kind, tld=tld)
        assert found.refused is not None
        assert found.refused == ("an unknown page", "hidden")
    for empty in (b"Accept-Language:", b"Accept-Language: "):  # a page can set it, and take nothing away
        assert word(verdict(BROWSER[0], empty, b"Accept: text/html", tld=tld)) == "refused"
    media = (b"User-Agent: AppleCoreMedia/1.0.0.20G165", b"Accept-Language: en")
    assert word(verdict(*media, b"Range: bytes=0-1", tld=tld)) == "refused"


@pytest.mark.parametrize("tld", ["localhost", "test"])
@pytest.mark.parametrize("kind", [(), (b"Accept: image/*",), GOES])
@pytest.mark.parametrize("page", PAGES)
def test_without_a_site_the_referer_counts_and_the_own_page_starts_its_service(
    tld: str, kind: tuple[bytes, ...], page: str
) -> None:
    says = BY_REFERER[page]
    if page == "own":
        says = "now"
    elif page == "other" and kind == GOES:
        says = "never"  # a link, or a frame
    for browser in (BROWSER, TOOL[:1]):
        assert word(verdict(*browser, *kind, *line("Referer", page, tld), tld=tld)) == says


@pytest.mark.parametrize("tld", ["localhost", "test"])
def test_a_null_origin_without_a_site_is_judged_by_its_referer(tld: str) -> None:
    for method in (b"GET", b"POST"):
        assert word(verdict(FORM, *line("Referer", "own", tld), *BROWSER, tld=tld, method=method)) == "now"
        found = verdict(FORM, *BROWSER, tld=tld, method=method)
        assert found.refused == ("null", "hidden")
        found = verdict(FORM, *line("Referer", "foreign", tld), tld=tld)
        assert found.refused == (EVIL, "foreign")
    assert word(verdict(FORM, *line("Referer", "project", tld), *BROWSER, tld=tld)) == "never"
    assert word(verdict(FORM, *line("Referer", "project", tld), *BROWSER, tld=tld, method=b"POST")) == "refused"


# In advance


@pytest.mark.parametrize("tld", ["localhost", "test"])
@pytest.mark.parametrize("where", [b"", b"none", b"cross-site", b"same-site", b"same-origin"])
@pytest.mark.parametrize("page", ["", *PAGES])
def test_what_nobody_asked_for_yet_passes_from_the_own_page_and_starts_nothing(
    tld: str, where: bytes, page: str
) -> None:
    for kind in (PERSON, IMAGE, BROWSER, TOOL):
        found = verdict(*site(where), *line("Referer", page, tld), *kind, *AHEAD, tld=tld)
        own = where == b"same-origin" or page == "listed" or (page == "own" and where in (b"", b"none"))
        assert word(found) == ("never" if own else "refused")
        if found.refused is not None:
            assert found.refused.why == "in-advance"
        allowed = verdict(*site(where), *line("Referer", page, tld), *kind, *AHEAD, tld=tld, allowed="allow")
        assert word(allowed) == "never"


@pytest.mark.parametrize(
    "field",
    [
        *(b"Sec-Purpose: prefetch", b"Sec-Purpose: prefetch;prerender", b"Sec-Purpose: prefetch;anonymous-client-ip"),
        *(b"sec-purpose: anything", b"Sec-Purpose:", b"Purpose: prefetch", b"purpose: Prerender", b"X-Moz: prefetch"),
        *(b"X-Purpose: preview", b"X-Purpose: instant, preview"),
    ],
)
def test_every_sign_of_asking_in_advance_is_one(field: bytes) -> None:
    found = verdict(b"Sec-Fetch-Site: none", *PERSON, field)
    assert found.refused is not None
    assert found.refused.why == "in-advance"


def test_a_field_of_that_name_that_says_something_else_is_none() -> None:
    assert word(verdict(*TOOL, b"Purpose: testing")) == "now"
    assert word(verdict(*TOOL, b"X-Moz: reload")) == "now"


KINDS = st.sampled_from([TAB, PERSON, FRAME, IMAGE, FETCH, BROWSER, TOOL, (*BROWSER, *GOES)])
POLICIES: st.SearchStrategy[CrossSite] = st.sampled_from(["refuse", "allow", ("https://listed.example",)])


@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(
    where=st.sampled_from([b"", b"none", b"same-origin", b"same-site", b"cross-site", b"nonsense"]),
    origin=st.sampled_from(["", "null", *PAGES]),
    referer=st.sampled_from(["", *PAGES]),
    kind=KINDS,
    sign=st.sampled_from([b"", *SPECULATION]),
    method=st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS"]),
    tld=st.sampled_from(["localhost", "test"]),
    allowed=POLICIES,
)
def test_no_foreign_page_starts_a_service_and_asking_in_advance_opens_nothing(
    where: bytes,
    origin: str,
    referer: str,
    kind: tuple[bytes, ...],
    sign: bytes,
    method: bytes,
    tld: str,
    allowed: CrossSite,
) -> None:
    said = (*site(where), *line("Origin", origin, tld), *line("Referer", referer, tld), *kind)
    ahead = (sign + b": prefetch",) if sign else ()
    found = verdict(*said, *ahead, tld=tld, method=method, allowed=allowed)
    if ahead:
        assert found.waking == "never"
        plain = verdict(*said, tld=tld, method=method, allowed=allowed)
        assert found.refused is not None or plain.refused is None
    if found.refused is not None:
        assert found.waking == "never"
        assert allowed != "allow"
    if origin == "foreign" and where not in (b"none", b"same-origin") and allowed != "allow":
        assert found.refused is not None
    if where == b"cross-site" and origin in ("", "null") and kind is not PERSON and allowed != "allow":
        assert found.waking == "never"
