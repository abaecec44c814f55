"""The cross-site guard, rule by rule, in the order in which the rules apply."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.proxy.cross_site import foreign_origin
from devproxy.registry.model import CrossSite
from tests.proxy.values import fields

KNOWN = frozenset(("web.localhost", "api.shop.localhost", "devproxy.localhost"))
EVIL = "http://evil.example"
CROSS = b"Sec-Fetch-Site: cross-site"
FORM = b"Origin: null"


def refused(*each: bytes, method: bytes = b"GET", allowed: CrossSite = "refuse") -> str | None:
    return foreign_origin(method, fields(*each), allowed, KNOWN.__contains__)


@pytest.mark.parametrize("site", [b"same-origin", b"same-site", b"none"])
@pytest.mark.parametrize("rest", [(), (FORM,), (b"Origin: http://evil.example",), (b"Referer: http://evil.example/",)])
def test_first_what_the_browser_itself_calls_its_own_site_passes(site: bytes, rest: tuple[bytes, ...]) -> None:
    for method in (b"GET", b"POST"):
        assert refused(b"Sec-Fetch-Site: " + site, *rest, method=method) is None


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
