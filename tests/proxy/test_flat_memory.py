"""What a request, an aborted one and a reload make is freed with them: counts of objects, over very many.

Compiled code counts references by itself, and one that is never given back shows in no result. `sys.getallocatedblocks`
counts what Python's allocator has given out, so one lost object in a hundred requests is seen.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from devproxy.proxy.h1 import Http1Connection
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.proxy.upstream import UpstreamConnection
from devproxy.registry.model import Registry
from tests.proxy.fakes import undialled
from tests.proxy.values import LOCAL, service

pytestmark = pytest.mark.slow

REQUESTS = 1_000_000
ABORTED = 100_000
RELOADS = 10_000
ROUNDS = 20  # after as many of all these there must be no more than after the first
SLACK = 2_000  # blocks: what the interpreter and the test's own machinery keep

REQUEST = b"GET /path/%d HTTP/1.1\r\nHost: web.localhost\r\nCookie: a=%d\r\nConnection: keep-alive\r\n\r\n"
UPLOAD = (
    b"POST /%d HTTP/1.1\r\nHost: web.localhost\r\nX-Number: %d\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nhi\r\n0\r\n\r\n"
)
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Number: %d\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Number: %d\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: %d\r\n\r\n",
)


class Nowhere:
    """A transport that keeps nothing."""

    def __init__(self) -> None:
        self.ended = False

    def write(self, data: bytes) -> None:
        pass

    def writelines(self, pieces: list[bytes]) -> None:
        pass

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 80)}.get(name)

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.ended

    def is_reading(self) -> bool:
        return True

    def close(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def nowhere() -> asyncio.Transport:
    return cast(asyncio.Transport, Nowhere())


def client_of(proxy: Proxy) -> Http1Connection:
    connection = proxy.connection()
    connection.connection_made(nowhere())
    return connection


def service_of(proxy: Proxy) -> UpstreamConnection:
    """An idle connection to the service, for whoever asks next."""
    address = proxy.pool.at(LOCAL)
    connection = UpstreamConnection(address)
    connection.connection_made(nowhere())
    address.idle.append(connection)
    return connection


async def stays(one_round: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Nothing is left of twenty rounds but what was left of the first."""
    await one_round()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(ROUNDS - 1):
        await one_round()
    gc.collect()
    assert sys.getallocatedblocks() - before < SLACK


async def answered_requests() -> None:
    """Several kinds of requests and answers, all of them different, on one connection each way."""
    proxy, _ = undialled(Snapshot.of(Registry(services=(service("web"),))))
    client, up = client_of(proxy), service_of(proxy)
    numbers = iter(range(REQUESTS))

    async def some() -> None:
        for _, number in zip(range(REQUESTS // ROUNDS), numbers, strict=False):
            client.data_received((UPLOAD if number % 4 == 3 else REQUEST) % (number, number))
            if client.exchange is not None and client.exchange.upstream is not up:  # an upload gets one of its own
                client.exchange.use(up)
            up.data_received(ANSWERS[number % 3] % number)
            assert client.exchange is None

    try:
        await stays(some)
    finally:
        proxy.close()


async def aborted_requests(who: str) -> None:
    """Either side goes away at any byte of a request or its answer."""
    proxy, _ = undialled(Snapshot.of(Registry(services=(service("web"),))))
    numbers = iter(range(ABORTED))

    async def some() -> None:
        for _, number in zip(range(ABORTED // ROUNDS), numbers, strict=False):
            client, up = client_of(proxy), service_of(proxy)
            request = REQUEST % (number, number)
            client.data_received(request[: 1 + number % (len(request) + 20)])
            if client.exchange is not None:
                answer = ANSWERS[number % 3] % number
                up.data_received(answer[: number % 40])
            first, second = (client, up) if who == "client" else (up, client)
            first.connection_lost(ConnectionResetError())
            second.connection_lost(None)
            if number % 100 == 0:
                await asyncio.sleep(0)

    try:
        await stays(some)
    finally:
        proxy.close()


async def reloads() -> None:
    """Snapshots come and go, while a connection outlives them all."""
    proxy, _ = undialled(Snapshot.of(Registry(services=(service("web"),))))
    client = client_of(proxy)

    async def some() -> None:
        for number in range(RELOADS // ROUNDS):
            names = ["web", *(f"web-{number % 7}-{index}" for index in range(number % 5))]
            proxy.swap(Snapshot.of(Registry(services=tuple(service(name) for name in names))))
            up = service_of(proxy)
            client.data_received(REQUEST % (number, number))
            up.data_received(ANSWERS[0] % number)
            assert client.exchange is None
            up.connection_lost(None)

    try:
        await stays(some)
    finally:
        proxy.close()


# No loop takes part in these, so one is enough.


def test_answered_requests() -> None:
    asyncio.run(answered_requests())


@pytest.mark.parametrize("who", ["client", "service"])
def test_aborted_requests(who: str) -> None:
    asyncio.run(aborted_requests(who))


def test_reloads() -> None:
    asyncio.run(reloads())
