"""What HTTP/2 alone has: streams beside each other, windows, resets, an end in two steps, WebSockets on a stream.

Lives here: cases that a script of HTTP/1.1 cannot say; the client is the library `h2` itself.
Not here: what both fronts do alike (every other file of this folder runs over both); hostile clients
(`test_h2_hostile.py`).
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from devproxy.proxy.h2 import STREAMS
from devproxy.proxy.h2_engine import STREAM_WINDOW
from tests.waiting import until
from tests.wire.h2_client import Http2Client
from tests.wire.harness import OK, Stage, crlf, service

pytestmark = pytest.mark.http1  # the stage's own client is not used here


@pytest.fixture
async def client(wire: Stage) -> AsyncIterator[Http2Client]:
    """A connection to the stage that speaks HTTP/2."""
    made = await Http2Client.connect(wire)
    yield made
    made.close()


async def test_answers_come_in_whichever_order_they_are_ready(wire: Stage, client: Http2Client) -> None:
    first = await client.ask(b"/1")
    up_1 = await wire.origin.accept()
    assert (await up_1.head()).target == b"/1"
    second = await client.ask(b"/2")
    up_2 = await wire.origin.accept()
    await up_2.head()
    await up_2.send(OK)
    assert (await client.response(second)).body == b"ok"
    await up_1.send(OK)
    assert (await client.response(first)).body == b"ok"


async def test_the_service_is_asked_in_http_1_1(wire: Stage, client: Http2Client) -> None:
    await client.ask(b"/a?b", (b"cookie", b"a=1"), (b"x-one", b"1"), (b"cookie", b"b=2"), (b"te", b"trailers"))
    up = await wire.origin.accept()
    head = await up.head()
    assert head.line == b"GET /a?b HTTP/1.1"
    assert head.fields[:3] == [(b"host", b"web.localhost"), (b"cookie", b"a=1; b=2"), (b"x-one", b"1")]
    assert head.one(b"TE") == b"trailers"
    assert not head.all(b"Transfer-Encoding")
    assert not head.all(b"Content-Length")


async def test_a_length_is_kept_and_what_has_none_is_chunked(wire: Stage, client: Http2Client) -> None:
    told = await client.ask(b"/told", (b"content-length", b"3"), method=b"POST", end=False)
    await client.data(told, b"abc", end=True)
    up = await wire.origin.accept()
    request = await up.request()
    assert (request.framing, request.body) == ("length", b"abc")
    await up.send(OK)
    await client.response(told)
    open_ended = await client.ask(b"/open", method=b"POST", end=False)
    await client.data(open_ended, b"abc", end=False)
    await client.trailers(open_ended, (b"x-sum", b"1"))
    up = await wire.origin.accept()
    request = await up.request()
    assert (request.framing, request.body, request.trailers) == ("chunked", b"abc", [(b"x-sum", b"1")])


@pytest.mark.parametrize("field", [b"content-length", b"host", b"x-forwarded-for", b"trailer"])
async def test_trailers_that_may_not_stand_there(wire: Stage, client: Http2Client, field: bytes) -> None:
    stream = await client.ask(b"/", method=b"POST", end=False)
    await client.data(stream, b"abc", end=False)
    up = await wire.origin.accept()
    await up.until(b"abc\r\n")
    await client.trailers(stream, (field, b"1"))
    await client.until(lambda: stream in client.ended)
    assert client.resets.get(stream) == ErrorCodes.PROTOCOL_ERROR or client.status(stream) == 400
    await up.cut()


async def test_trailers_and_interim_answers_come_back(wire: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/")
    up = await wire.origin.accept()
    await up.head()
    await up.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", b"Connection: keep-alive"))
    await up.send(b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n")
    answer = await client.response(stream)
    assert answer.interim == [[(b":status", b"103"), (b"link", b"</a.css>")]]
    assert [name for name, _ in answer.fields] == [b":status", b"date"]
    assert (answer.body, answer.trailers) == (b"hi", [(b"x-sum", b"1")])


async def test_a_response_that_breaks_off_is_a_reset(wire: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/")
    up = await wire.origin.accept()
    await up.head()
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 10") + b"half")
    await client.until(lambda: client.body_of(stream) == b"half")
    up.reset()
    assert await client.reset_of(stream) == ErrorCodes.INTERNAL_ERROR


async def test_a_reset_by_the_client_ends_the_request(wire: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/")
    up = await wire.origin.accept()
    await up.head()
    await client.reset(stream)
    await up.gone()
    other = await client.ask(b"/2")
    up = await wire.origin.accept()
    await up.head()
    await up.send(OK)
    assert (await client.response(other)).body == b"ok"


async def test_an_early_answer_ends_the_upload_without_an_error(wire: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/", method=b"POST", end=False)
    await client.data(stream, b"x", end=False)
    up = await wire.origin.accept()
    await up.until(b"x\r\n")
    await up.send(crlf(b"HTTP/1.1 413 Too Large", b"Content-Length: 3") + b"no!")
    answer = await client.response(stream)
    assert (answer.status, answer.body) == (413, b"no!")
    assert await client.reset_of(stream) == ErrorCodes.NO_ERROR


async def test_a_slow_reader_stalls_nobody_else(wire: Stage, client: Http2Client) -> None:
    """Its own service is no longer read, and the other streams go on."""
    client.acknowledges = False
    slow = await client.ask(b"/slow")
    up = await wire.origin.accept()
    await up.head()
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 100000000"))
    sending = asyncio.create_task(up.try_send(bytes(100_000_000)))
    await client.until(lambda: len(client.body_of(slow)) == 65535)  # the window of the stream
    await until(lambda: wire.is_service_paused(slow))
    client.open_connection_window(1 << 24)
    for _ in range(3):
        stream = await client.ask(b"/quick")
        other = await wire.origin.accept()
        await other.head()
        await other.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 1000", b"Connection: close") + bytes(1000))
        assert len((await client.response(stream)).body) == 1000
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_a_service_that_takes_nothing_stalls_its_own_upload_alone(wire: Stage, client: Http2Client) -> None:
    stuck = await client.ask(b"/stuck", method=b"POST", end=False)
    sent = await client.fill(stuck)
    assert sent <= STREAM_WINDOW + (16 << 20)  # what the kernel's buffers take, and no more than the window behind
    up = await wire.origin.accept()
    other = await client.ask(b"/other", method=b"POST", end=False)
    await client.data(other, bytes(200_000), end=True)
    second = await wire.origin.accept()
    assert len((await second.request()).body) == 200_000
    await second.send(OK)
    assert (await client.response(other)).status == 200
    await client.reset(stuck)
    await up.gone()


async def test_an_unregistered_name_is_told_to_use_another_connection(wire: Stage, client: Http2Client) -> None:
    wire.swap(service("web", wire.origin), service("api", wire.another()))
    assert (await client.response(await client.ask(b"/", authority=b"nobody.example"))).status == 421
    assert (await client.response(await client.ask(b"/", authority=b"nobody.localhost"))).status == 404


async def test_two_names_on_one_connection_go_to_two_services(wire: Stage, client: Http2Client) -> None:
    api = wire.another()
    wire.swap(service("web", wire.origin), service("api", api))
    await client.ask(b"/1")
    assert (await (await wire.origin.accept()).head()).one(b"host") == b"web.localhost"
    await client.ask(b"/2", authority=b"api.localhost")
    assert (await (await api.accept()).head()).one(b"host") == b"api.localhost"


async def test_host_and_authority_must_agree(client: Http2Client) -> None:
    stream = await client.ask(b"/", (b"host", b"other.localhost"))
    assert (await client.response(stream)).status == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"connection", b"close"), (b"transfer-encoding", b"chunked"), (b"te", b"gzip"), (b"Upper", b"1")],
)
async def test_fields_that_have_no_place_in_http_2(wire: Stage, client: Http2Client, name: bytes, value: bytes) -> None:
    stream = await client.ask(b"/", (name, value))
    assert await client.reset_of(stream) == ErrorCodes.PROTOCOL_ERROR
    assert wire.origin.untouched()


@pytest.mark.parametrize("target", [b"/a#b", b"/\x80", b"/a\x7f"])
async def test_targets_that_no_service_may_see(wire: Stage, client: Http2Client, target: bytes) -> None:
    stream = await client.ask(target)
    await client.until(lambda: stream in client.ended)
    assert client.resets.get(stream) == ErrorCodes.PROTOCOL_ERROR or client.status(stream) == 400
    assert wire.origin.untouched()


async def test_headers_over_the_limit_are_told_and_the_connection_goes_on(wire: Stage, client: Http2Client) -> None:
    limit = wire.proxy.snapshot.settings.max_header
    stream = await client.ask(b"/", (b"x-big", b"x" * limit))
    assert (await client.response(stream)).status == 431
    await client.ask(b"/2")
    assert (await (await wire.origin.accept()).head()).target == b"/2"


async def test_a_target_over_the_limit_is_told_behind_one_with_the_same_fields(
    wire: Stage, client: Http2Client
) -> None:
    await client.ask(b"/1")
    await (await wire.origin.accept()).head()
    stream = await client.ask(b"/" + b"x" * wire.proxy.snapshot.settings.max_header)
    assert (await client.response(stream)).status == 414


async def test_shutdown_lets_finish_what_is_under_way(wire: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/")
    up = await wire.origin.accept()
    await up.head()
    draining = asyncio.create_task(wire.proxy.drain(60))
    await client.until(lambda: client.goaways)
    assert client.goaways[0] == (ErrorCodes.NO_ERROR, 2**31 - 1)
    await up.send(OK)
    assert (await client.response(stream)).body == b"ok"
    await client.until(lambda: client.ended_connection)
    assert client.goaways[-1] == (ErrorCodes.NO_ERROR, stream)
    await draining


async def test_an_idle_connection_ends_in_order(wire: Stage, client: Http2Client) -> None:
    stream = await client.ask(b"/")
    up = await wire.origin.accept()
    await up.head()
    await up.send(OK)
    await client.response(stream)
    await wire.pass_time(4.9)
    assert not client.ended_connection
    await wire.pass_time(0.3)
    await client.until(lambda: client.ended_connection)
    assert client.goaways == [(ErrorCodes.NO_ERROR, stream)]


async def test_what_the_connection_offers(wire: Stage, client: Http2Client) -> None:
    await client.until(lambda: client.settings)
    assert client.settings[SettingCodes.MAX_CONCURRENT_STREAMS] == STREAMS
    assert client.settings[SettingCodes.ENABLE_CONNECT_PROTOCOL] == 1
    assert client.settings[SettingCodes.INITIAL_WINDOW_SIZE] == STREAM_WINDOW


async def test_a_service_that_knows_its_client_by_the_connection_is_asked_in_http_1_1(
    wire: Stage, client: Http2Client
) -> None:
    stream = await client.ask(b"/")
    up = await wire.origin.accept()
    await up.head()
    await up.send(crlf(b"HTTP/1.1 401 Unauthorized", b"WWW-Authenticate: NTLM", b"Content-Length: 0"))
    assert await client.reset_of(stream) == ErrorCodes.HTTP_1_1_REQUIRED


async def test_a_client_may_ping_as_often_as_data_moves(wire: Stage, client: Http2Client) -> None:
    """As gRPC's do, to measure what the connection can carry."""
    stream = await client.ask(b"/", method=b"POST", end=False)
    up = await wire.origin.accept()
    await up.head()
    for _ in range(1500):
        client.h2.ping(bytes(8))
        await client.data(stream, b"x", end=False)
        await up.until(b"x\r\n")
    await client.data(stream, b"", end=True)
    assert await up.chunked() == (b"", [])
    await up.send(OK)
    assert (await client.response(stream)).body == b"ok"


# WebSockets, RFC 8441.

HANDSHAKE = ((b":protocol", b"websocket"), (b"sec-websocket-version", b"13"), (b"origin", b"http://web.localhost"))


async def websocket(wire: Stage, client: Http2Client, *more: tuple[bytes, bytes]) -> tuple[int, Any, Any]:
    """A stream that has asked for a WebSocket, the service's connection, and the head that came there."""
    stream = await client.ask(b"/ws", *HANDSHAKE, *more, method=b"CONNECT", end=False)
    up = await wire.origin.accept()
    return stream, up, await up.head()


async def test_a_websocket_is_a_handshake_of_http_1_1_to_the_service(wire: Stage, client: Http2Client) -> None:
    stream, up, head = await websocket(wire, client, (b"sec-websocket-protocol", b"vite-hmr"))
    assert head.line == b"GET /ws HTTP/1.1"
    assert (head.one(b"upgrade"), head.one(b"connection")) == (b"websocket", b"Upgrade")
    assert head.one(b"sec-websocket-protocol") == b"vite-hmr"
    await up.send(client.switched(head, b"Sec-WebSocket-Protocol: vite-hmr") + b"first")
    answer = await client.headers_of(stream)
    assert (b":status", b"200") in answer
    assert (b"sec-websocket-protocol", b"vite-hmr") in answer
    assert not {name for name, _ in answer} & {b"connection", b"upgrade", b"sec-websocket-accept"}
    await client.until(lambda: client.body_of(stream) == b"first")
    await client.data(stream, b"hello", end=False)
    await up.expect(b"hello")
    await up.send(b"world")
    await client.until(lambda: client.body_of(stream) == b"firstworld")
    await client.data(stream, b"", end=True)
    await up.eof()
    up.close()
    await client.until(lambda: stream in client.ended)
    assert not wire.proxy.tunnels


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
async def test_what_is_no_handshake_opens_no_websocket(wire: Stage, client: Http2Client, answer: bytes) -> None:
    stream, up, _ = await websocket(wire, client)
    await up.send(answer)
    assert (await client.response(stream)).status == 502
    assert not wire.proxy.tunnels


async def test_a_service_may_refuse_a_websocket(wire: Stage, client: Http2Client) -> None:
    stream, up, _ = await websocket(wire, client)
    await up.send(crlf(b"HTTP/1.1 403 Forbidden", b"Content-Length: 2") + b"no")
    answer = await client.response(stream)
    assert (answer.status, answer.body) == (403, b"no")


async def test_a_websocket_from_another_site_is_refused(wire: Stage, client: Http2Client) -> None:
    fields = ((b":protocol", b"websocket"), (b"origin", b"https://evil.example"))
    stream = await client.ask(b"/ws", *fields, method=b"CONNECT", end=False)
    assert (await client.response(stream)).status == 403
    assert wire.origin.untouched()


@pytest.mark.parametrize("who", ["service", "client"])
async def test_a_websocket_that_is_reset(wire: Stage, client: Http2Client, who: str) -> None:
    stream, up, head = await websocket(wire, client)
    await up.send(client.switched(head))
    await client.headers_of(stream)
    if who == "client":
        await client.reset(stream)
        await up.gone()
    else:
        await up.send(b"the last")
        up.reset()
        assert await client.reset_of(stream) == ErrorCodes.CANCEL
        assert client.body_of(stream) in (b"", b"the last")  # a reset overtakes what is still on its way
    await until(lambda: not wire.proxy.tunnels)


async def test_a_websocket_whose_reader_is_slow(wire: Stage, client: Http2Client) -> None:
    client.acknowledges = False
    stream, up, head = await websocket(wire, client)
    await up.send(client.switched(head))
    sending = asyncio.create_task(up.send(bytes(30_000_000)))
    await client.until(lambda: len(client.body_of(stream)) == 65535)
    assert not sending.done()
    client.acknowledges = True
    await client.catch_up(stream)
    await client.until(lambda: len(client.bodies[stream]) == 30_000_000)
    await sending


async def test_connect_is_for_websockets_alone(client: Http2Client) -> None:
    other = await client.ask(b"/", (b":protocol", b"webtransport"), method=b"CONNECT", end=False)
    assert (await client.response(other)).status == 501
