"""Clients of HTTP/2 that do what no client needs: the connection ends with the right code, and nobody else notices.

Lives here: floods of frames, resets and streams, headers that grow, windows that are misused, and frames that are none.
How much each costs is bounded: what is sent here is a few megabytes, and the end has to come before all of it.
Not here: what both fronts refuse alike (`test_bad_body.py`, `test_limits.py` …).
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable

import hpack
import pytest
from h2.errors import ErrorCodes

from devproxy.proxy.h2 import STREAMS
from tests.waiting import until
from tests.wire.h2_client import Http2Client
from tests.wire.h2_frames import (
    CONTINUATION,
    DATA,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)
from tests.wire.harness import Stage
from tests.wire.peer import Peer

pytestmark = pytest.mark.http1  # the stage's own client is not used here

CALM, BROKEN = ErrorCodes.ENHANCE_YOUR_CALM, ErrorCodes.PROTOCOL_ERROR
END_STREAM, END_HEADERS = 1, 4


def head(*more: tuple[bytes, bytes]) -> bytes:
    """A header block for `/`, which refers to nothing."""
    fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"web.localhost"), *more]
    return hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*pair) for pair in fields])


@pytest.fixture
async def client(wire: Stage) -> AsyncIterator[Http2Client]:
    """A connection to the stage that speaks HTTP/2, whose service answers nothing by itself."""
    made = await Http2Client.connect(wire)
    await made.until(lambda: made.settings)
    yield made
    made.close()


async def ends(wire: Stage, client: Http2Client, *codes: int) -> None:
    """The connection is ended with one of `codes`, everything it began is gone, and others are served."""
    await client.until_ended()
    assert client.goaways, "the connection ended without a GOAWAY"
    assert client.goaways[-1][0] in codes, client.goaways
    client.close()
    await until(lambda: not wire.proxy.exchanges)
    await wire.passes()


async def listen(peer: Peer) -> None:
    """A service that answers nothing."""
    await peer.rest()


async def flood(client: Http2Client, piece: bytes, count: int) -> None:
    """Send `piece` so often, or until the other end hangs up."""
    block = piece * 100
    for _ in range(0, count, 100):
        await client.send_raw(block)
        if client.is_hung_up():
            return
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("piece", "count"),
    [
        pytest.param(frame(PING, 0, 0, bytes(8)), 20_000, id="PING"),
        pytest.param(frame(SETTINGS, 0, 0), 20_000, id="SETTINGS"),
        pytest.param(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 70_000)), 20_000, id="SETTINGS that say something"),
        pytest.param(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)), 20_000, id="WINDOW_UPDATE by one"),
        pytest.param(frame(PRIORITY, 0, 1, struct.pack(">IB", 3, 200)), 20_000, id="PRIORITY, which is obsolete"),
    ],
)
async def test_a_flood_of_frames_that_bring_nothing(wire: Stage, client: Http2Client, piece: bytes, count: int) -> None:
    await flood(client, piece, count)
    await ends(wire, client, CALM)


async def test_a_flood_of_empty_data(wire: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/", method=b"POST", end=False)
    await wire.origin.accept()
    await flood(client, frame(DATA, 0, stream), 20_000)
    await ends(wire, client, CALM)


async def test_rapid_reset(wire: Stage, client: Http2Client) -> None:
    """CVE-2023-44487: requests that are cancelled as they are made."""
    wire.origin.always(listen)
    block, cancel = head(), struct.pack(">I", 8)
    await each_stream(
        client, lambda n: frame(HEADERS, END_STREAM | END_HEADERS, n, block) + frame(RST_STREAM, 0, n, cancel)
    )
    await ends(wire, client, CALM)


@pytest.mark.parametrize(
    "offence",
    [
        pytest.param(lambda number: frame(WINDOW_UPDATE, 0, number, bytes(4)), id="a window that opens by nothing"),
        pytest.param(
            lambda number: frame(WINDOW_UPDATE, 0, number, struct.pack(">I", 2**31 - 1)), id="a window that overflows"
        ),
        pytest.param(lambda number: frame(DATA, END_STREAM, number, b"behind the end"), id="data behind the end"),
    ],
)
async def test_made_you_reset(wire: Stage, client: Http2Client, offence: Callable[[int], bytes]) -> None:
    """CVE-2025-8671: the proxy is made to cancel requests itself, by frames that break the rules of a stream."""
    wire.origin.always(listen)
    block = head()
    await each_stream(client, lambda n: frame(HEADERS, END_STREAM | END_HEADERS, n, block) + offence(n))
    await ends(wire, client, CALM, BROKEN, ErrorCodes.STREAM_CLOSED, ErrorCodes.FLOW_CONTROL_ERROR)


async def each_stream(client: Http2Client, written: Callable[[int], bytes]) -> None:
    """Ten thousand streams, some at a time, or as many as there are until the other end hangs up."""
    for first in range(1, 20_001, 100):
        await client.send_raw(b"".join(map(written, range(first, first + 100, 2))))
        if client.is_hung_up():
            return
        await asyncio.sleep(0)


async def test_ten_thousand_streams_at_once(wire: Stage, client: Http2Client) -> None:
    """No more than the limit are under way; the others are refused without touching the service."""
    block = head()
    most = 0

    def written(number: int) -> bytes:
        nonlocal most
        most = max(most, len(wire.proxy.exchanges))
        return frame(HEADERS, END_STREAM | END_HEADERS, number, block)

    await each_stream(client, written)
    assert most <= STREAMS
    client.close()
    await until(lambda: not wire.proxy.exchanges)


async def test_continuation_flood(wire: Stage, client: Http2Client) -> None:
    """CVE-2024-27316 and its kin: a header section that never ends."""
    await client.send_raw(frame(HEADERS, END_STREAM, 1, head()))
    await flood(client, frame(CONTINUATION, 0, 1), 20_000)
    await ends(wire, client, CALM, BROKEN, ErrorCodes.INTERNAL_ERROR)


async def test_hpack_bomb(wire: Stage, client: Http2Client) -> None:
    """One large entry of the table, named over and over: a byte each."""
    large = b"\x40\x01x\x7f\x81\x1e" + b"y" * 4000  # literal with indexing, RFC 7541 §6.2.1; 127 + 3873 bytes
    await client.send_raw(frame(HEADERS, END_STREAM | END_HEADERS, 1, head() + large + b"\xbe" * 4000))
    await client.until(lambda: 1 in client.ended or client.goaways)
    assert wire.origin.untouched()
    client.close()
    await wire.passes()


async def test_trailers_that_are_too_large(wire: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/", method=b"POST", end=False)
    up = await wire.origin.accept()
    await up.head()
    await client.trailers(stream, *((b"x-%d" % number, b"y" * 1000) for number in range(40)))
    await client.until(lambda: stream in client.ended)
    assert client.status(stream) == 400
    await up.cut()


async def test_a_window_that_never_opens_keeps_little(wire: Stage, client: Http2Client) -> None:
    """As many streams as there may be, none of whose answers the client takes."""
    client.acknowledges = False

    async def answer(peer: Peer) -> None:
        await peer.head()
        await peer.try_send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + bytes(2_000_000))

    wire.origin.always(answer)
    for _ in range(20):
        await client.ask(b"/")
    await client.until(lambda: len(client.headers) == 20)
    connection = wire.h2_connection
    await until(lambda: all(wire.is_service_paused(number) for number in connection.streams))
    waiting = sum(connection.engine.queued_body_size(number) for number in connection.streams)
    assert waiting <= 20 * (1 << 19)
    client.close()
    await until(lambda: not wire.proxy.exchanges)


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param(frame(DATA, 0, 0, b"x"), id="data of no stream"),
        pytest.param(frame(HEADERS, END_HEADERS, 2, head()), id="a stream of the server's"),
        pytest.param(frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff"), id="no header block"),
        pytest.param(frame(SETTINGS, 0, 0, b"x"), id="settings of an odd size"),
        pytest.param(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1)), id="the connection's window overflows"),
        pytest.param(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(1000), id="a frame that is too large"),
        pytest.param(frame(CONTINUATION, 0, 1, b""), id="a continuation of nothing"),
        pytest.param(frame(RST_STREAM, 0, 99, bytes(4)), id="a reset of a stream that never was"),
    ],
)
async def test_frames_that_break_the_connection(wire: Stage, client: Http2Client, frames: bytes) -> None:
    await client.send_raw(frames)
    await ends(
        wire,
        client,
        BROKEN,
        ErrorCodes.FRAME_SIZE_ERROR,
        ErrorCodes.FLOW_CONTROL_ERROR,
        ErrorCodes.COMPRESSION_ERROR,
        ErrorCodes.STREAM_CLOSED,
    )


async def test_another_protocol_behind_the_preface(wire: Stage) -> None:
    peer = await wire.connect()
    await peer.send(b"PRI * HTTP/2.0\r\n\r\nNO\r\n\r\n")
    await peer.gone()
    await wire.passes()
