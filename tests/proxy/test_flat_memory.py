"""What a request, an aborted one and a reload make is freed with them: counts of objects, over very many.

Compiled code counts references by itself, and one that is never given back shows in no result.
Not here: how it is counted (`flat_memory.py`), HTTP/2 (`test_flat_memory_h2.py`), TLS (`test_flat_memory_tls.py`).
"""

import asyncio

import pytest

from devproxy.proxy.h1 import Http1Connection
from devproxy.proxy.in_process import connect_in_process
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.registry.model import Registry
from tests.proxy.fakes import undialled
from tests.proxy.flat_memory import ROUNDS, Nowhere, real, service_of, stays
from tests.proxy.values import CLIENT, service

pytestmark = pytest.mark.slow

REQUESTS = 1_000_000
ABORTED = 100_000
RELOADS = 10_000
IN_PROCESS = 10_000

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


def client_of(proxy: Proxy) -> Http1Connection:
    connection = proxy.connection()
    connection.connection_made(real(Nowhere()))
    return connection


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


async def connections_within_this_process() -> None:
    """As those to our own pages are: both ends hear of the other's end."""

    async def some() -> None:
        for _ in range(IN_PROCESS // ROUNDS):
            connect_in_process(Keeping(), Keeping(), CLIENT).transport.close()
            await asyncio.sleep(0)

    await stays(some)


class Keeping(asyncio.Protocol):
    """Keeps its transport."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport


# No loop takes part in these, so one is enough.


def test_answered_requests() -> None:
    asyncio.run(answered_requests())


@pytest.mark.parametrize("who", ["client", "service"])
def test_aborted_requests(who: str) -> None:
    asyncio.run(aborted_requests(who))


def test_reloads() -> None:
    asyncio.run(reloads())


def test_connections_within_this_process() -> None:
    asyncio.run(connections_within_this_process())
