"""Whether the other end is still there, for each way in which it may have gone."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from devproxy.net.sockets import is_established, is_gone
from tests import require
from tests.waiting import until

RESET = struct.pack("ii", 1, 0)
Pair = tuple[asyncio.Transport, socket.socket]


@pytest.fixture(params=["127.0.0.1", "::1"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """A transport of ours that is not read, and the other end."""
    require.linux()
    host = str(request.param)
    if ":" in host:
        require.ipv6()
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.bind((host, 0))
        listener.listen()
        listener.setblocking(False)
        with socket.socket(listener.family) as near:
            near.setblocking(False)
            await loop.sock_connect(near, listener.getsockname()[:2])
            far, _ = await loop.sock_accept(listener)
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
            transport.pause_reading()
            with far:
                yield transport, far
            transport.abort()


async def test_a_connection_in_use_is_there(pair: Pair) -> None:
    transport, far = pair
    far.send(b"unread")
    assert is_established(transport)
    assert not is_gone(transport)


async def test_a_peer_that_has_only_finished_sending_is_there_and_its_connection_is_not_for_new_requests(
    pair: Pair,
) -> None:
    transport, far = pair
    far.shutdown(socket.SHUT_WR)
    await until(lambda: not is_established(transport))
    assert not is_gone(transport)


async def test_a_peer_that_has_closed_is_gone(pair: Pair) -> None:
    transport, far = pair
    far.close()
    await until(lambda: is_gone(transport))
    assert not is_established(transport)


async def test_a_peer_that_has_closed_after_it_finished_sending_is_gone(pair: Pair) -> None:
    transport, far = pair
    far.shutdown(socket.SHUT_WR)
    await until(lambda: not is_established(transport))
    far.close()
    await until(lambda: is_gone(transport))


async def test_a_peer_that_has_reset_is_gone(pair: Pair) -> None:
    transport, far = pair
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    far.close()
    await until(lambda: is_gone(transport))
    assert not is_established(transport)


async def test_where_it_cannot_be_told_the_peer_is_there() -> None:
    near, far = socket.socketpair(socket.AF_UNIX)
    near.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
    transport.pause_reading()
    far.close()
    assert is_established(transport)
    assert not is_gone(transport)
    transport.abort()
