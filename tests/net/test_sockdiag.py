"""Real sockets, real kernel: what sock_diag says of the other end of a connection, and of listeners."""

import contextlib
import ipaddress
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.net import sockdiag
from devproxy.net.sockdiag import peer_is_orphan
from tests import require
from tests.waiting import DEADLINE, wait_until

HOLDER = """
import socket, sys
client = socket.create_connection((sys.argv[1], int(sys.argv[2])))
client.send(b"x")
sys.stdin.read()
"""


@pytest.fixture
def linux() -> None:
    require.linux()


@contextlib.contextmanager
def pair(address: str) -> Iterator[tuple[socket.socket, socket.socket]]:
    """(client, our accepted end) of one connection over `address`."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        client = socket.create_connection(server.getsockname()[:2])
        ours, _ = server.accept()
    with client, ours:
        yield client, ours


def ask(ours: socket.socket) -> bool | None:
    return peer_is_orphan(ours.getsockname(), ours.getpeername())


def becomes(ours: tuple[tuple[str, int], tuple[str, int]], wanted: bool) -> bool | None:
    """Wait until the answer is `wanted`, and return it."""
    wait_until(lambda: peer_is_orphan(*ours) is wanted, f"{wanted}")
    return wanted


both = pytest.mark.parametrize("address", ["127.0.0.1", "::1"])


@pytest.mark.usefixtures("linux")
@both
def test_open_connection_is_held(address: str) -> None:
    with pair(address) as (_, ours):
        assert ask(ours) is False


@pytest.mark.usefixtures("linux")
@both
def test_half_closed_is_still_held(address: str) -> None:
    with pair(address) as (client, ours):
        client.shutdown(socket.SHUT_WR)
        assert ours.recv(1) == b""
        assert ask(ours) is False


@pytest.mark.usefixtures("linux")
@both
def test_half_closed_and_then_closed_is_an_orphan(address: str) -> None:
    with pair(address) as (client, ours):
        client.shutdown(socket.SHUT_WR)
        assert ours.recv(1) == b""
        client.close()
        assert becomes((ours.getsockname()[:2], ours.getpeername()[:2]), True) is True


@pytest.mark.usefixtures("linux")
@both
def test_full_close_is_an_orphan(address: str) -> None:
    with pair(address) as (client, ours):
        client.close()
        assert ours.recv(1) == b""
        assert ask(ours) is True


@pytest.mark.usefixtures("linux")
@both
def test_close_seen_through_our_unread_data(address: str) -> None:
    """The case the proxy cannot see by itself: it does not read, so it gets neither FIN nor RST."""
    with pair(address) as (client, ours):
        client.send(b"more to come")
        assert ask(ours) is False
        client.close()
        assert ask(ours) is True


@pytest.mark.usefixtures("linux")
@both
def test_reset_is_an_orphan(address: str) -> None:
    with pair(address) as (client, ours):
        ends = ours.getsockname()[:2], ours.getpeername()[:2]
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with contextlib.suppress(ConnectionResetError):
            ours.recv(1)
        assert peer_is_orphan(*ends) is True


@pytest.mark.usefixtures("linux")
@both
def test_close_with_unread_data_is_an_orphan(address: str) -> None:
    with pair(address) as (client, ours):
        ends = ours.getsockname()[:2], ours.getpeername()[:2]
        ours.send(b"never read")
        client.close()  # the kernel answers with RST, since data was lost
        assert becomes(ends, True) is True


@pytest.mark.usefixtures("linux")
@both
def test_killed_process_leaves_an_orphan(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        child = subprocess.Popen([sys.executable, "-c", HOLDER, address, str(port)], stdin=subprocess.PIPE)
        try:
            server.settimeout(DEADLINE)
            ours, _ = server.accept()
            with ours:
                assert ours.recv(1) == b"x"
                ends = ours.getsockname()[:2], ours.getpeername()[:2]
                assert peer_is_orphan(*ends) is False
                child.send_signal(signal.SIGKILL)
                child.wait(DEADLINE)
                assert becomes(ends, True) is True
        finally:
            child.kill()
            child.communicate()


@pytest.mark.usefixtures("linux")
def test_duplicate_descriptor_keeps_it_held() -> None:
    with pair("127.0.0.1") as (client, ours):
        copy = os.dup(client.fileno())
        client.close()
        assert ask(ours) is False
        os.close(copy)
        assert ask(ours) is True


@pytest.mark.usefixtures("linux")
@both
def test_not_accepted_yet_is_held(address: str) -> None:
    """A server that has not called accept() has inode 0 as well, and is no orphan."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        socket.create_server((address, 0), family=family) as server,
        socket.create_connection(server.getsockname()[:2]) as ours,
    ):
        assert ask(ours) is False
        ours.shutdown(socket.SHUT_WR)
        assert ask(ours) is False


@pytest.mark.usefixtures("linux")
def test_v4_mapped_connection() -> None:
    with socket.socket(socket.AF_INET6) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::ffff:127.0.0.1", 0))
        server.listen()
        with socket.create_connection(("127.0.0.1", server.getsockname()[1])) as client:
            ours, _ = server.accept()
            with ours:
                assert ours.getpeername()[0] == "::ffff:127.0.0.1"
                assert ask(ours) is False
                assert ask(client) is False
                client.close()
                assert ask(ours) is True


@pytest.mark.usefixtures("linux")
def test_a_listener_on_the_peers_port_is_not_the_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pair("127.0.0.1") as (_, ours):
        assert peer_is_orphan(ours.getsockname(), other.getsockname()) is True


@pytest.mark.parametrize(
    ("local", "peer"),
    [
        (("192.0.2.9", 80), ("192.0.2.10", 81)),
        (("127.0.0.1", 80), ("192.0.2.10", 81)),
        (("127.0.0.1", 80), ("::1", 81)),
        (("localhost", 80), ("localhost", 81)),
        (("", 80), ("", 81)),
        (("127.0.0.1", -1), ("127.0.0.1", 70000)),
    ],
)
def test_what_cannot_be_told_is_none(local: tuple[str, int], peer: tuple[str, int]) -> None:
    assert peer_is_orphan(local, peer) is None


def test_elsewhere_it_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(sockdiag, "_lookup", sockdiag._Lookup())
    with pair("127.0.0.1") as (client, ours):
        client.close()
        assert ask(ours) is None
    with pytest.raises(OSError, match="Linux only"):
        sockdiag.listeners()


@pytest.mark.usefixtures("linux")
@pytest.mark.parametrize("failure", [PermissionError(1, "no"), OSError(2, "no such module")])
def test_where_netlink_is_forbidden_it_cannot_be_told(failure: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Iterator[bytes]:
        raise failure

    monkeypatch.setattr(sockdiag, "_dump", refuse)
    lookup = sockdiag._Lookup()
    with pair("127.0.0.1") as (client, ours):
        client.close()
        assert lookup.other_end(ours.getsockname(), ours.getpeername()) == (False, None)
        assert lookup.other_end(ours.getsockname(), ours.getpeername()) == (False, None)


@pytest.mark.usefixtures("linux")
def test_one_netlink_socket_serves_all_and_threads_may_share_it() -> None:
    wrong: list[bool | None] = []
    with pair("127.0.0.1") as (_, ours), pair("::1") as (_, sixth):
        ask(ours)
        before = len(list(Path("/proc/self/fd").iterdir()))

        def many(end: socket.socket) -> None:
            wrong.extend(answer for _ in range(300) if (answer := ask(end)) is not False)

        threads = [threading.Thread(target=many, args=(end,)) for end in (ours, sixth, ours, sixth)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert wrong == []


# What the kernel says of listeners, told by `sockdiag.listeners`. Connections: `test_sockdiag.py`


def listening(family: int, address: str, prepare: Callable[[socket.socket], None] = lambda _: None) -> socket.socket:
    server = socket.socket(family)
    prepare(server)
    server.bind((address, 0))
    server.listen()
    return server


def v6only(value: int) -> Callable[[socket.socket], None]:
    return lambda server: server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, value)


def raw(server: socket.socket) -> sockdiag.RawListener | None:
    inode = os.fstat(server.fileno()).st_ino
    return next((listener for listener in sockdiag.listeners() if listener.inode == inode), None)


@pytest.mark.usefixtures("linux")
@pytest.mark.parametrize(
    ("family", "address", "only"),
    [
        (socket.AF_INET, "127.0.0.1", None),
        (socket.AF_INET, "127.8.9.10", None),
        (socket.AF_INET6, "::1", 1),
        (socket.AF_INET6, "::ffff:127.0.0.1", 0),
    ],
)
def test_listener_is_found_with_all_it_has(family: int, address: str, only: int | None) -> None:
    with listening(family, address, v6only(only) if only is not None else lambda _: None) as server:
        found = raw(server)
        assert found is not None
        assert ipaddress.ip_address(found.address) == ipaddress.ip_address(address)
        assert (found.port, found.family) == (server.getsockname()[1], family)
        assert found.uid == os.getuid()
        assert found.v6only == (None if only is None else bool(only))
        assert found.interface == 0
    assert raw_gone(found)


def raw_gone(found: sockdiag.RawListener) -> bool:
    return all(listener.inode != found.inode for listener in sockdiag.listeners())


@pytest.mark.usefixtures("linux")
def test_connections_are_not_listeners() -> None:
    with listening(socket.AF_INET, "127.0.0.1") as server, socket.create_connection(server.getsockname()) as client:
        ours, _ = server.accept()
        with ours:
            assert raw(client) is None
            assert raw(ours) is None


@pytest.mark.usefixtures("linux")
def test_many_listeners_need_several_reads() -> None:
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(listening(socket.AF_INET, "127.0.0.1")) for _ in range(700)]
        inodes = {os.fstat(server.fileno()).st_ino for server in servers}
        assert inodes <= {listener.inode for listener in sockdiag.listeners()}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_harm(data: bytes) -> None:
    list(sockdiag._messages(data))
    list(sockdiag._attributes(data))
