"""A check over HTTP/2: what is asked, and what each answer means; the other end is python-hyper's `h2`.

Not here: everything that holds for a check whatever it speaks (`test_probe.py`).
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from h2.errors import ErrorCodes
from hypothesis import given
from hypothesis import strategies as st

from devproxy.health.http2 import Http2Reader
from devproxy.health.model import Check
from devproxy.health.probe import probe
from devproxy.http1.response import INTERIM_LIMIT
from devproxy.registry.model import Health, ProxySettings, Scheme, Upstream
from tests.health.things import service
from tests.waiting import DEADLINE
from tests.wire.h2_frames import SETTINGS, frame
from tests.wire.h2_service import Http2Service
from tests.wire.tls_peer import server_context

Act = Callable[[Http2Service, int], Awaitable[None]]
PATH = "/healthz?full=1"


@contextlib.asynccontextmanager
async def answering(act: Act, context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[Http2Service]]]:
    """A service that does `act` with a request's stream, then reads to the end; its port, and its connections."""
    made: list[Http2Service] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        up = Http2Service(lambda: reader.read(1 << 16), send)
        made.append(up)
        up.h2.initiate_connection()
        await up.write()
        with contextlib.suppress(AssertionError):  # it has parted
            await act(up, await up.request())
            await up.until_ended()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], made
    finally:
        server.close()


async def checked(port: int, scheme: Scheme = "h2c", settings: ProxySettings | None = None) -> Check:
    asked = service(upstream=Upstream(scheme, ("127.0.0.1",), port), health=Health(path=PATH, timeout=DEADLINE))
    return await probe(asked, settings or ProxySettings(), "")


@pytest.mark.parametrize("scheme", ["h2c", "https"])
async def test_what_is_asked(scheme: Scheme) -> None:
    context = server_context("h2") if scheme == "https" else None
    async with answering(lambda up, stream: up.respond(stream, status=204, end=True), context) as (port, made):
        check = await checked(port, scheme)
        assert (check.up, check.why) == (True, f"GET {PATH} was answered 204")
        assert check.host == "127.0.0.1"
        (up,) = made
        assert up.headers[1] == [
            (b":method", b"GET"),
            (b":scheme", b"https" if scheme == "https" else b"http"),
            (b":authority", b"web.localhost"),
            (b":path", PATH.encode()),
            (b"accept", b"*/*"),
            (b"user-agent", b"devproxy-health"),
        ]
        assert 1 in up.ended
        assert up.goaways == [ErrorCodes.NO_ERROR]


async def test_a_status_that_does_not_count() -> None:
    async with answering(lambda up, stream: up.answer(stream, status=503)) as (port, _):
        check = await checked(port)
    assert (check.up, check.why) == (False, f"GET {PATH} was answered 503, not 2xx")


async def test_a_body_without_an_end_is_not_waited_for() -> None:
    async def act(up: Http2Service, stream: int) -> None:
        await up.respond(stream)
        await up.data(stream, bytes(1000), end=False)

    async with answering(act) as (port, _):
        assert (await checked(port)).up


async def test_interim_answers_are_passed_over() -> None:
    async def act(up: Http2Service, stream: int) -> None:
        await up.respond(stream, status=103)
        await up.respond(stream, status=200, end=True)

    async with answering(act) as (port, _):
        assert (await checked(port)).up


async def test_an_endless_run_of_them_is_no_answer() -> None:
    async def act(up: Http2Service, stream: int) -> None:
        for _ in range(INTERIM_LIMIT + 1):
            await up.respond(stream, status=103)

    async with answering(act) as (port, _):
        check = await checked(port)
    assert not check.up
    assert "1xx" in check.why


async def test_a_reset() -> None:
    async with answering(lambda up, stream: up.reset(stream, ErrorCodes.REFUSED_STREAM)) as (port, _):
        check = await checked(port)
    assert not check.up
    assert "reset the request without answering (code 0x7" in check.why


async def test_one_that_wants_http_1_1_for_it() -> None:
    chosen = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        if chosen[-1] == "h2":

            async def send(data: bytes) -> None:
                writer.write(data)
                await writer.drain()

            up = Http2Service(lambda: reader.read(1 << 16), send)
            up.h2.initiate_connection()
            await up.write()
            await up.reset(await up.request(), ErrorCodes.HTTP_1_1_REQUIRED)
            await up.until_ended()
        else:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context("h2", "http/1.1"))
    check = await checked(server.sockets[0].getsockname()[1], "https")
    server.close()
    assert (check.up, chosen) == (True, ["h2", "http/1.1"])


async def test_a_header_over_the_limit() -> None:
    async with answering(lambda up, stream: up.respond(stream, (b"x", b"y" * 5000), end=True)) as (port, _):
        check = await checked(port, settings=ProxySettings(max_response_header=4096))
    assert not check.up
    assert "max_response_header" in check.why


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak it: 'HTTP/1.1 400"),
        (frame(SETTINGS, 0, 0) + b"\xff\xff\xff\0\0\0\0\0\1", "breaks the rules"),
        (b"", "without an answer"),
    ],
)
async def test_what_is_no_http_2(says: bytes, why: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(24)
        writer.write(says)
        await writer.drain()
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    check = await checked(server.sockets[0].getsockname()[1])
    server.close()
    assert not check.up
    assert why in check.why


@given(st.lists(st.binary(max_size=200), max_size=5), st.booleans())
def test_any_bytes_are_read(pieces: list[bytes], begins_well: bool) -> None:
    reader = Http2Reader(ProxySettings(), "http", "web.localhost", "/")
    assert reader.reply().startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    for piece in [frame(SETTINGS, 0, 0)] * begins_well + pieces:
        outcome = reader.feed(piece)
        reader.reply()
        if outcome is not None:
            assert isinstance(outcome, int) or outcome.isprintable()
            return
