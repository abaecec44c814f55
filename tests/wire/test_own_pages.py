"""devproxy's own pages: an upstream like any other, but that it is in this process; a kept connection survives it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.waiting import until
from tests.wire.harness import OK, Stage, get

OWN = b"devproxy.localhost"
BIG = bytes(range(256)) * (1 << 14)  # 4 MiB


class Pages:
    """An application with one of each kind of answer; `ended` are the streams whose reader went away."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.received: list[bytes] = []
        self.app = web.Application(client_max_size=2 * len(BIG))
        self.app.add_routes([web.get("/", self.small), web.get("/big", self.big), web.get("/events", self.events)])
        self.app.add_routes([web.post("/take", self.take)])
        self.runner = web.AppRunner(self.app, handler_cancellation=True, access_log=None)

    async def small(self, request: web.Request) -> web.Response:
        return web.Response(text=request.headers["Host"])

    async def big(self, _: web.Request) -> web.Response:
        return web.Response(body=BIG)

    async def take(self, request: web.Request) -> web.Response:
        self.received.append(await request.read())
        return web.Response(status=204)

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await response.write(b"data: 1\n\n")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.ended.append("events")
            raise
        return response


@pytest.fixture
async def pages(wire: Stage) -> AsyncIterator[Pages]:
    found = Pages()
    await found.runner.setup()
    wire.proxy.control = found.runner.server
    yield found
    await found.runner.cleanup()


async def test_one_connection_serves_names_and_own_pages_in_turn(wire: Stage, pages: Pages) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(OK)
    await client.expect(OK)
    for turn in range(3):
        await client.send(get(host=OWN))
        message = await client.response()
        assert (message.status, message.body) == (200, OWN)
        assert message.head.all(b"Connection") == []
        await client.send(get(b"/%d" % turn))
        assert (await up.head()).target == b"/%d" % turn
        await up.send(OK)
        await client.expect(OK)


async def test_pipelined_requests_are_answered_in_order(wire: Stage, pages: Pages) -> None:
    client = await wire.connect()
    await client.send((get(host=OWN) + get(host=b"nobody.localhost")) * 20)
    for _ in range(20):
        assert (await client.response()).status == 200
        assert (await client.response()).status == 404


async def test_head_has_a_length_and_no_body(wire: Stage, pages: Pages) -> None:
    client = await wire.connect()
    await client.send(get(host=OWN, method=b"HEAD") + get(host=OWN))
    assert (await client.response(b"HEAD")).head.one(b"Content-Length") == b"%d" % len(OWN)
    assert (await client.response()).body == OWN


async def test_bodies_go_both_ways_whole(wire: Stage, pages: Pages) -> None:
    client = await wire.connect()
    sending = asyncio.create_task(
        client.send(get(b"/take", b"Content-Length: %d" % len(BIG), host=OWN, method=b"POST") + BIG)
    )
    assert (await client.response()).status == 204
    await sending
    assert pages.received == [BIG]
    await client.send(get(b"/big", host=OWN))
    assert (await client.response()).body == BIG


@pytest.mark.http1
@pytest.mark.plain
async def test_a_client_that_reads_nothing_stops_the_page_and_takes_no_memory(wire: Stage, pages: Pages) -> None:
    client = await wire.connect(receive_buffer=4096)
    await client.send(get(b"/big", host=OWN) * 10)
    await until(lambda: wire.proxy.connections and wire.connection._choked)
    assert wire.connection.transport.get_write_buffer_size() < 8 << 20
    for _ in range(10):
        assert (await client.response()).body == BIG


async def test_a_stream_ends_when_its_reader_goes_away(wire: Stage, pages: Pages) -> None:
    client = await wire.connect()
    await client.send(get(b"/events", host=OWN))
    assert b"data: 1" in await client.until(b"data: 1\n\n")
    client.close()
    await until(lambda: pages.ended)
    await until(lambda: not wire.proxy.exchanges)


async def test_a_page_that_fails_is_an_answer_like_any_other(wire: Stage, pages: Pages) -> None:
    client = await wire.connect()
    await client.send(get(b"/nowhere", host=OWN) + get(host=OWN))
    assert (await client.response()).status == 404
    assert (await client.response()).status == 200


async def test_they_are_counted_as_devproxys_own(wire: Stage, pages: Pages) -> None:
    client = await wire.connect()
    await client.send(get(host=OWN))
    await client.response()
    assert wire.proxy.counts == {"devproxy": {200: 1}}


class _Mute(asyncio.Protocol):
    """Takes the request, and ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.close()


async def test_pages_that_end_without_an_answer_are_not_dialled(wire: Stage, pages: Pages) -> None:
    """No socket leads there: to try again as with a service would only tell of a service at no address."""
    client = await wire.connect()
    await client.send(get(host=OWN))
    assert (await client.response()).status == 200
    wire.proxy.control = _Mute
    await client.send(get(host=OWN))
    message = await client.response()
    assert (message.status, message.head.one(b"Devproxy-Error")) == (502, b"upstream-closed")
