"""`registry/hostnames.py`: names of services, projects and hosts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.problems import Wrong
from devproxy.registry import hostnames

TLDS = ("localhost", "test", "dev.test")


@pytest.mark.parametrize("text", ["web", "a", "3000", "a-b", "xn--bcher-kva", "a" * 63, "0-0"])
def test_names(text: str) -> None:
    assert hostnames.name(text) == text


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("Web", "call it `web`"),
        ("my_app", "call it `my-app`"),
        ("-a", "call it `a`"),
        ("a-", "call it `a`"),
        ("a.b", "call it `a-b`"),
        ("bücher", "call it `b-cher`"),
        ("", "write it as in `web`"),
        ("\x1b[2J", "call it `2j`"),
        ("a" * 64, f"call it `{'a' * 63}`"),
        ("web\n", "call it `web`"),
    ],
)
def test_no_names(text: str, fix: str) -> None:
    with pytest.raises(Wrong) as caught:
        hostnames.name(text)
    assert (caught.value.code, caught.value.fix) == ("bad-name", fix)


def test_our_own_name_is_reserved() -> None:
    with pytest.raises(Wrong) as caught:
        hostnames.name("devproxy")
    assert caught.value.code == "reserved-name"


def test_a_service_is_referred_to_with_or_without_its_project() -> None:
    assert hostnames.service_name("api") == "api"
    assert hostnames.service_name("api.shop") == "api.shop"
    for text in ("a.b.c", "API", "", ".a", "a."):
        with pytest.raises(Wrong):
            hostnames.service_name(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [("Shop.LOCALHOST", "shop.localhost"), ("a.b-c.test", "a.b-c.test"), ("1.localhost", "1.localhost")],
)
def test_hosts_are_lower_cased(text: str, host: str) -> None:
    assert hostnames.host(text) == host


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("http://shop.localhost", 'write "shop.localhost"'),
        ("shop.localhost:7080", 'write "shop.localhost"'),
        ("https://u@shop.localhost:1/x?y", 'write "shop.localhost"'),
        ("shop.localhost.", 'write "shop.localhost"'),
        ("my_shop.localhost", 'write "my-shop.localhost"'),
        ("shop.localhost/api", 'write "shop.localhost"'),
        ("a..b", 'write it as in "shop.localhost"'),
        ("", 'write it as in "shop.localhost"'),
        ("*.x.localhost", 'write "x.localhost"'),
        ("127.0.0.1", "use a name, as in shop.localhost"),
        ("a.0x7f", "use a name, as in shop.localhost"),
        (".".join(["a" * 60] * 5), 'write it as in "shop.localhost"'),
    ],
)
def test_no_hosts(text: str, fix: str) -> None:
    with pytest.raises(Wrong) as caught:
        hostnames.host(text)
    assert (caught.value.code, caught.value.fix) == ("bad-host", fix)


def test_a_wildcard_is_the_whole_first_label() -> None:
    assert hostnames.host_pattern("*.Shop.localhost") == "*.shop.localhost"
    for text in ("*", "*.", "a.*.localhost", "*x.localhost", "**.localhost", "*.*.localhost"):
        with pytest.raises(Wrong):
            hostnames.host_pattern(text)


def test_tlds() -> None:
    assert hostnames.tld("Localhost") == "localhost"
    assert hostnames.tld("dev.test") == "dev.test"
    for text in ("", ".test", "test.", "1", "a.1", "0x1", "a_b", "*", "a" * 64):
        with pytest.raises(Wrong):
            hostnames.tld(text)


def test_doubtful_tlds() -> None:
    assert hostnames.doubt_about_tld("localhost") is None
    for text in ("local", "dev", "my.app"):
        assert hostnames.doubt_about_tld(text) is not None


def test_the_longest_tld_counts() -> None:
    assert hostnames.under("a.dev.test", TLDS) == "dev.test"
    assert hostnames.under("*.a.test", TLDS) == "test"
    assert hostnames.under("test", TLDS) is None
    assert hostnames.under("xtest", TLDS) is None
    assert hostnames.under("a.example", TLDS) is None


def test_our_own_hosts() -> None:
    for host in ("devproxy.localhost", "a.devproxy.test", "*.devproxy.localhost"):
        assert hostnames.is_reserved(host, TLDS)
    for host in ("devproxy.a.localhost", "xdevproxy.localhost", "devproxy.example"):
        assert not hostnames.is_reserved(host, TLDS)


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=80), st.text("aZ09-_.*:/@ \x1b\u202e", max_size=20)))
def test_a_parser_reads_a_text_or_says_why_not_in_printable_words(text: str) -> None:
    for parse in (hostnames.name, hostnames.service_name, hostnames.host, hostnames.host_pattern, hostnames.tld):
        try:
            read = parse(text)
        except Wrong as wrong:
            said = wrong.what + wrong.why + wrong.fix
            assert said.isprintable()
        else:
            assert read == text.lower()
            assert all(char in "abcdefghijklmnopqrstuvwxyz0123456789-.*" for char in read)
            assert len(read) <= 255


@given(st.text(max_size=100))
def test_a_slug_is_a_name_or_nothing(text: str) -> None:
    slug = hostnames.slug(text)
    assert slug in ("", "devproxy") or hostnames.name(slug) == slug
