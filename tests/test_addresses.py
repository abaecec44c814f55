"""What is loopback: the rule, and every place that goes by it."""

import socket
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.addresses import ip_literal, ipv4, is_loopback, is_loopback_host
from devproxy.detect import compose
from devproxy.health import reachability
from devproxy.health.exposure import judge
from devproxy.health.model import Family, Interface, Listener
from devproxy.health.scanner import _interface
from devproxy.net import dial
from devproxy.problems import Wrong
from devproxy.programs.fixes import propose_fix
from devproxy.programs.recognize import recognize
from devproxy.proxy import cross_site
from devproxy.registry.addresses import upstream
from devproxy.registry.model import Upstream
from tests.proxy.values import fields, service, table


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.0.0.2",
        "127.255.255.254",
        "::1",
        "0:0:0:0:0:0:0:1",
        "::ffff:127.0.0.1",
        "::ffff:7f00:5",
        "::1%lo",
    ],
)
def test_these_are_loopback(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "126.255.255.255", "::2", "fe80::1", "::ffff:10.0.0.1"),
        *("::127.0.0.1", "64:ff9b::7f00:1", "localhost", "", "127.1", "0x7f000001", "2130706433", "127.0.0.1:80"),
        *("[::1]", " 127.0.0.1", "127.0.0.1\n", "127.0.0.01", "/run/x.sock"),
    ],
)
def test_these_are_not(address: str) -> None:
    assert not is_loopback(address)


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_an_ipv4_address_is_loopback_exactly_if_it_is_in_127_8(number: int, mapped: bool) -> None:
    address = str(IPv6Address((0xFFFF << 32) + number)) if mapped else str(ip_address(number))
    assert is_loopback(address) == (number >> 24 == 127)


@given(st.text(max_size=50))
def test_no_text_raises(text: str) -> None:
    assert is_loopback(text) in {True, False}


def spellings(number: int) -> list[str]:
    """Ways in which inet_aton(3) lets one write an IPv4 address."""
    a, b, c, d = number >> 24, number >> 16 & 255, number >> 8 & 255, number & 255
    return [
        f"{a}.{b}.{c}.{d}",
        f"{number}",
        f"0x{number:x}",
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"0x{a:x}.{b}.{number & 0xFFFF}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"0X{a:X}.0{b:o}.{c}.0x{d:02x}",
    ]


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.integers(0, 2**32 - 1), st.integers(127 << 24, (128 << 24) - 1)), st.integers(0, 7))
def test_ipv4_is_read_as_the_c_library_reads_it(number: int, way: int) -> None:
    text = spellings(number)[way]
    if text == "00":
        return
    assert ipv4(text) == number == int.from_bytes(socket.inet_aton(text))


@settings(deadline=None, max_examples=300)
@given(st.text("0123456789xXabcf.", min_size=1, max_size=16))
def test_ipv4_agrees_with_the_c_library_on_any_text(text: str) -> None:
    """The C library reads a little more (`1.2.3.4.`, `0x`), never anything else."""
    number = ipv4(text)
    try:
        peer = int.from_bytes(socket.inet_aton(text))
    except OSError:
        return
    assert number is None or number == peer


def test_a_host_is_read_in_every_spelling() -> None:
    loopback_hosts = ("localhost", "LOCALHOST", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "127.0.0.1.")
    assert all(map(is_loopback_host, loopback_hosts))
    others = ("", "0", "1", "web", "localhost.", "localhost.example", "127.0.0.1:80", "::1%lo", "[::1", "127.0.0.256")
    assert not any(map(is_loopback_host, others))


@given(st.integers(0, 2**128 - 1) | st.integers(0, 2**32 - 1).map(lambda number: 0xFFFF << 32 | number))
def test_an_ipv6_address_is_read_as_the_library_reads_it(number: int) -> None:
    address = IPv6Address(number)
    for spelling in (str(address), address.exploded.upper(), f"[{address}]"):
        assert ip_literal(spelling) == str(address.ipv4_mapped or address)


@given(st.text(max_size=50) | st.text("0123456789abcdefx.:[]%", max_size=30))
def test_what_is_read_is_an_address(text: str) -> None:
    found = ip_literal(text)
    assert found is None or str(ip_address(found)) == found


# Every place that judges an address, with the same table


LOOPBACK = ("127.0.0.1", "127.0.0.2", "127.255.255.254", "::1", "::ffff:127.0.0.1", "::ffff:127.9.9.9")
ELSEWHERE = (
    *("0.0.0.0", "::", "10.0.0.1", "192.168.1.20", "126.255.255.255", "128.0.0.1", "::2", "fe80::1", "fd00::20"),
    *("::ffff:0.0.0.0", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"),
)


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def an_upstream(host: str) -> bool:
    try:
        return bool(upstream(f"http://{bracketed(host)}:3000").hosts)
    except Wrong:
        return False


def what_is_dialled(host: str) -> bool:
    """Whether a connection is tried at all; who answers at that port, if anybody, is no matter."""
    try:
        dial._begun(Upstream("http", (host,), 1), host).close()
    except OSError as error:
        return "loopback" not in str(error)
    return True


def a_published_port(form: str) -> Callable[[str], bool]:
    def is_safe(host: str) -> bool:
        text = "services:\n  a:\n    ports:\n    - " + form.format(host=host, bracketed=bracketed(host))
        with TemporaryDirectory() as folder:
            (Path(folder) / "compose.yaml").write_text(text, "utf-8")
            seen = compose.look(Path(folder))
        assert [service.port for service in seen.services] == [8080]
        return not seen.remarks

    return is_safe


def is_left_alone(argv: list[str], port: int) -> bool:
    """Whether nothing in a command line has to change to keep others out."""
    fix = propose_fix(recognize(argv, port=port))
    return fix is not None and fix.command is None


def a_flag(host: str) -> bool:
    return is_left_alone(["vite", "--host", host], 5173)


def an_address_in_a_flag(host: str) -> bool:
    return is_left_alone(["gunicorn", "app:app", "-b", f"{bracketed(host)}:8000"], 8000)


def a_listener(host: str) -> bool:
    family: Family = "ipv6" if ":" in host else "ipv4"
    return judge(Listener(address=host, port=3000, family=family)).verdict == "loopback"


def an_origin(host: str) -> bool:
    section = fields(b"Sec-Fetch-Site: cross-site", f"Origin: http://{bracketed(host)}:8000".encode())
    return cross_site.judge(b"POST", section, service(), b"web.localhost", table()).refused is None


PLACES: dict[str, Callable[[str], bool]] = {
    "the rule for literals": is_loopback,
    "the rule for hosts": is_loopback_host,
    "an upstream": an_upstream,
    "what is dialled": what_is_dialled,
    "compose, short": a_published_port('"{bracketed}:${{WEB_PORT:-8080}}:80"'),
    "compose, short without brackets": a_published_port('"{host}:${{WEB_PORT:-8080}}:80/tcp"'),
    "compose, long": a_published_port('{{target: 80, published: "${{WEB_PORT:-8080}}", host_ip: "{host}"}}'),
    "a flag": a_flag,
    "an address in a flag": an_address_in_a_flag,
    "a listener": a_listener,
    "an interface": lambda host: _interface("x", 1, [host]).loopback,
    "an origin": an_origin,
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_goes_by_the_one_rule(place: str) -> None:
    is_safe = PLACES[place]
    assert [host for host in LOOPBACK if not is_safe(host)] == []
    assert [host for host in ELSEWHERE if is_safe(host)] == []


NAMED = {
    "the rule for hosts": is_loopback_host,
    "an upstream": an_upstream,
    "compose": a_published_port('"{host}:${{WEB_PORT:-8080}}:80"'),
    "a flag": a_flag,
    "an origin": an_origin,
}


@pytest.mark.parametrize("place", NAMED)
def test_localhost_is_loopback_where_a_person_writes_it(place: str) -> None:
    assert NAMED[place]("localhost")
    assert NAMED[place]("LOCALHOST")


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_loopback_address_proves_no_exposure(host: str) -> None:
    assert reachability.addresses([Interface("x", 1, (host,))]) == ()
