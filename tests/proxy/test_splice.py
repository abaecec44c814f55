"""One transfer inside the kernel: exactly its bytes, its end told once, and no descriptor left behind."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from devproxy.proxy import splice
from devproxy.proxy.splice import SINK, SOURCE, Splice
from tests import require
from tests.proxy.running import descriptors
from tests.proxy.sockets import connected_transport
from tests.waiting import until


@pytest.fixture(autouse=True)
def linux() -> None:
    require.linux()


class Pair:
    """Two connected transports, each with the far end in our hands, and one transfer between them."""

    def __init__(self) -> None:
        self.ends: list[str | None] = []

    async def connect(self) -> None:
        near, self.source = await connected_transport()
        far, self.sink = await connected_transport()
        self.transports = [near, far]
        await asyncio.sleep(0.001)  # uvloop opens what it needs for itself

    def start(self, first: bytes, left: int) -> Splice:
        found = splice.splice(self.transports[0], self.transports[1], first, left, self.ends.append)
        assert found is not None
        return found

    def close(self) -> None:
        for transport in self.transports:
            transport.abort()
        self.source.close()
        self.sink.close()


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    await pair.connect()
    yield pair
    pair.close()
    await asyncio.sleep(0)


async def test_a_transfer_takes_exactly_its_bytes_and_tells_its_end(pair: Pair) -> None:
    pair.start(b"begun, ", 4)
    pair.source.send(b"donethe next message")
    await until(lambda: pair.ends)
    assert pair.ends == [None]
    assert pair.sink.recv(100) == b"begun, done"


async def test_a_transfer_tells_which_side_ended_early(pair: Pair) -> None:
    pair.start(b"", 10)
    pair.source.send(b"half")
    pair.source.close()
    await until(lambda: pair.ends)
    assert pair.ends == [SOURCE]
    assert pair.sink.recv(100) == b"half"


async def test_a_sink_that_is_gone_ends_a_transfer(pair: Pair) -> None:
    pair.start(b"first", 10)
    pair.sink.close()
    await until(lambda: pair.ends)
    assert pair.ends == [SINK]


async def test_a_transfer_that_is_closed_says_nothing_and_can_be_closed_again(pair: Pair) -> None:
    before = descriptors()
    transfer = pair.start(b"", 10)
    transfer.close()
    transfer.close()
    await quiet_turn()
    assert pair.ends == []
    assert descriptors() == before


async def quiet_turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_transfer_tells_whether_it_moves(pair: Pair) -> None:
    transfer = pair.start(b"", 10)
    assert not transfer.progressed()
    pair.source.send(b"half!")
    await until(transfer.progressed)
    assert not transfer.progressed()


async def test_a_lack_of_descriptors_halfway_leaves_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
    before = descriptors()
    real = os.dup
    for allowed in (0, 1):
        left = [True] * allowed

        def dup(descriptor: int, left: list[bool] = left) -> int:
            if not left:
                raise OSError(errno.EMFILE, "no descriptors")
            left.pop()
            return real(descriptor)

        with monkeypatch.context() as patched:
            patched.setattr(os, "dup", dup)
            assert splice.splice(transport, transport, b"", 10, lambda _: None) is None
        assert descriptors() == before
    transport.abort()
    far.close()
    await quiet_turn()


async def test_what_waits_in_a_transport_or_is_encrypted_is_not_bypassed() -> None:
    class Transport:
        def __init__(self, waiting: int = 0, closing: bool = False, tls: object = None, has_socket: bool = True):
            self.waiting, self.closing = waiting, closing
            self.extra = {"sslcontext": tls, "socket": object() if has_socket else None}

        def get_write_buffer_size(self) -> int:
            return self.waiting

        def is_closing(self) -> bool:
            return self.closing

        def get_extra_info(self, name: str) -> object:
            return self.extra[name]

    plain = Transport()
    possible: Callable[..., bool] = splice.possible
    assert possible(plain, plain)
    assert possible(Transport(waiting=1), plain)
    for other in (Transport(closing=True), Transport(tls=object()), Transport(has_socket=False)):
        assert not possible(plain, other)
        assert not possible(other, plain)
    assert not possible(plain, Transport(waiting=1))
