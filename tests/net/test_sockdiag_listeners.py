"""What the kernel says of listeners, told by `sockdiag.listeners`. Connections: `test_sockdiag.py`."""

import contextlib
import ipaddress
import os
import socket
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.net import sockdiag
from tests import require


@pytest.fixture
def linux() -> None:
    require.linux()


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
@settings(deadline=None)
def test_any_bytes_are_read_without_harm(data: bytes) -> None:
    list(sockdiag._messages(data))
    list(sockdiag._attributes(data))
