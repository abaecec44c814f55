"""Fuzz of HTTP/2: whole connections of a client as frames, mutated, header blocks among them; two judges.

Lives here: the mutations, and what must hold for all of them: no crash, no hang, whatever reaches the service is whole
valid HTTP/1.1 to h11, and where python-hyper's `h2` takes every byte it is the same requests that `h2` has read; a
connection that ends says why; the next one is served.
Not here: the mutations of HTTP/1.1 (`test_fuzz.py`), what is known to be hostile (`test_h2_hostile.py`).

The suite runs the same examples every time; `DEVPROXY_FUZZ=20000` runs that many random ones.
"""

import asyncio
import contextlib
import socket
import struct

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import hpack
from hypothesis import given
from hypothesis import strategies as st

from tests.waiting import until
from tests.wire import oracle
from tests.wire.h2_frames import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frames,
    frame,
)
from tests.wire.harness import Stage
from tests.wire.test_fuzz import FUZZ, Loop, loop_factory, running_stage, serve

__all__ = ["loop_factory"]  # the fixture

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
LAST = b"last one"  # the payload of a PING, whose answer says that everything before it was read


def block(method: bytes, path: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A header block that refers to nothing but the static table."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    fields = [(b":method", method), (b":scheme", b"http"), (b":authority", b"web.localhost"), (b":path", path), *more]
    return encoder.encode(fields)


GET = frame(HEADERS, END_STREAM | END_HEADERS, 1, block(b"GET", b"/a?b", (b"cookie", b"a=1"), (b"cookie", b"b=2")))
POST = (
    frame(HEADERS, END_HEADERS, 3, block(b"POST", b"/p", (b"content-length", b"11")))
    + frame(DATA, 0, 3, b"hello ")
    + frame(DATA, END_STREAM, 3, b"world")
)
TRAILERS = (
    frame(HEADERS, 0, 5, block(b"PUT", b"/t", (b"te", b"trailers"))[:7])
    + frame(CONTINUATION, END_HEADERS, 5, block(b"PUT", b"/t", (b"te", b"trailers"))[7:])
    + frame(DATA, PADDED, 5, b"\x03body\0\0\0")
    + frame(HEADERS, END_STREAM | END_HEADERS, 5, hpack.Encoder().encode([(b"x-sum", b"1")]))
)
OTHERS = (
    frame(PING, 0, 0, bytes(8))
    + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1000))
    + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 100_000))
    + frame(PRIORITY, 0, 7, struct.pack(">IB", 0, 16))
    + frame(0xAB, 0xFF, 9, b"unknown")
)
CANCELLED = frame(HEADERS, END_HEADERS, 7, block(b"POST", b"/c")) + frame(RST_STREAM, 0, 7, struct.pack(">I", 8))
SEEDS = [GET, POST, TRAILERS, GET + POST + TRAILERS, OTHERS + GET, GET + OTHERS + POST, CANCELLED + TRAILERS]
WORDS = [
    *[bytes([byte]) for byte in b"\x00\x01\x04\x05\x08\x24\x25\x7f\x80\xbe\xff"],
    *[b"\x00\x00\x00", b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"\x40\x01:\x01x", b"\x20", b"\x3f\xe1\xff\x03"],
    frame(GOAWAY, 0, 0, bytes(8)),
    frame(DATA, END_STREAM, 1, b"late"),
    frame(HEADERS, END_HEADERS, 3, block(b"GET", b"/again")),
    frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 2**31)),
    frame(WINDOW_UPDATE, 0, 1, bytes(4)),
]


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """What a client sends behind its settings: a seed, and one after a few edits of bytes or of whole frames."""
    good, data = draw(st.sampled_from([b"", GET])), draw(st.sampled_from(SEEDS[1:]))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 1, 2, 9])))
        new = draw(st.sampled_from([b"", data[start:end] * 2, draw(st.sampled_from(SEEDS)), *WORDS]))
        data = data[:start] + new + data[end:]
    return good, data


def read_by_h2(data: bytes) -> list[tuple[bytes, bytes, bytes]] | None:
    """(method, path, body) of each whole request that `h2` reads; None where it refuses anything."""
    judge = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=False))
    judge.initiate_connection()
    begun: dict[int, tuple[bytes, bytes]] = {}
    bodies: dict[int, bytes] = {}
    whole = []
    try:
        for event in judge.receive_data(data):
            if isinstance(event, h2.events.RequestReceived) and event.stream_id:
                fields = {bytes(name): bytes(value) for name, value in event.headers or ()}
                begun[event.stream_id] = fields[b":method"], fields[b":path"]
            elif isinstance(event, h2.events.DataReceived) and event.stream_id:
                bodies[event.stream_id] = bodies.get(event.stream_id, b"") + (event.data or b"")
            elif isinstance(event, h2.events.StreamEnded) and event.stream_id:
                whole.append((*begun[event.stream_id], bodies.get(event.stream_id, b"")))
    except (h2.exceptions.ProtocolError, KeyError):
        return None
    return whole


async def check_case(stage: Stage, good: bytes, frames: bytes) -> int:
    """How many requests have reached the service."""
    await stage.origin.forget()
    stage.origin.always(serve)
    client = await stage.connect()
    sent = PREFACE + frame(SETTINGS, 0, 0) + good
    await client.try_send(sent)
    if good:
        await until(lambda: stage.origin.peers and stage.origin.peers[0].received)
    sent += frames
    await client.try_send(frames + frame(PING, 0, 0, LAST))
    with contextlib.suppress(TimeoutError):  # the end of `frames` may have made it a part of something else
        async with asyncio.timeout(0.2):
            while not (client.ended or (LAST in client.received and not stage.proxy.exchanges)):
                await client.more("the end")
    with contextlib.suppress(OSError):
        client.sock.shutdown(socket.SHUT_WR)
    said = bytes(client.received) + (b"" if client.ended else await client.gone())
    client.close()
    await until(lambda: not stage.proxy.exchanges)
    kinds = [one[3] for one in Frames().cut(said)]
    assert kinds[:1] == [SETTINGS]
    found = [request for peer in stage.origin.peers for request in oracle.strict_requests(bytes(peer.received))[0]]
    judged = read_by_h2(sent)
    if judged is not None:
        for request in found:
            assert (request.method, request.target, request.body) in judged, (frames, request, judged)
    await stage.passes(b"/check")
    assert not stage.loop_errors
    return len(found)


def test_mutated_connections(loop_factory: Loop) -> None:
    reached = 0
    with running_stage(loop_factory) as (runner, stage):

        @FUZZ
        @given(mutated())
        def check(sent: tuple[bytes, bytes]) -> None:
            nonlocal reached
            reached += runner.run(check_case(stage, *sent))

        check()
    assert reached > 100
