"""A real service of aiohttp behind the proxy, and a real client of aiohttp before it: what programs make of the bytes.

Not here: the bytes (the other files), servers of other makes (`tests/e2e/`).
"""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from devproxy.registry.model import Upstream
from tests.waiting import DEADLINE
from tests.wire.harness import Stage, service

LARGE = bytes(range(256)) * (1 << 13)  # 2 MiB: the kernel passes it on by itself


class App:
    """What the service does; `connections` are those that its uploads came on, `cancelled` tells of a lost client."""

    def __init__(self, folder: Path):
        self.file = folder / "large"
        self.file.write_bytes(LARGE)
        self.connections: set[object] = set()
        self.go_on = asyncio.Semaphore(1)
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/digest", self.digest),
                web.get("/file", self.large_file),
                web.get("/events", self.events),
                web.get("/never", self.never),
                web.get("/ws", self.websocket),
            ]
        )
        return app

    async def digest(self, request: web.Request) -> web.Response:
        self.connections.add(request.transport)
        found = sha256()
        async for piece in request.content.iter_any():
            found.update(piece)
        return web.json_response({"sha256": found.hexdigest(), "host": request.host})

    async def large_file(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(self.file)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """One event, then another only when the last one has arrived: no clock tells whether one was held back."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(5):
            await self.go_on.acquire()
            await response.write(b"data: %d\n\n" % number)
        return response

    async def never(self, request: web.Request) -> web.Response:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return web.Response()

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("chat",))
        await socket.prepare(request)
        async for message in socket:
            if message.data == "bye":
                await socket.close(code=4001, message=b"as asked")
            elif message.type == aiohttp.WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        return socket


@pytest.fixture
async def app(stage: Stage, aiohttp_server: AiohttpServer, tmp_path: Path) -> App:
    """The service, with the proxy before it."""
    made = App(tmp_path)
    server = await aiohttp_server(made.application(), host=stage.host)
    assert server.port
    await stage.start(service("web", Upstream("http", (stage.host,), server.port)))
    return made


@pytest.fixture
async def client(stage: Stage, app: App) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that speaks to the proxy, and means the service."""
    host = f"[{stage.host}]" if ":" in stage.host else stage.host
    async with aiohttp.ClientSession(
        f"http://{host}:{stage.port}",
        headers={"Host": "web.localhost"},
        timeout=aiohttp.ClientTimeout(DEADLINE),
        connector=aiohttp.TCPConnector(limit=1),
    ) as session:
        yield session


async def test_uploads_of_both_framings_arrive_whole_each_on_its_own_connection(
    app: App, client: aiohttp.ClientSession
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 100_000):
            yield LARGE[start : start + 100_000]

    for body in (BytesIO(LARGE), pieces(), b"", pieces()):
        async with client.post("/digest", data=body) as answer:
            assert answer.status == 200
            expected = b"" if body == b"" else LARGE
            assert await answer.json() == {"sha256": sha256(expected).hexdigest(), "host": "web.localhost"}
    assert len(app.connections) == 3  # the empty one is sent on what the upload before it left


async def test_a_large_file_is_the_same_to_the_byte_and_its_parts_are(client: aiohttp.ClientSession) -> None:
    async with client.get("/file") as answer:
        assert await answer.read() == LARGE
    async with client.get("/file", headers={"Range": "bytes=1000-1000999"}) as answer:
        assert answer.status == 206
        assert await answer.read() == LARGE[1000:1001000]


async def test_events_arrive_one_by_one(app: App, client: aiohttp.ClientSession) -> None:
    async with client.get("/events") as answer:
        for number in range(5):
            assert await answer.content.readuntil(b"\n\n") == b"data: %d\n\n" % number
            app.go_on.release()
        assert await answer.content.read() == b""


async def test_a_client_that_leaves_ends_what_the_service_does_for_it(stage: Stage, app: App) -> None:
    client = await stage.connect()
    await client.send(b"GET /never HTTP/1.1\r\nHost: web.localhost\r\n\r\n")
    async with asyncio.timeout(DEADLINE):
        await app.begun.wait()
        client.close()
        await app.cancelled.wait()


async def test_a_websocket_speaks_both_ways_and_says_why_it_ends(client: aiohttp.ClientSession) -> None:
    async with client.ws_connect("/ws", protocols=("chat",)) as socket:
        assert socket.protocol == "chat"
        for size in (0, 1, 125, 126, 65_535, 65_536, 1_000_000):
            await socket.send_bytes(LARGE[:size])
            assert await socket.receive_bytes(timeout=DEADLINE) == LARGE[:size]
        await socket.send_str("grüße")
        assert await socket.receive_str(timeout=DEADLINE) == "grüße"
        await socket.send_str("bye")
        message = await socket.receive(timeout=DEADLINE)
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "as asked")
