"""The one parser of an authority, beside ipaddress and urllib, and what it must refuse."""

import ipaddress
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.routing.authority import Authority, parse_authority, under

FIXED = settings(max_examples=150, deadline=None, derandomize=True, database=None)
LABEL = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,10}[A-Za-z0-9])?", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join).filter(lambda name: not name.rsplit(".", 1)[-1].isdigit())
PORT = st.none() | st.integers(0, 65535)


def refused(raw: bytes) -> str:
    with pytest.raises(ValueError) as error:
        parse_authority(raw)
    return str(error.value)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"web.localhost", ("web.localhost", None, "name")),
        (b"WEB.LocalHost:80", ("web.localhost", 80, "name")),
        (b"web.localhost.", ("web.localhost", None, "name")),
        (b"web.localhost.:443", ("web.localhost", 443, "name")),
        (b"web.localhost:", ("web.localhost", None, "name")),
        (b"web.localhost:0", ("web.localhost", 0, "name")),
        (b"web.localhost:00080", ("web.localhost", 80, "name")),
        (b"web.localhost..", ("web.localhost.", None, "name")),
        (b".", (".", None, "name")),
        (b"a_b~c!$&'()*+,;=.x", ("a_b~c!$&'()*+,;=.x", None, "name")),
        (b"web.localhost,other", ("web.localhost,other", None, "name")),  # odd, but a registered name by RFC 3986
        (b"%41.localhost", ("%41.localhost", None, "name")),
        (b"xn--bcher-kva.localhost", ("xn--bcher-kva.localhost", None, "name")),
        (b"127.0.0.1", ("127.0.0.1", None, "ipv4")),
        (b"127.0.0.1:8080", ("127.0.0.1", 8080, "ipv4")),
        (b"127.0.0.1.", ("127.0.0.1", None, "name")),
        (b"127.1", ("127.1", None, "name")),
        (b"1.2.3.4.5", ("1.2.3.4.5", None, "name")),
        (b"0x7f.0.0.1", ("0x7f.0.0.1", None, "name")),
        (b"[::1]", ("::1", None, "ipv6")),
        (b"[::1]:7080", ("::1", 7080, "ipv6")),
        (b"[0:0:0:0:0:0:0:1]", ("::1", None, "ipv6")),
        (b"[FE80::A]:", ("fe80::a", None, "ipv6")),
        (b"[::ffff:127.0.0.1]", (str(ipaddress.IPv6Address("::ffff:127.0.0.1")), None, "ipv6")),
    ],
)
def test_an_authority_is_taken_apart(raw: bytes, expected: tuple[str, int | None, str]) -> None:
    assert parse_authority(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b":80", b" ", b"a b", b" web.localhost", b"web.localhost ", b"\tx", b"x\n", b"x\r\n", b"x\0", b"x\x7f"),
        *(b"user@web.localhost", b"user:pw@web.localhost", b"@web.localhost", b"web.localhost@evil.example:80"),
        *(b"web.localhost/x", b"/web.localhost", b"web.localhost?x", b"web.localhost#x", b"http://web.localhost"),
        *(
            b"web.localhost:80:80",
            b"web.localhost:80a",
            b"web.localhost:-1",
            b"web.localhost:+1",
        ),
        *(b"web.localhost: 80", b"web.localhost:123456", b"web.localhost:65536", b"web.localhost:\xb2", b"web:0x50"),
        *(b"\xc3\xa9.localhost", b"w\xe9b.localhost", "bücher.localhost".encode(), b"%", b"%4", b"%zz", b"a%4g"),
        *(b"::1", b"::1:80", b"[::1", b"::1]", b"[]", b"[::1]x", b"[::1]80", b"[[::1]]", b"[::1%lo]", b"[::1%25lo]"),
        *(b"[1.2.3.4]", b"[v1.x]", b"[::g]", b"[1:2:3]", b"[:::]", b"[1:2:3:4:5:6:7:8:9]", b"[::256.0.0.1]", b"[web]"),
        *(
            b"256.0.0.1",
            b"1.2.3.999",
            b"999.999.999.999:80",
            b'web".localhost',
            b"<b>.localhost",
            b"a\\b",
            b"a|b",
            b"a^b",
        ),
        *(b"`id`.localhost", b"{x}.localhost", b"a" * 256),
    ],
)
def test_what_is_no_authority_is_refused_with_a_sentence(raw: bytes) -> None:
    words = refused(raw)
    assert words.isprintable()
    assert len(words) < 150


def test_each_refusal_says_what_is_wrong() -> None:
    assert refused(b"") == "it is empty"
    assert "above the highest port" in refused(b"x:70000")
    assert "above 255" in refused(b"1.2.3.256")
    assert "`::g`" not in refused(b"[::g]")
    assert "is not an IPv6 address" in refused(b"[::1:2:]")


def with_port(host: str, port: int | None) -> bytes:
    return (host if port is None else f"{host}:{port}").encode()


@FIXED
@given(name=NAME, port=PORT)
def test_names_read_as_urllib_reads_them(name: str, port: int | None) -> None:
    raw = with_port(name, port)
    theirs = urlsplit("http://" + raw.decode())
    assert parse_authority(raw) == Authority(theirs.hostname or "", theirs.port, "name")


@FIXED
@given(address=st.ip_addresses(v=4), port=PORT)
def test_ipv4_reads_as_ipaddress_reads_it(address: ipaddress.IPv4Address, port: int | None) -> None:
    assert parse_authority(with_port(str(address), port)) == Authority(str(address), port, "ipv4")


@FIXED
@given(address=st.ip_addresses(v=6), port=PORT, long=st.booleans(), upper=st.booleans())
def test_every_spelling_of_an_ipv6_address_reads_the_same(
    address: ipaddress.IPv6Address, port: int | None, long: bool, upper: bool
) -> None:
    text = address.exploded if long else str(address)
    raw = with_port(f"[{text.upper() if upper else text}]", port)
    assert parse_authority(raw) == Authority(str(address), port, "ipv6")


@settings(FIXED, max_examples=400)
@given(text=st.text("aZ09.-_:[]%@/?#\\ \t,é~", max_size=24))
def test_what_is_taken_reads_back_the_same_and_urllib_agrees(text: str) -> None:
    raw = text.encode()
    try:
        host, port, kind = parse_authority(raw)
    except ValueError:
        return
    assert not set(text) & set("@/?#\\ \té")
    shown = f"[{host}]" if kind == "ipv6" else host + "." if text.partition(":")[0].endswith(".") else host
    assert parse_authority(with_port(shown, port)) == (host, port, kind)
    theirs = urlsplit("http://" + text)
    assert theirs.port == port
    if kind != "ipv6":
        name = theirs.hostname or ""
        assert host == (name.removesuffix(".") or name)


@FIXED
@given(raw=st.binary(max_size=40))
def test_no_bytes_crash_it(raw: bytes) -> None:
    try:
        host = parse_authority(raw).host
    except ValueError:
        return
    assert host
    assert host == host.lower()
    assert host.isascii()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("localhost", True), ("web.localhost", True), ("a.b.test", True), ("dev.example", True)),
        *(("xlocalhost", False), ("localhost.evil", False), ("example", False), ("xdev.example", False), ("", False)),
    ],
)
def test_a_name_is_under_a_domain_on_a_label_boundary(host: str, expected: bool) -> None:
    assert under(host, ("localhost", "test", "dev.example")) is expected
