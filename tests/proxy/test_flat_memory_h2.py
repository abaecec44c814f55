"""The same over HTTP/2, at either end: requests that are answered, reset, or lost with their connection are freed.

The other end of each connection is an engine in this process, whose memory is counted with ours.
"""

import asyncio
import itertools
from contextlib import suppress

import pytest

from devproxy.http1.h2_fields import CANCEL, INTERNAL_ERROR
from devproxy.proxy.exchange import Exchange
from devproxy.proxy.h2 import Http2Connection
from devproxy.proxy.h2_engine import Connection, Event, NGH2Error, RequestReceived, Role
from devproxy.proxy.h2_upstream import Http2Upstream
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.proxy.upstream import UpstreamConnection
from devproxy.registry.model import Registry, Upstream
from tests.proxy.fakes import undialled
from tests.proxy.flat_memory import ROUNDS, Nowhere, dialled, real, stays
from tests.proxy.values import service

pytestmark = pytest.mark.slow

REQUESTS = 100_000
ABORTED = 20_000
TO_H2 = 20_000
AT_ONCE = 10  # streams on a connection
BATCHES = 10  # of these, where some are reset
ABORTED_AT_ONCE = 20  # a connection bears no more that is done in vain

ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Number: %d\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Number: %d\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: %d\r\n\r\n",
)
H2_SERVICE = Upstream("h2c", ("127.0.0.1", "::1"), 5173)


class Wire(Nowhere):
    """Keeps what is written until the other end takes it."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__(protocol)
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)


class FarEnd:
    """The other end of a connection of the proxy's."""

    def __init__(self, protocol: Http2Connection | Http2Upstream, role: Role):
        self.protocol = protocol
        self.wire = Wire(protocol)
        self.engine = Connection(role)
        protocol.connection_made(real(self.wire))
        self.engine.initiate_connection()
        self.say()

    def say(self) -> None:
        """Let the proxy have what there is."""
        data = self.engine.data_to_send()
        if data and not self.wire.ended:
            self.protocol.data_received(data)

    def hear(self) -> list[Event]:
        """Take what the proxy has written."""
        data = b"".join(self.wire.written)
        self.wire.written.clear()
        self.engine.receive_data(data)
        return self.engine.events()

    def ask(self, number: int, *, upload: bool = False, end: bool = True) -> int:
        method = b"POST" if upload else b"GET"
        pseudo = [(b":method", method), (b":scheme", b"http"), (b":authority", b"web.localhost")]
        fields = [(b":path", b"/path/%d" % number), (b"cookie", b"a=%d" % number)]
        stream = self.engine.send_request([*pseudo, *fields], end_stream=not upload)
        if upload:
            self.engine.send_data(stream, b"hi", end_stream=end)
        return stream


def client_of(proxy: Proxy) -> FarEnd:
    return FarEnd(Http2Connection(proxy), Role.CLIENT)


def exchanges_of(client: FarEnd) -> list[Exchange]:
    """Those under way, each with a connection to the service."""
    assert isinstance(client.protocol, Http2Connection)
    found = [stream.exchange for stream in client.protocol.streams.values() if stream.exchange is not None]
    for exchange in found:
        if exchange.upstream is None:
            dialled(exchange)
    return found


def up_of(exchange: Exchange) -> UpstreamConnection:
    assert isinstance(exchange.upstream, UpstreamConnection)
    return exchange.upstream


async def answered_requests() -> None:
    """Several kinds of requests and answers, all of them different, on few connections."""
    proxy, _ = undialled(Snapshot.of(Registry(services=(service("web"),))))
    clients = [client_of(proxy) for _ in range(4)]
    numbers = itertools.count()

    async def some() -> None:
        for batch in range(REQUESTS // ROUNDS // AT_ONCE):
            client = clients[batch % len(clients)]
            for index in range(AT_ONCE):
                client.ask(next(numbers), upload=index % 4 == 3)
            client.say()
            asked = exchanges_of(client)
            assert len(asked) == AT_ONCE
            for index, exchange in enumerate(asked):
                up_of(exchange).data_received(ANSWERS[index % 3] % next(numbers))
            await asyncio.sleep(0)
            client.hear()
            client.say()
            assert not exchanges_of(client)

    try:
        await stays(some)
    finally:
        proxy.close()


async def aborted_requests() -> None:
    """Streams that the client resets, connections of services that end at any byte, answers that are no HTTP; at last
    the client's connection ends, with some of them under way."""
    proxy, _ = undialled(Snapshot.of(Registry(services=(service("web"),))))
    numbers = iter(range(ABORTED))

    async def some() -> None:
        for _ in range(ABORTED // ROUNDS // ABORTED_AT_ONCE):
            client = client_of(proxy)
            batch = [next(numbers) for _ in range(ABORTED_AT_ONCE)]
            streams = [client.ask(number, upload=number % 3 == 0, end=number % 2 == 0) for number in batch]
            client.say()
            asked = exchanges_of(client)
            assert len(asked) == ABORTED_AT_ONCE
            for number, exchange in zip(batch, asked, strict=True):
                answer = ANSWERS[number % 3] % number
                up = up_of(exchange)
                up.data_received(answer[: number % (len(answer) - 10)])
                if number % 5 == 0:
                    up.connection_lost(ConnectionResetError())
                elif number % 5 == 1 and not exchange.ended:
                    up.data_received(b"\r\n\r\n" * 3 + b"no answer\r\n")
            await asyncio.sleep(0)
            client.hear()
            for number, stream in zip(batch, streams, strict=True):
                if number % 5 in (2, 3):
                    with suppress(NGH2Error):  # it has ended
                        client.engine.reset_stream(stream, CANCEL)
            client.say()
            await asyncio.sleep(0)
            client.hear()
            assert not client.wire.ended
            client.wire.lose(ConnectionResetError())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not proxy.exchanges
            assert not proxy.connections

    try:
        await stays(some)
    finally:
        proxy.close()


def answer(end: FarEnd, stream: int, number: int) -> None:
    """What a service of HTTP/2 answers: a body, a body and trailers, or nothing."""
    fields = [(b":status", b"204" if number % 3 == 2 else b"200"), (b"x-number", b"%d" % number)]
    end.engine.send_response(stream, fields, end_stream=number % 3 == 2)
    if number % 3 == 0:
        end.engine.send_data(stream, b"ok", end_stream=True)
    elif number % 3 == 1:
        end.engine.send_data(stream, b"ok")
        end.engine.send_trailers(stream, [(b"a", b"b")])


async def one_batch(client: FarEnd, end: FarEnd, numbers: list[int]) -> None:
    """Requests to a service that speaks HTTP/2: it answers, resets the stream, or its client does."""
    streams = [client.ask(number, upload=number % 4 == 3) for number in numbers]
    client.say()
    await asyncio.sleep(0)
    asked = [event.stream_id for event in end.hear() if isinstance(event, RequestReceived)]
    for number, stream in zip(numbers, asked, strict=True):
        if number % 7 == 0:
            end.engine.reset_stream(stream, INTERNAL_ERROR)
        elif number % 7 > 1:
            answer(end, stream, number)
    end.say()
    for number, stream in zip(numbers, streams, strict=True):
        if number % 7 == 1:
            client.engine.reset_stream(stream, CANCEL)
    client.say()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for one in (client, end):
        one.hear()
        one.say()


async def requests_to_h2() -> None:
    """Few batches on a connection, since resets are what neither end bears without an end; then it is lost."""
    proxy, _ = undialled(Snapshot.of(Registry(services=(service("web", upstream=H2_SERVICE),))))
    numbers = iter(range(TO_H2))

    async def some() -> None:
        for _ in range(TO_H2 // ROUNDS // AT_ONCE // BATCHES):
            client = client_of(proxy)
            end = FarEnd(Http2Upstream(proxy.pool.at(H2_SERVICE), proxy), Role.SERVER)
            for _ in range(BATCHES):
                await one_batch(client, end, [next(numbers) for _ in range(AT_ONCE)])
                assert not proxy.exchanges
            for one in (client, end):
                one.wire.lose(ConnectionResetError())
            await asyncio.sleep(0)

    try:
        await stays(some)
    finally:
        proxy.close()


# No loop takes part in these, so one is enough.


def test_answered_requests() -> None:
    asyncio.run(answered_requests())


def test_aborted_requests() -> None:
    asyncio.run(aborted_requests())


def test_requests_to_a_service_that_speaks_http2() -> None:
    asyncio.run(requests_to_h2())
