"""Fuzz: the wire tests' own bytes, mutated, in both directions, with h11 as the judge.

Lives here: the mutations and what must hold for all of them: no crash, no hang, the next request on a fresh connection
is right, the service saw whole valid requests only, the client only valid responses, and nobody read another message
than h11 does.
Not here: how h11 judges (`oracle.py`), the parsers by themselves (`tests/proxy/`).

The suite runs the same examples every time; `DEVPROXY_FUZZ=20000` runs that many random ones.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import h11
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests import require
from tests.wire import oracle
from tests.wire.harness import HOST, OK, Stage, crlf, get, service
from tests.wire.peer import Peer
from tests.wire.test_bad_answer import CHUNKS as ANSWER_CHUNKS
from tests.wire.test_bad_answer import HEADS
from tests.wire.test_bad_body import CHUNKS
from tests.wire.test_bad_head import BAD
from tests.wire.test_interim import CONTINUE, HINTS
from tests.wire.test_upgrade import ACCEPT, HANDSHAKE, SWITCH

pytestmark = pytest.mark.http1  # it speaks of what HTTP/1.1 alone has

Loop = Callable[[], asyncio.AbstractEventLoop]
_EXAMPLES = int(os.environ.get("DEVPROXY_FUZZ", "0"))
FUZZ = settings(
    max_examples=_EXAMPLES or 400,
    derandomize=not _EXAMPLES,
    deadline=None,
    database=None,
    phases=(Phase.generate,),  # an example that hangs would be waited for again at each step of shrinking it
    suppress_health_check=list(HealthCheck),
)

POST = crlf(b"POST /p HTTP/1.1", HOST, b"Content-Length: 11") + b"hello world"
CODING = b"Transfer-Encoding: chunked"
CHUNKED = crlf(b"PUT /c HTTP/1.1", HOST, CODING) + b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\n"
PIPELINE = POST + get(b"/second") + CHUNKED + get(b"/last", b"Connection: close")
GOOD_REQUESTS = [
    get(b"/a?b=c", b"Connection: keep-alive, X-Y", b"X-Y: 1", b"Cookie: a=b"),
    POST,
    CHUNKED,
    PIPELINE,
    PIPELINE + get(b"/never"),
    CHUNKED + POST + POST,
    get(b"/1") + get(b"/2", method=b"HEAD") + get(b"/3"),
    get(b"http://web.localhost/abs?x", method=b"OPTIONS"),
    crlf(b"GET /old HTTP/1.0", HOST, b"Connection: keep-alive"),
    HANDSHAKE,
    crlf(b"POST / HTTP/1.1", HOST, b"Transfer-Encoding: chunked") + b"4\r\ngood\r\n",
]
BAD_REQUESTS = [
    *[data for data in BAD.values() if len(data) < 500],
    *[crlf(b"POST /b HTTP/1.1", HOST, CODING) + bad for bad in CHUNKS.values() if len(bad) < 200],
]
GOOD_ANSWERS = [
    OK,
    crlf(b"HTTP/1.1 200 OK", CODING, b"Set-Cookie: a=b") + b"5;x\r\nhello\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
    crlf(b"HTTP/1.0 200 OK", b"Connection: close") + b"until the end",
    CONTINUE + HINTS + OK,
    crlf(b"HTTP/1.1 304 Not Modified", b"Content-Length: 5"),
    crlf(b"HTTP/1.1 204 No Content"),
    SWITCH + b"\x81\x00",
]
BAD_ANSWERS = [
    *[data for data in HEADS.values() if len(data) < 500],
    *[crlf(b"HTTP/1.1 200 OK", CODING) + bad for bad in ANSWER_CHUNKS.values() if len(bad) < 200],
]
WORDS = [
    *[bytes([byte]) for byte in b'\x00\t\n\r :;,/#*0159af\x7f\x80\xff"-+'],
    *[b"\r\n", b"\r\n\r\n", b"\n\n", b"0\r\n\r\n", b"HTTP/1.1", b"HTTP/1.0", b"chunked", b"close"],
    *[b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 101 x\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
    *[b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"],
    *[b"Connection: Upgrade\r\nUpgrade: foo\r\n", b"Connection: Content-Length, Transfer-Encoding, Host\r\n"],
    *[b"Expect: 100-continue\r\n", b"Host: web.localhost\r\n"],
]


@st.composite
def mutated(draw: st.DrawFn, good: list[bytes], bad: list[bytes]) -> list[bytes]:
    """A seed after a few edits, in the pieces in which it is sent; as many from `good` as from `bad`."""
    seeds = draw(st.sampled_from([good, bad]))
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 1, 2, 5, 20])))
        other = draw(st.sampled_from(seeds))
        cut = draw(st.integers(0, len(other)))
        new = draw(st.sampled_from([b"", data[start:end] * 2, other[cut : cut + 30], *WORDS]))
        data = data[:start] + new + data[end:]
    marks = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=3))})
    return [data[a:b] for a, b in pairwise(marks)]


async def _send(peer: Peer, pieces: list[bytes]) -> None:
    for piece in pieces:
        await peer.try_send(piece)
        await asyncio.sleep(0)  # lets the proxy read this piece by itself, mostly


async def serve(peer: Peer) -> None:
    """Answer each whole request that h11 finds; stop at what it refuses."""
    done = 0
    while not peer.ended:
        await peer.more("a request")
        whole = oracle.strict_requests(bytes(peer.received))[0]
        for request in whole[done:]:
            await peer.send(OK if request.method != b"HEAD" else OK[:-2])
        done = len(whole)


def _is_subsequence(part: list[oracle.Request], whole: list[oracle.Request]) -> bool:
    rest = iter(whole)
    return all(request in rest for request in part)


async def _request_case(stage: Stage, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    await stage.origin.forget()
    stage.origin.always(serve)
    client = await stage.connect()
    await _send(client, pieces)
    with contextlib.suppress(OSError):
        client.half_close()
    said = await client.gone()
    client.close()
    expected = oracle.requests(data)
    seen = [oracle.strict_requests(bytes(peer.received)) for peer in stage.origin.peers]
    whole = [request for found, _ in seen for request in found]
    assert len(stage.origin.peers) > 1 or _is_subsequence(whole, expected), (data, whole, expected)
    assert all(request in expected for request in whole), (data, whole, expected)
    answers = oracle.responses(said, [request.method for request in expected])
    ended = len(answers) and (answers[-1].ours or not answers[-1].whole or expected[len(answers) - 1].closes)
    assert len(answers) >= len(expected) or ended, f"a request was lost: {data!r}, {answers}"
    await _next_is_right(stage)


async def _answer_case(stage: Stage, pieces: list[bytes], method: bytes, data: bytes) -> None:
    async def answer(peer: Peer) -> None:
        await peer.head()
        await _send(peer, pieces)
        peer.close()

    await stage.origin.forget()
    stage.origin.always(answer)
    client = await stage.connect()
    await client.send(data)
    client.half_close()
    said = await client.gone()
    client.close()
    got, rest = oracle.response_to(method, said, upgrade=data == HANDSHAKE)
    if got.status == 101:
        assert data == HANDSHAKE
        assert (b"sec-websocket-accept", ACCEPT) in got.headers
    else:
        assert rest == b"", said
    if not got.ours:
        _agrees(got, method, b"".join(pieces), upgrade=data == HANDSHAKE)
    await _next_is_right(stage)


def _agrees(got: oracle.Response, method: bytes, sent: bytes, *, upgrade: bool) -> None:
    """h11 reads the service's bytes as the client does: the same status, the same body or its beginning."""
    try:
        own, _ = oracle.response_to(method, sent, upgrade=upgrade)
    except h11.RemoteProtocolError:
        assert not got.whole, f"h11 refuses what passed as a whole response: {sent!r}"
        return
    assert got.status == own.status, sent
    assert own.body.startswith(got.body), sent
    assert not got.whole or got.body == own.body, sent


async def _next_is_right(stage: Stage) -> None:
    await stage.passes(b"/check")
    assert not stage.loop_errors


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> Loop:
    if request.param == "asyncio":
        return asyncio.SelectorEventLoop
    factory: Loop = require.module("uvloop").new_event_loop
    return factory


@contextlib.contextmanager
def running_stage(loop_factory: Loop, **settings: Any) -> Iterator[tuple[asyncio.Runner, Stage]]:
    """A started stage on a loop of its own, taken down even where a case fails."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        stage = runner.run(_started(settings))
        try:
            yield runner, stage
        finally:
            runner.run(stage.close())


async def _started(settings: dict[str, Any]) -> Stage:
    stage = Stage("127.0.0.1")
    await stage.start(service("web", stage.origin, hold=0.0, response_timeout=3.0), header_timeout=3.0, **settings)
    return stage


def test_mutated_requests(loop_factory: Loop) -> None:
    with running_stage(loop_factory) as (runner, stage):

        @FUZZ
        @given(mutated(GOOD_REQUESTS, BAD_REQUESTS))
        def check(pieces: list[bytes]) -> None:
            runner.run(_request_case(stage, pieces))

        check()


def test_mutated_answers(loop_factory: Loop) -> None:
    asked = {b"GET": get(), b"HEAD": get(method=b"HEAD"), b"POST": POST, b"WS": HANDSHAKE}
    with running_stage(loop_factory) as (runner, stage):

        @FUZZ
        @given(mutated(GOOD_ANSWERS, BAD_ANSWERS), st.sampled_from(sorted(asked)))
        def check(pieces: list[bytes], kind: bytes) -> None:
            runner.run(_answer_case(stage, pieces, b"GET" if kind == b"WS" else kind, asked[kind]))

        check()
