"""Sockets as the kernel keeps them: whether the other end is there, how much may wait, what a reset says."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from devproxy.net.sockets import RECEIVE, SEND, bound_buffers, is_at_rest, is_gone, reset, undelivered, unread
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
    assert is_at_rest(transport)
    far.send(b"unread")
    await until(lambda: not is_at_rest(transport))
    assert not is_gone(transport)


async def test_what_the_peer_has_not_read_is_counted_wherever_it_waits(pair: Pair) -> None:
    transport, far = pair
    assert undelivered(transport) == 0
    transport.write(b"x" * 1000)
    await until(lambda: undelivered(transport) == 1000)
    far.recv(400)
    assert undelivered(transport) == 600
    transport.write(b"y" * (16 << 20))
    everything = 600 + (16 << 20)
    await until(lambda: undelivered(transport) >= everything)
    left = everything
    while left > everything // 2:
        left -= len(far.recv(1 << 16))
        await asyncio.sleep(0)
    assert undelivered(transport) < everything


async def test_what_arrived_before_a_connection_failed_can_be_read(pair: Pair) -> None:
    transport, far = pair
    far.send(b"last words")
    await until(lambda: not is_at_rest(transport))
    assert unread(transport) == b"last words"
    assert unread(transport) == b""


async def test_a_peer_that_has_only_finished_sending_is_there_and_its_connection_is_not_for_new_requests(
    pair: Pair,
) -> None:
    transport, far = pair
    far.shutdown(socket.SHUT_WR)
    await until(lambda: not is_at_rest(transport))
    assert not is_gone(transport)


async def test_a_peer_that_has_closed_is_gone(pair: Pair) -> None:
    transport, far = pair
    far.close()
    await until(lambda: is_gone(transport))
    assert not is_at_rest(transport)


async def test_a_peer_that_has_closed_after_it_finished_sending_is_gone(pair: Pair) -> None:
    transport, far = pair
    far.shutdown(socket.SHUT_WR)
    await until(lambda: not is_at_rest(transport))
    far.close()
    await until(lambda: is_gone(transport))


async def test_a_peer_that_has_reset_is_gone(pair: Pair) -> None:
    transport, far = pair
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    far.close()
    await until(lambda: is_gone(transport))
    assert not is_at_rest(transport)


async def test_where_it_cannot_be_told_the_peer_is_there() -> None:
    near, far = socket.socketpair(socket.AF_UNIX)
    near.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
    transport.pause_reading()
    far.close()
    assert is_at_rest(transport)
    assert not is_gone(transport)
    transport.abort()


# What the kernel may hold for a socket is fixed, inherited by what a listener accepts, and never a reason to fail


OPTIONS = (socket.SO_SNDBUF, socket.SO_RCVBUF)


def granted(sock: socket.socket) -> list[int]:
    return [sock.getsockopt(socket.SOL_SOCKET, option) for option in OPTIONS]


def test_buffers_are_bounded_and_stay_so_for_what_is_accepted() -> None:
    with socket.socket() as listener, socket.socket() as client:
        bound_buffers(listener)
        bounded = granted(listener)
        assert [0 < size <= 2 * asked for size, asked in zip(bounded, (SEND, RECEIVE), strict=True)] == [True, True]
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        bound_buffers(client)
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            assert granted(accepted) == bounded
            assert granted(client) == bounded


def test_a_socket_that_does_not_allow_it_is_left_as_it_is() -> None:
    sock = socket.socket()
    sock.close()
    bound_buffers(sock)


# A connection that is reset: its peer does not take what it got for whole


async def test_the_peer_sees_an_error_and_no_end() -> None:
    taken: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await until(lambda: taken)
        transport = taken[0].transport
        assert isinstance(transport, asyncio.Transport) or transport is not None
        reset(transport)  # type: ignore[arg-type] # a WriteTransport by name
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        reset(transport)  # type: ignore[arg-type] # a second time is no error
