"""The only bind(): what is bound, what is refused, and what a person is told.

What needs a port below 1024, a machine without IPv6, or descriptor 3 runs in a process (and a network namespace) of
its own.
"""

import ast
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from devproxy.errors import DevproxyError, Exit
from devproxy.net import loopback
from devproxy.net.endpoints import HTTP, HTTPS, Endpoint, endpoints
from devproxy.net.loopback import Listening, listen, listen_all, listen_at
from devproxy.registry.model import HttpsPort, ListenAddress, ProxySettings
from tests import require
from tests.net.own_process import ROOT, child
from tests.ports import free_port

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="binds as POSIX does")


@contextmanager
def squatter(host: str, port: int | None = None, *, v6only: bool = True) -> Iterator[int]:
    """Somebody else's listener; yields its port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        port = free_port() if port is None else port
        sock.bind((host, port))
        sock.listen()
        yield port


@contextmanager
def listened(http: int | None, endpoint: Endpoint = HTTP) -> Iterator[Listening]:
    listening = listen(endpoint._replace(port=http))
    try:
        yield listening
    finally:
        listening.close()


# Ports


def test_both_families_get_the_same_port_and_nothing_else() -> None:
    require.ipv6()
    with listened(0) as listening:
        assert listening.addresses == [f"127.0.0.1:{listening.port}", f"[::1]:{listening.port}"]
        assert listening.notices == []
        six = listening.sockets[1]
        assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        for sock in listening.sockets:
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            assert not sock.getblocking()
            assert not sock.get_inheritable()


def test_an_explicit_port_is_the_one_that_is_had() -> None:
    port = free_port()
    with listened(port) as listening:
        assert listening.port == port
        assert {sock.getsockname()[1] for sock in listening.sockets} == {port}


def test_a_port_can_be_had_again_at_once() -> None:
    port = free_port()
    for _ in range(3):
        with listened(port) as listening, socket.create_connection(("127.0.0.1", port)) as client:
            # The side that closes first is left in TIME_WAIT: that is ours.
            listening.sockets[0].setblocking(True)
            listening.sockets[0].accept()[0].close()
            assert client.recv(1) == b""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_squatter_on_either_family_makes_an_explicit_port_busy_and_is_named(host: str) -> None:
    require.ipv6()
    with squatter(host) as port:
        with pytest.raises(DevproxyError) as caught:
            listen(HTTP._replace(port=port))
        assert caught.value.exit_code == Exit.BAD_NEWS
        taken = "[::1]" if ":" in host else "127.0.0.1"
        assert f"port {port} on {taken} is held by" in caught.value.why
        assert f"(pid {os.getpid()})" in caught.value.why
        assert "registry.toml" in caught.value.fix
        # Nothing is left behind on the other family.
        other = "127.0.0.1" if ":" in host else "::1"
        with squatter(other, port):
            pass


def test_the_standard_port_comes_first() -> None:
    port = free_port()
    with listened(None, Endpoint("http", port, fallback=1)) as listening:
        assert listening.port == port
        assert listening.notices == []


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_where_it_is_busy_the_fallback_is_used_and_a_notice_names_the_holder(
    host: str,
) -> None:
    require.ipv6()
    fallback = free_port()
    with squatter(host) as busy, listened(None, Endpoint("http", busy, fallback)) as listening:
        assert listening.port == fallback
        assert f"listening on port {fallback}, because port {busy} on" in listening.notices[0]
        assert f"(pid {os.getpid()})" in listening.notices[0]


def test_both_busy_is_an_error_that_names_both_holders() -> None:
    with squatter("127.0.0.1") as first, squatter("127.0.0.1") as second, pytest.raises(DevproxyError) as caught:
        listen(Endpoint("http", first, second))
    assert f"port {first} on 127.0.0.1" in caught.value.why
    assert f"port {second} on 127.0.0.1" in caught.value.why
    assert caught.value.why.count(f"(pid {os.getpid()})") == 2


def test_without_a_port_for_https_it_goes_on_and_says_so() -> None:
    with squatter("127.0.0.1") as first, squatter("127.0.0.1") as second:
        https = HTTPS._replace(standard=first, fallback=second)
        http, nothing = listen_all([HTTP._replace(port=0), https])
        assert (nothing.sockets, nothing.port) == ([], 0)
        assert f"there is no https: port {first} on 127.0.0.1 is held by" in nothing.notices[0]
        http.close()
        with pytest.raises(DevproxyError, match=f"cannot listen on port {first}"):
            listen(https._replace(port=first))


def test_what_was_had_is_given_back_where_the_next_one_cannot_be_had() -> None:
    port = free_port()
    with squatter("127.0.0.1") as busy, pytest.raises(DevproxyError):
        listen_all([HTTP._replace(port=port), HTTPS._replace(port=busy)])
    with listened(port):
        pass


@pytest.mark.parametrize(
    ("settings", "http", "https", "ports"),
    [
        (ProxySettings(), None, None, {"http": None, "https": None}),
        (ProxySettings(http=8080, https=8443), None, None, {"http": 8080, "https": 8443}),
        (ProxySettings(http=8080, https=8443), 81, 444, {"http": 81, "https": 444}),
        (ProxySettings(https="off"), None, None, {"http": None}),
        (ProxySettings(https=8443), None, "off", {"http": None}),
        (ProxySettings(https="off"), None, 8443, {"http": None, "https": 8443}),
        (ProxySettings(), 0, None, {"http": 0, "https": 0}),
        (ProxySettings(https=8443), 0, None, {"http": 0, "https": 8443}),
        (ProxySettings(http=8080), None, None, {"http": 8080, "https": None}),
    ],
)
def test_what_is_listened_for_is_what_the_settings_say(
    settings: ProxySettings, http: int | None, https: HttpsPort, ports: dict[str, int | None]
) -> None:
    assert {one.scheme: one.port for one in endpoints(settings, http, https)} == ports


# In a process of its own


def namespace(setup: str = "true") -> tuple[str, ...]:
    """The start of a command that runs in a network namespace of its own, after `setup`."""
    require.linux()
    require.root()
    require.program("ip")
    return (require.program("unshare"), "--net", "sh", "-c", f'ip link set lo up && {setup} && exec "$@"', "sh")


@pytest.mark.netns
def test_the_default_is_port_80() -> None:
    assert child("report()", prefix=namespace())["addresses"] == ["127.0.0.1:80", "[::1]:80"]


@pytest.mark.netns
def test_a_forbidden_port_80_falls_back_with_the_line_that_opens_it() -> None:
    # What is imported late is imported here: the user who is nobody may not read where this Python lies.
    user = "import shlex, shutil; os.setresuid(65534, 65534, 65534); "
    setup = "sysctl -qw net.ipv4.ip_unprivileged_port_start=1024"
    got = child(user + "report()", prefix=namespace(setup))
    assert got["port"] == 7080
    assert "port 80 on 127.0.0.1 is not open to ordinary users" in got["notices"][0]
    assert "sysctl -w net.ipv4.ip_unprivileged_port_start=80" in got["notices"][0]
    asked = child(user + "report(81)", prefix=namespace(setup))
    assert asked["error"] == "cannot listen on port 81"
    assert "ip_unprivileged_port_start=81" in asked["fix"]


@pytest.mark.netns
def test_another_users_holder_cannot_be_read() -> None:
    code = """
import psutil
keep = socket.create_server(("127.0.0.1", 8080))
if os.fork() == 0:
    keep.close()
    os.setresuid(65534, 65534, 65534)
    report(8080)
else:
    os.wait()
"""
    assert "devproxy can't read" in child(code, prefix=namespace())["why"]


@pytest.mark.netns
def test_without_an_ipv6_loopback_it_is_ipv4_alone_and_a_notice() -> None:
    got = child("report()", prefix=namespace("sysctl -qw net.ipv6.conf.lo.disable_ipv6=1"))
    assert got["addresses"] == ["127.0.0.1:80"]
    assert got["notices"] == ["this machine has no loopback address ::1: listening without it"]


@pytest.mark.netns
def test_without_any_loopback_it_is_an_error() -> None:
    got = child("os.system('ip link set lo down; ip addr flush dev lo'); report(8080)", prefix=namespace())
    assert got["error"] == "cannot listen on port 8080"


# Nothing widens it


def test_what_was_bound_is_read_back_and_refused_unless_loopback() -> None:
    with pytest.raises(DevproxyError) as caught:
        loopback._listen_on("http", 0, ["0.0.0.0"])
    assert caught.value.exit_code == Exit.REFUSED
    assert "refusing to listen on 0.0.0.0:" in caught.value.what


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost", ""])
def test_no_tcp_service_is_listened_for_beyond_loopback(host: str) -> None:
    with pytest.raises(ValueError, match="not on loopback"):
        listen_at(ListenAddress(("127.0.0.1", host), free_port()))


def test_a_tcp_service_has_its_port_on_both_families() -> None:
    require.ipv6()
    port = free_port()
    with closing(listen_at(ListenAddress(("127.0.0.1", "::1"), port))) as listening:
        assert listening.addresses == [f"127.0.0.1:{port}", f"[::1]:{port}"]


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is there on Linux alone")
def test_an_address_of_its_own_is_no_other() -> None:
    port = free_port()
    with closing(listen_at(ListenAddress(("127.70.1.2",), port))) as listening, squatter("127.0.0.1", port):
        assert listening.addresses == [f"127.70.1.2:{port}"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_who_has_the_port_of_a_tcp_service_is_told(host: str) -> None:
    if ":" in host:
        require.ipv6()
    with squatter(host) as port, pytest.raises(DevproxyError) as caught:
        listen_at(ListenAddress(("127.0.0.1", "::1"), port))
    assert caught.value.what.endswith(f":{port}")
    assert f"(pid {os.getpid()})" in caught.value.why
    assert '"auto"' in caught.value.fix


def test_no_environment_variable_widens_it() -> None:
    wide = dict.fromkeys(
        [
            *("HOST", "BIND", "ADDRESS", "LISTEN", "INTERFACE", "LISTEN_ADDRESS", "AIOHTTP_HOST", "UVICORN_HOST"),
            *("DEVPROXY_HOST", "DEVPROXY_BIND", "DEVPROXY_LISTEN", "DEVPROXY_ADDRESS", "DEVPROXY_HTTP", "SERVER_NAME"),
        ],
        "0.0.0.0",
    )
    got = child("report(0)", env=wide)
    assert got["addresses"] == [f"127.0.0.1:{got['port']}", f"[::1]:{got['port']}"]


def test_listen_takes_a_port_and_no_address() -> None:
    assert list(listen.__annotations__) == ["endpoint", "return"]
    assert Endpoint.__annotations__.keys() == {"scheme", "standard", "fallback", "port", "optional"}


def test_nothing_else_in_devproxy_listens() -> None:
    """`listen`, and what binds for its caller unless it is given a socket that is bound already."""
    servers = {"create_server", "start_server", "start_unix_server", "create_datagram_endpoint", "TCPSite", "run_app"}
    found = set()
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            method = getattr(node.func, "attr", "")
            bound = any(keyword.arg == "sock" for keyword in node.keywords) and len(node.args) == 1
            if method in {"bind", "listen"} or (method in servers and not bound):
                found.add((file.relative_to(ROOT).as_posix(), method))
    # A probe chooses where its own connections come from, so that they never leave this machine; it never listens.
    assert found - {("health/reachability.py", "bind")} == {("net/loopback.py", "bind"), ("net/loopback.py", "listen")}
