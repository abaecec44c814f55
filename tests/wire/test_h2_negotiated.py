"""`https://` upstreams that choose HTTP/2 by ALPN (RFC 7301), and what is asked of them in HTTP/1.1 all the same."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from devproxy.registry.model import Upstream
from tests.wire.asleep import KEY, UPGRADE
from tests.wire.h2_service import Http2Service
from tests.wire.harness import Stage, get, service
from tests.wire.peer import Peer
from tests.wire.tls_peer import server_context

Alpn = list[str]


class TlsService:
    """A service on TLS; `chosen` has what each connection speaks, `connections` those that speak HTTP/2."""

    def __init__(self, alpn: Alpn, settings: dict[int, int] | None = None):
        self.context = server_context(*alpn)
        self.settings = settings
        self.chosen: list[str | None] = []
        self.connections: asyncio.Queue[Http2Service] = asyncio.Queue()
        self.port = 0
        self._server: asyncio.Server
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        self.chosen.append(chosen)
        if chosen == "h2":

            async def send(data: bytes) -> None:
                writer.write(data)
                await writer.drain()

            connection = Http2Service(lambda: reader.read(1 << 18), send, self.settings)
            connection.h2.initiate_connection()
            await connection.write()
            self.connections.put_nowait(connection)
            return
        head = await reader.readuntil(b"\r\n\r\n")
        if b"websocket" in head:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n1.1")
        await writer.drain()
        writer.close()

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._server.close()
        await asyncio.sleep(0)


@pytest.fixture
async def tls() -> AsyncIterator[Callable[..., TlsService]]:
    """A service that chooses from `alpn`; it is started by the test."""
    made: list[TlsService] = []

    def make(*alpn: str) -> TlsService:
        made.append(TlsService(list(alpn)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def started(stage: Stage, made: TlsService) -> None:
    await made.start()
    await stage.start(service("web", Upstream("https", ("127.0.0.1",), made.port)))


async def answered_once(stage: Stage, made: TlsService) -> tuple[Peer, Http2Service]:
    """A client, and the connection of HTTP/2 on which its first request was answered."""
    await started(stage, made)
    client = await stage.connect()
    await client.send(get())
    up = await made.connections.get()
    await up.answer(await up.request())
    await client.response()
    return client, up


async def test_a_service_that_chooses_http_2_gets_it(stage: Stage, tls: Callable[..., TlsService]) -> None:
    made = tls("h2", "http/1.1")
    await started(stage, made)
    client = await stage.connect()
    for turn in (b"1", b"2"):
        await client.send(get(b"/" + turn))
        if turn == b"1":
            up = await made.connections.get()
        stream = await up.request()
        assert up.fields(stream)[b":scheme"] == b"https"
        assert up.fields(stream)[b":authority"] == b"web.localhost"
        await up.answer(stream, turn)
        assert (await client.response()).body == turn
    assert made.chosen == ["h2"]


@pytest.mark.parametrize("alpn", [("http/1.1",), ("something",)])
async def test_a_service_that_does_not_gets_http_1_1(
    stage: Stage, tls: Callable[..., TlsService], alpn: tuple[str, ...]
) -> None:
    made = tls(*alpn)
    await started(stage, made)
    client = await stage.connect()
    await client.send(get())
    assert (await client.response()).body == b"1.1"
    assert made.chosen == ["http/1.1" if "http/1.1" in alpn else None]


@pytest.mark.http1
async def test_a_websocket_asks_for_http_1_1(stage: Stage, tls: Callable[..., TlsService]) -> None:
    """As browsers do: the service may answer pages in HTTP/2 and have no WebSocket there."""
    made = tls("h2", "http/1.1")
    client, up = await answered_once(stage, made)
    await client.send(get(b"/ws", *UPGRADE, KEY))
    assert (await client.response()).status == 403
    assert made.chosen == ["h2", "http/1.1"]
    await client.send(get(b"/next"))
    await up.answer(await up.request(), b"again")
    assert (await client.response()).body == b"again"


@pytest.mark.http1
async def test_a_websocket_is_a_stream_where_the_service_has_said_so(
    stage: Stage, tls: Callable[..., TlsService]
) -> None:
    made = tls("h2", "http/1.1")
    made.settings = {int(SettingCodes.ENABLE_CONNECT_PROTOCOL): 1}
    client, up = await answered_once(stage, made)
    await client.send(get(b"/ws", *UPGRADE, KEY))
    stream = await up.request()
    assert (up.fields(stream)[b":protocol"], up.fields(stream)[b":scheme"]) == (b"websocket", b"https")
    await up.respond(stream)
    assert (await client.head()).status == 101
    assert made.chosen == ["h2"]


async def test_a_service_that_wants_http_1_1_for_a_request(stage: Stage, tls: Callable[..., TlsService]) -> None:
    made = tls("h2", "http/1.1")
    client, up = await answered_once(stage, made)
    await client.send(get(b"/login"))
    await up.reset(await up.request(), ErrorCodes.HTTP_1_1_REQUIRED)
    assert (await client.response()).body == b"1.1"
    assert made.chosen == ["h2", "http/1.1"]


async def test_a_service_that_wants_http_1_1_for_the_first_request_of_all(
    stage: Stage, tls: Callable[..., TlsService]
) -> None:
    made = tls("h2", "http/1.1")
    await started(stage, made)
    client = await stage.connect()
    await client.send(get(b"/login"))
    up = await made.connections.get()
    await up.reset(await up.request(), ErrorCodes.HTTP_1_1_REQUIRED)
    assert (await client.response()).body == b"1.1"
    assert made.chosen == ["h2", "http/1.1"]


async def test_a_service_that_comes_back_without_http_2(stage: Stage, tls: Callable[..., TlsService]) -> None:
    made = tls("h2", "http/1.1")
    client, up = await answered_once(stage, made)
    await made.close()
    other = tls("http/1.1")
    other.port = made.port
    await other.start()
    await up.until_ended()
    await client.send(get())
    assert (await client.response()).body == b"1.1"
    assert other.chosen == ["http/1.1"]
