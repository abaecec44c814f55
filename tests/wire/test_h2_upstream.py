"""Services that speak HTTP/2: `h2c://` upstreams, asked by clients of HTTP/1.1 and of HTTP/2.

Lives here: what becomes of a request and of its response; streams beside each other on one connection; windows; resets,
GOAWAY, and services that speak something else.
Not here: `https://` upstreams that choose HTTP/2 (`test_h2_negotiated.py`), real programs (`tests/e2e/test_grpc.py`).
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from h2.connection import ConnectionState
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from devproxy.proxy import negotiate
from devproxy.proxy.h2_engine import STREAM_WINDOW
from devproxy.registry.model import Service, Upstream
from tests.waiting import until
from tests.wire.h2_client import Http2Client
from tests.wire.h2_frames import DATA, GOAWAY, PING, SETTINGS, WINDOW_UPDATE, frame
from tests.wire.h2_service import Http2Service
from tests.wire.harness import HOST, Stage, crlf, get, service
from tests.wire.peer import Peer


def h2c(stage: Stage) -> Service:
    return service("web", Upstream("h2c", (stage.origin.host,), stage.origin.port))


@pytest.fixture
async def grpc(stage: Stage) -> Stage:
    """A stage whose service speaks HTTP/2."""
    await stage.start(h2c(stage))
    return stage


@pytest.fixture
async def client(grpc: Stage) -> AsyncIterator[Http2Client]:
    """A connection to it that speaks HTTP/2, for what HTTP/1.1 cannot say."""
    made = await Http2Client.connect(grpc)
    yield made
    made.close()


async def asked(stage: Stage, data: bytes, settings: dict[int, int] | None = None) -> tuple[Peer, Http2Service, int]:
    """A request on a new client; returns that, the service's connection, and the stream it arrives on."""
    client = await stage.connect()
    await client.send(data)
    up = await Http2Service.accept(stage.origin, settings)
    return client, up, await up.request()


# What passes.


@pytest.mark.http1
async def test_a_request_is_a_list_that_begins_with_its_control_data(grpc: Stage) -> None:
    data = get(b"/a?b", b"Connection: x-hop", b"X-Hop: 1", b"X-Mixed: Value", b"Keep-Alive: timeout=5")
    _, up, stream = await asked(grpc, data)
    fields = up.headers[stream]
    assert fields[:4] == [
        (b":method", b"GET"),
        (b":scheme", b"http"),
        (b":authority", b"web.localhost"),
        (b":path", b"/a?b"),
    ]
    names = {name for name, _ in fields}
    assert not names & {b"host", b"connection", b"keep-alive", b"x-hop", b"te", b"transfer-encoding"}
    assert up.fields(stream)[b"x-mixed"] == b"Value"
    assert up.fields(stream)[b"x-forwarded-proto"] == b"http"
    assert stream in up.ended


async def test_trailers_are_welcome_where_the_client_says_so(grpc: Stage, client: Http2Client) -> None:
    await client.ask(b"/", (b"te", b"trailers"))
    up = await Http2Service.accept(grpc.origin)
    assert up.fields(await up.request())[b"te"] == b"trailers"


async def test_an_answer_without_a_length_is_chunked_and_has_its_trailers(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get(b"/", b"TE: trailers", b"Connection: TE"))
    await up.respond(stream, (b"x-one", b"1"))
    await up.data(stream, b"hello", end=False)
    await up.trailers(stream, (b"grpc-status", b"0"))
    message = await client.response()
    assert (message.status, message.body, message.framing) == (200, b"hello", "chunked")
    assert message.head.one(b"x-one") == b"1"
    assert message.trailers == [(b"grpc-status", b"0")]
    await client.send(get(b"/next"))
    stream = await up.request()
    await up.answer(stream, b"again", (b"content-length", b"5"))
    message = await client.response()
    assert (message.body, message.framing) == (b"again", "length")


@pytest.mark.parametrize("length", [(), ((b"content-length", b"0"),)])
async def test_trailers_only(grpc: Stage, client: Http2Client, length: tuple[tuple[bytes, bytes], ...]) -> None:
    """As gRPC answers a call that fails: HEADERS with END_STREAM."""
    stream = await client.ask(b"/", method=b"POST", end=False)
    await client.data(stream, b"x", end=True)
    up = await Http2Service.accept(grpc.origin)
    await up.respond(await up.request(), (b"grpc-status", b"5"), *length, end=True)
    answer = await client.response(stream)
    assert (answer.status, answer.body, answer.trailers) == (200, b"", [])
    assert (b"grpc-status", b"5") in answer.fields


async def test_an_answer_that_is_its_head_has_no_body(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get())
    await up.respond(stream, (b"x-one", b"1"), end=True)
    message = await client.response()
    assert (message.status, message.body, message.framing) == (200, b"", "length")


async def test_no_content_and_then_trailers(grpc: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/")
    up = await Http2Service.accept(grpc.origin)
    number = await up.request()
    await up.respond(number, (b"content-length", b"0"))
    await up.trailers(number, (b"grpc-status", b"7"))
    assert (await client.response(stream)).trailers == [(b"grpc-status", b"7")]


async def test_trailers_come_behind_a_length(grpc: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/")
    up = await Http2Service.accept(grpc.origin)
    number = await up.request()
    await up.respond(number, (b"content-length", b"2"))
    await up.data(number, b"ok", end=False)
    await up.trailers(number, (b"grpc-status", b"0"))
    answer = await client.response(stream)
    assert (answer.body, answer.trailers) == (b"ok", [(b"grpc-status", b"0")])


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304)])
@pytest.mark.parametrize("end", [True, False])
async def test_answers_that_have_no_body(grpc: Stage, method: bytes, status: int, end: bool) -> None:
    client, up, stream = await asked(grpc, get(method=method))
    await up.respond(stream, (b"etag", b'"1"'), status=status, end=end)
    message = await client.response(method)
    assert (message.status, message.body) == (status, b"")
    assert not message.head.all(b"transfer-encoding")
    await client.send(get(b"/next"))
    await up.answer(await up.request())
    assert (await client.response()).body == b"ok"


async def test_interim_answers(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get())
    await up.respond(stream, (b"link", b"</a.css>"), status=103)
    await up.answer(stream)
    message = await client.response()
    assert (message.status, message.head.one(b"link")) == (103, b"</a.css>")
    assert (await client.response()).body == b"ok"


async def test_a_body_with_a_length(grpc: Stage) -> None:
    client = await grpc.connect()
    await client.send(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 6") + b"abc")
    up = await Http2Service.accept(grpc.origin)
    stream = await up.request()
    assert up.fields(stream)[b"content-length"] == b"6"
    await up.until(lambda: up.body_of(stream) == b"abc")
    await client.send(b"def")
    assert await up.whole(stream) == b"abcdef"
    await up.answer(stream)
    assert (await client.response()).status == 200


async def test_a_chunked_body_and_its_trailers(grpc: Stage) -> None:
    data = crlf(b"POST / HTTP/1.1", HOST, b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n"
    client, up, stream = await asked(grpc, data)
    assert b"transfer-encoding" not in up.fields(stream)
    await client.send(b"3\r\ndef\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert await up.whole(stream) == b"abcdef"
    assert up.trailer_fields[stream] == [(b"x-sum", b"1")]


async def test_the_answer_begins_while_the_request_goes_on(grpc: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/", method=b"POST", end=False)
    up = await Http2Service.accept(grpc.origin)
    number = await up.request()
    await up.respond(number)
    await client.headers_of(stream)
    for turn in range(3):
        said = b"ping %d" % turn
        await client.data(stream, said, end=False)
        await up.until(lambda said=said: up.body_of(number).endswith(said))  # type: ignore[misc]
        await up.data(number, said[::-1], end=False)
        await client.until(lambda said=said: client.body_of(stream).endswith(said[::-1]))  # type: ignore[misc]
    await client.data(stream, b"", end=True)
    await up.whole(number)
    await up.trailers(number, (b"grpc-status", b"0"))
    assert (await client.response(stream)).trailers == [(b"grpc-status", b"0")]


async def test_an_answer_that_does_not_wait_for_the_request(grpc: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/", method=b"POST", end=False)
    up = await Http2Service.accept(grpc.origin)
    number = await up.request()
    await up.answer(number, b"no", status=413)
    assert (await client.response(stream)).status == 413
    assert await up.reset_of(number) == ErrorCodes.NO_ERROR


# One connection for all.


async def test_requests_share_a_connection(grpc: Stage) -> None:
    first, up, one = await asked(grpc, get(b"/1"))
    second = await grpc.connect()
    await second.send(get(b"/2"))
    two = await up.request()
    await up.answer(two, b"second")
    assert (await second.response()).body == b"second"
    await up.answer(one, b"first")
    assert (await first.response()).body == b"first"
    assert not grpc.origin.waiting()


async def test_requests_that_come_at_once_share_the_first_connection(grpc: Stage, client: Http2Client) -> None:
    streams = [await client.ask(b"/%d" % number) for number in range(20)]
    up = await Http2Service.accept(grpc.origin)
    for _ in streams:
        await up.answer(await up.request())
    for stream in streams:
        assert (await client.response(stream)).body == b"ok"
    assert not grpc.origin.waiting()


async def test_no_more_streams_than_the_service_takes(grpc: Stage, client: Http2Client) -> None:
    limit: dict[int, int] = {SettingCodes.MAX_CONCURRENT_STREAMS: 2}
    streams = [await client.ask(b"/%d" % number) for number in range(4)]
    services = []
    for _ in range(2):
        up = await Http2Service.accept(grpc.origin, limit)
        services.append((up, await up.request(), await up.request()))
    for up, *numbers in services:
        for number in numbers:
            await up.answer(number)
    for stream in streams:
        assert (await client.response(stream)).body == b"ok"


async def test_an_idle_connection_ends_in_order(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get())
    await up.answer(stream)
    await client.response()
    await grpc.idle(50)
    assert not up.goaways
    await grpc.idle(10)
    await up.until_ended()
    assert up.goaways == [ErrorCodes.NO_ERROR]


async def test_a_connection_that_was_closed_is_replaced(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get())
    await up.answer(stream)
    await client.response()
    grpc.origin.peers[-1].close()
    await client.send(get(b"/2"))
    up = await Http2Service.accept(grpc.origin)
    await up.answer(await up.request(), b"new")
    assert (await client.response()).body == b"new"


# Windows.


async def test_a_slow_client_stalls_nobody_else(grpc: Stage, client: Http2Client) -> None:
    client.acknowledges = False
    slow = await client.ask(b"/slow")
    up = await Http2Service.accept(grpc.origin)
    number = await up.request()
    await up.respond(number)
    sending = asyncio.create_task(up.data(number, bytes(10_000_000), end=True))
    await client.until(lambda: len(client.body_of(slow)) == 65535)
    await until(lambda: up.h2.local_flow_control_window(number) == 0)
    client.open_connection_window(1 << 24)
    other = await client.ask(b"/quick")
    await until(lambda: len(up.headers) == 2)  # the task reads
    assert not sending.done()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await up.answer(await up.request(), b"quick")
    assert (await client.response(other)).body == b"quick"


async def test_a_service_that_takes_nothing_stalls_its_own_upload_alone(grpc: Stage, client: Http2Client) -> None:
    stuck = await client.ask(b"/stuck", method=b"POST", end=False)
    up = await Http2Service.accept(grpc.origin)
    up.acknowledges = False
    number = await up.request()
    filling = asyncio.create_task(client.fill(stuck))
    await up.until(lambda: len(up.body_of(number)) == 65535)
    sent = await filling
    assert sent <= 65535 + STREAM_WINDOW + (1 << 18)
    up.h2.increment_flow_control_window(1 << 20)
    up.acknowledges = True
    await up.write()
    other = await client.ask(b"/other", method=b"POST", end=False)
    await client.data(other, b"x" * 1000, end=True)
    second = await up.request()
    assert len(await up.whole(second)) == 1000
    await up.answer(second)
    assert (await client.response(other)).status == 200
    up.h2.acknowledge_received_data(65535, number)
    await up.write()
    await up.until(lambda: len(up.body_of(number)) == sent)


async def test_large_bodies_both_ways(grpc: Stage) -> None:
    size = 8 << 20
    client = await grpc.connect()
    sending = asyncio.create_task(
        client.send(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: %d" % size) + b"u" * size)
    )
    up = await Http2Service.accept(grpc.origin)
    stream = await up.request()
    assert await up.whole(stream) == b"u" * size
    await sending
    answering = asyncio.create_task(up.answer(stream, b"d" * size))
    assert (await client.response()).body == b"d" * size
    await answering


# Ends.


async def test_a_client_that_goes_cancels_its_stream_alone(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get())
    client.close()
    assert await up.reset_of(stream) == ErrorCodes.CANCEL
    other = await grpc.connect()
    await other.send(get())
    await up.answer(await up.request())
    assert (await other.response()).body == b"ok"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (ErrorCodes.CANCEL, ErrorCodes.CANCEL),
        (ErrorCodes.ENHANCE_YOUR_CALM, ErrorCodes.ENHANCE_YOUR_CALM),
        (ErrorCodes.REFUSED_STREAM, ErrorCodes.INTERNAL_ERROR),
        (ErrorCodes.NO_ERROR, ErrorCodes.INTERNAL_ERROR),
    ],
)
async def test_a_reset_in_the_middle(grpc: Stage, client: Http2Client, code: int, told: int) -> None:
    stream = await client.ask(b"/")
    up = await Http2Service.accept(grpc.origin)
    number = await up.request()
    await up.respond(number)
    await up.data(number, b"half", end=False)
    await client.until(lambda: client.body_of(stream) == b"half")
    await up.reset(number, code)
    assert await client.reset_of(stream) == told


async def test_a_reset_in_the_middle_cuts_the_answer(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get())
    await up.respond(stream)
    await up.data(stream, b"half", end=False)
    await client.until(b"half")
    await up.reset(stream, ErrorCodes.CANCEL)
    await client.cut()


async def test_a_reset_instead_of_an_answer(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get())
    await up.reset(stream, ErrorCodes.INTERNAL_ERROR)
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-closed")
    assert b"INTERNAL_ERROR" in message.body


@pytest.mark.parametrize("body", [b"", b"abc"])
async def test_what_the_service_refuses_is_sent_again(grpc: Stage, body: bytes) -> None:
    client, up, stream = await asked(grpc, get())
    await up.answer(stream)
    await client.response()
    await client.send(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: %d" % len(body)) + body)
    stream = await up.request()
    assert await up.whole(stream) == body
    await up.reset(stream, ErrorCodes.REFUSED_STREAM)
    stream = await up.request()
    assert await up.whole(stream) == body
    await up.answer(stream)
    assert (await client.response()).body == b"ok"


REFUSE = pytest.mark.parametrize("how", [ErrorCodes.REFUSED_STREAM, "goaway"])


async def refuse(up: Http2Service, stream: int, how: ErrorCodes | str) -> None:
    """Say that nothing has been done about a request, in either way (RFC 9113 §8.7)."""
    if isinstance(how, ErrorCodes):
        await up.reset(stream, how)
    else:
        await up.send_raw(frame(GOAWAY, 0, 0, bytes(8)))


async def again(stage: Stage, up: Http2Service, how: ErrorCodes | str) -> tuple[Http2Service, int]:
    """Where the request comes again."""
    if how == "goaway":
        up = await Http2Service.accept(stage.origin)
    return up, await up.request()


@REFUSE
async def test_the_first_request_of_all_that_is_refused_is_sent_again(grpc: Stage, how: ErrorCodes | str) -> None:
    client, up, stream = await asked(grpc, crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 3") + b"abc")
    await refuse(up, stream, how)
    up, stream = await again(grpc, up, how)
    assert await up.whole(stream) == b"abc"
    await up.answer(stream)
    assert (await client.response()).body == b"ok"


@REFUSE
async def test_a_long_body_that_is_still_to_come_is_sent_to_the_next(grpc: Stage, how: ErrorCodes | str) -> None:
    client, up, stream = await asked(grpc, crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 300000"))
    await refuse(up, stream, how)
    up, stream = await again(grpc, up, how)
    sending = asyncio.create_task(client.send(b"x" * 300_000))
    assert await up.whole(stream) == b"x" * 300_000
    await sending
    await up.answer(stream)
    assert (await client.response()).body == b"ok"


@REFUSE
async def test_a_long_body_that_was_sent_cannot_be_sent_again(grpc: Stage, how: ErrorCodes | str) -> None:
    client, up, stream = await asked(grpc, crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 300000"))
    sending = asyncio.create_task(client.send(b"x" * 200_000))
    await up.until(lambda: len(up.body_of(stream)) == 200_000)
    await sending
    await refuse(up, stream, how)
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-closed")
    assert b"too much of its body was sent" in message.body


async def test_what_the_service_refuses_for_ever_is_told(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get())
    await up.answer(stream)
    await client.response()

    async def refuse() -> None:
        while True:
            await up.reset(await up.request(), ErrorCodes.REFUSED_STREAM)

    refusing = asyncio.create_task(refuse())
    await client.send(get())
    message = await grpc.meanwhile(0.1, client.response())
    refusing.cancel()
    await asyncio.gather(refusing, return_exceptions=True)
    assert (message.status, message.error) == (502, "upstream-closed")
    assert b"REFUSED_STREAM" in message.body


async def test_a_goaway_ends_the_connection_once_its_streams_are_over(grpc: Stage, client: Http2Client) -> None:
    first = await client.ask(b"/1")
    up = await Http2Service.accept(grpc.origin)
    one = await up.request()
    second = await client.ask(b"/2", method=b"POST")
    two = await up.request()
    up.h2.close_connection(last_stream_id=one)
    up.h2.state_machine.state = ConnectionState.SERVER_OPEN  # it takes GOAWAY for the end
    await up.write()
    later = await Http2Service.accept(grpc.origin)  # the second, which was not looked at
    await later.answer(await later.request(), b"2")
    assert (await client.response(second)).body == b"2"
    third = await client.ask(b"/3")
    await later.answer(await later.request(), b"3")
    assert (await client.response(third)).body == b"3"
    await up.answer(one, b"1")
    assert (await client.response(first)).body == b"1"
    await up.until_ended()
    assert two not in up.resets


async def test_a_connection_that_ends_in_the_middle(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get())
    await up.respond(stream)
    await up.data(stream, b"half", end=False)
    await client.until(b"half")
    grpc.origin.peers[-1].reset()
    await client.cut()


# Services that are not what they are said to be.


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\x15\x03\x01\0\x02\x02F\0\0",
    ],
)
async def test_a_service_that_speaks_something_else(grpc: Stage, said: bytes) -> None:
    client = await grpc.connect()
    await client.send(get())
    up = await grpc.origin.accept()
    await up.send(said)
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-invalid")
    assert b"HTTP/2" in message.body
    assert b"http://" in message.body


async def test_a_service_that_says_nothing_at_all(grpc: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiate, "CONNECT_TIMEOUT", 0.05)
    client = await grpc.connect()
    await client.send(get())
    await grpc.origin.accept()
    message = await client.response()
    assert (message.status, message.error) == (504, "upstream-timeout")
    assert b"says nothing of HTTP/2" in message.body


async def test_a_service_that_closes_at_once(grpc: Stage) -> None:
    client = await grpc.connect()
    await client.send(get())
    (await grpc.origin.accept()).close()
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-closed")


async def test_nobody_listens(grpc: Stage) -> None:
    grpc.origin.refuse()
    client = await grpc.connect()
    await client.send(get())
    assert (await client.response()).error == "upstream-refused"


@pytest.mark.parametrize(
    "fields",
    [
        [(b":status", b"200"), (b"connection", b"close")],
        [(b":status", b"200"), (b"transfer-encoding", b"chunked")],
        [(b":status", b"200"), (b"Upper", b"1")],
        [(b":status", b"101")],
        [(b":status", b"2x0")],
        [(b"x-no", b"status")],
        [(b":status", b"200"), (b"content-length", b"1"), (b"content-length", b"2")],
    ],
)
async def test_answers_that_are_malformed(grpc: Stage, fields: list[tuple[bytes, bytes]]) -> None:
    client, up, stream = await asked(grpc, get(method=b"DELETE"))
    block = up.h2.encoder.encode(fields)
    await up.send_raw(len(block).to_bytes(3, "big") + b"\x01\x05" + stream.to_bytes(4, "big") + block)
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-invalid")


async def test_a_body_that_is_not_as_long_as_it_said(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get())
    await up.respond(stream, (b"content-length", b"5"))
    await up.data(stream, b"abc", end=True)
    await client.cut()


async def test_a_head_over_the_limit(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get(method=b"DELETE"))
    await up.respond(stream, (b"x-big", b"x" * grpc.proxy.snapshot.settings.max_response_header), end=True)
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-invalid")
    assert b"max_response_header" in message.body


async def test_frames_that_are_against_the_rules(grpc: Stage) -> None:
    client, up, _ = await asked(grpc, get(method=b"DELETE"))
    await up.send_raw(b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x")  # DATA on stream 0
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-invalid")
    await up.until_ended()
    assert up.goaways


@pytest.mark.parametrize("kind", [DATA, PING, SETTINGS, WINDOW_UPDATE])
async def test_a_flood_of_frames_that_say_nothing(grpc: Stage, kind: int) -> None:
    client, up, stream = await asked(grpc, get(method=b"DELETE"))
    await up.respond(stream)
    await client.head()
    payload = {DATA: b"", PING: bytes(8), SETTINGS: b"", WINDOW_UPDATE: b"\0\0\0\1"}[kind]
    flood = frame(kind, 0, stream if kind in (DATA, WINDOW_UPDATE) else 0, payload)
    sending = asyncio.create_task(up.send_raw(flood * 20_000))
    await client.cut()
    await sending


async def test_an_upload_is_not_ended_by_what_its_service_says_of_it(grpc: Stage) -> None:
    """Every piece is acknowledged, and measured with PING, as gRPC servers do."""
    client, up, stream = await asked(grpc, crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 3000"))
    for turn in range(1, 3001):
        await client.send(b"x")
        await up.until(lambda turn=turn: len(up.body_of(stream)) >= turn)  # type: ignore[misc]
        up.h2.ping(bytes(8))
    await up.answer(stream)
    assert (await client.response()).body == b"ok"
