"""After a 101, by itself: bytes, pauses and both kinds of end pass from either side to the other."""

import asyncio
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from devproxy.proxy.tunnel import TunnelEnd, join
from tests.proxy.sockets import connected_transport
from tests.proxy.values import LOCAL
from tests.waiting import DEADLINE, until


class Tunnel:
    """Two transports joined, `near` and `far` the ends that a client and a service hold."""

    def __init__(self) -> None:
        self.tunnels: set[TunnelEnd] = set()
        self.liveness_watched: set[Any] = set()
        self.owner: Any = SimpleNamespace(watch_liveness=self.liveness_watched.add, end_tunnel=self.tunnels.discard)

    async def open(self) -> None:
        client, self.near = await connected_transport()
        service, self.far = await connected_transport()
        self.ours = [client, service]
        for transport in self.ours:
            transport.pause_reading()
        self.tunnels.update(join(client, service, self.owner, LOCAL))

    async def receive(self, sock: socket.socket, size: int = 100) -> bytes:
        async with asyncio.timeout(DEADLINE):
            return await asyncio.get_running_loop().sock_recv(sock, size)

    def close(self) -> None:
        for transport in self.ours:
            transport.abort()
        self.near.close()
        self.far.close()


@pytest.fixture
async def tunnel() -> AsyncIterator[Tunnel]:
    found = Tunnel()
    await found.open()
    yield found
    found.close()
    await until(lambda: not found.tunnels)


async def test_bytes_go_both_ways(tunnel: Tunnel) -> None:
    tunnel.near.send(b"up")
    assert await tunnel.receive(tunnel.far) == b"up"
    tunnel.far.send(b"down")
    assert await tunnel.receive(tunnel.near) == b"down"
    assert len(tunnel.tunnels) == 2


@pytest.mark.parametrize("first", ["near", "far"])
async def test_a_half_close_passes_and_the_other_direction_goes_on(tunnel: Tunnel, first: str) -> None:
    one, other = (tunnel.near, tunnel.far) if first == "near" else (tunnel.far, tunnel.near)
    one.send(b"last")
    one.shutdown(socket.SHUT_WR)
    assert await tunnel.receive(other) == b"last"
    assert await tunnel.receive(other) == b""
    assert len(tunnel.liveness_watched) == 1
    other.send(b"still here")
    assert await tunnel.receive(one) == b"still here"
    other.shutdown(socket.SHUT_WR)
    assert await tunnel.receive(one) == b""
    await until(lambda: not tunnel.tunnels)


async def test_a_side_that_is_gone_takes_the_other_along(tunnel: Tunnel) -> None:
    tunnel.ours[0].abort()
    assert await tunnel.receive(tunnel.far) == b""
    await until(lambda: not tunnel.tunnels)


async def test_a_side_that_does_not_read_stops_the_other_and_gets_everything_afterwards(tunnel: Tunnel) -> None:
    loop = asyncio.get_running_loop()
    data = bytes(range(256)) * (1 << 14)
    sending = asyncio.ensure_future(loop.sock_sendall(tunnel.near, data))
    await until(lambda: not tunnel.ours[0].is_reading())
    assert not sending.done()
    assert tunnel.liveness_watched
    received = b""
    while len(received) < len(data):
        received += await tunnel.receive(tunnel.far, 1 << 18)
    await sending
    assert received == data
    assert not any(watched.check_liveness() for watched in tunnel.liveness_watched)
