"""Bodies: a length stays a length, chunks stay chunks, trailers pass, and no client gets a framing it cannot read.

Lives here: well-formed bodies in both directions (RFC 9112 §6, §7).
Not here: bodies with faults (`test_bad_body.py`, `test_bad_answer.py`), back-pressure (`test_pressure.py`).
"""

import asyncio
import http.client
import socket
import subprocess

import h11
import pytest

from devproxy.text import host_port
from tests import require
from tests.waiting import DEADLINE
from tests.wire.harness import HOST, OK, Stage, crlf, get
from tests.wire.peer import Peer

CHUNKED = b"Transfer-Encoding: chunked"
POST_CHUNKED = crlf(b"POST /up HTTP/1.1", HOST, CHUNKED)
MEGABYTE = bytes(range(256)) * 4096


async def test_length_stays_a_length(wire: Stage) -> None:
    client, up, head = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 5") + b"hello")
    assert (head.one(b"Content-Length"), head.all(b"Transfer-Encoding")) == (b"5", [])
    await up.expect(b"hello")
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("method", [b"POST", b"GET", b"DELETE"])
async def test_length_zero_is_said_where_it_was_said(wire: Stage, method: bytes) -> None:
    client, up, head = await wire.ask(crlf(method + b" / HTTP/1.1", HOST, b"Content-Length: 0"))
    assert head.one(b"Content-Length") == b"0"
    await up.send(OK)
    await client.expect(OK)


async def test_get_with_a_body_keeps_it(wire: Stage) -> None:
    _, up, head = await wire.ask(crlf(b"GET /search HTTP/1.1", HOST, b"Content-Length: 2") + b"{}")
    assert head.one(b"Content-Length") == b"2"
    await up.expect(b"{}")


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
        b"0005\r\nhello\r\n000\r\n\r\n",
        b'5;ext=1;other="quoted;\tx"\r\nhello\r\n0;last\r\n\r\n',
    ],
)
async def test_chunked_request_stays_chunked(wire: Stage, body: bytes) -> None:
    client, up, head = await wire.ask(POST_CHUNKED + body)
    assert (head.one(b"Transfer-Encoding").lower(), head.all(b"Content-Length")) == (b"chunked", [])
    assert await up.chunked() == (b"hello", [])
    await up.send(OK)
    await client.expect(OK)


async def test_chunked_coding_in_any_case_and_byte_by_byte(wire: Stage) -> None:
    client = await wire.connect()
    for byte in crlf(b"POST / HTTP/1.1", HOST, b"tRANSFER-eNCODING: CHUNKED") + b"a\r\n0123456789\r\n0\r\n\r\n":
        await client.send(bytes([byte]))
    up = await wire.origin.accept()
    await up.head()
    assert await up.chunked() == (b"0123456789", [])
    await up.send(OK)
    await client.expect(OK)


async def test_each_request_chunk_leaves_at_once(wire: Stage) -> None:
    client, up, _ = await wire.ask(POST_CHUNKED)
    for part in (b"one", b"two", b"three"):
        await client.send(b"%x\r\n%s\r\n" % (len(part), part))
        assert await up.chunk() == part
    await client.send(b"0\r\n\r\n")
    await up.expect(b"0\r\n\r\n")
    await up.send(OK)
    await client.expect(OK)


async def test_each_response_chunk_leaves_at_once(wire: Stage) -> None:
    """Server-sent events."""
    client, up, _ = await wire.ask(get(b"/events", b"Accept: text/event-stream"))
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream", CHUNKED))
    assert (await client.head()).one(b"Transfer-Encoding").lower() == b"chunked"
    for event in (b"data: 1\n\n", b"data: 2\n\n", b": keep-alive\n\n"):
        await up.send(b"%X\r\n%s\r\n" % (len(event), event))
        assert await client.chunk() == event
    await up.send(b"0\r\n\r\n")
    await client.expect(b"0\r\n\r\n")


async def test_response_head_leaves_before_its_body(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    head = crlf(b"HTTP/1.1 200 OK", b"Content-Length: 2")
    await up.send(head)
    await client.expect(head)
    await up.send(b"o")
    await client.expect(b"o")
    await up.send(b"k")
    await client.expect(b"k")


@pytest.mark.http1
async def test_request_trailers_pass(wire: Stage) -> None:
    data = crlf(b"POST / HTTP/1.1", HOST, CHUNKED, b"Trailer: X-Sum, Expires")
    _, up, head = await wire.ask(data + b"2\r\nhi\r\n0\r\nX-Sum: abc\r\nx-sum: def\r\n\r\n")
    assert head.one(b"Trailer") == b"X-Sum, Expires"
    assert await up.chunked() == (b"hi", [(b"X-Sum", b"abc"), (b"x-sum", b"def")])


@pytest.mark.http1
async def test_response_trailers_pass(wire: Stage) -> None:
    client, up, _ = await wire.ask(get(b"/", b"TE: trailers", b"Connection: TE"))
    await up.send(
        crlf(b"HTTP/1.1 200 OK", CHUNKED, b"Trailer: Grpc-Status") + b"2\r\nhi\r\n0\r\nGrpc-Status: 0\r\n\r\n"
    )
    message = await client.response()
    assert message.head.one(b"Trailer") == b"Grpc-Status"
    assert (message.body, message.trailers) == (b"hi", [(b"Grpc-Status", b"0")])


BARRED = [
    b"Content-Length: 3",
    b"Transfer-Encoding: chunked",
    b"Host: evil.localhost",
    b"X-Forwarded-For: 6.6.6.6",
    b"Devproxy-Chain: x",
]


@pytest.mark.http1
@pytest.mark.parametrize("trailer", BARRED)
async def test_request_trailers_cannot_frame_route_or_forward(wire: Stage, trailer: bytes) -> None:
    client, up, _ = await wire.ask(POST_CHUNKED + b"2\r\nhi\r\n")
    assert await up.chunk() == b"hi"
    await client.send(b"0\r\nX-Good: 1\r\n" + trailer + b"\r\n\r\n")
    assert await up.cut() == b""
    assert (await client.response()).error == "bad-request"


@pytest.mark.parametrize("trailer", [*BARRED[:2], b"Bad Name: 1", b" folded", b"X: \x01", b"X: a\nY: b"])
async def test_response_trailers_cannot_frame(wire: Stage, trailer: bytes) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 200 OK", CHUNKED) + b"2\r\nhi\r\n")
    await client.head()
    assert await client.chunk() == b"hi"
    await up.send(b"0\r\n" + trailer + b"\r\n\r\n")
    assert await client.cut() == b""
    await up.gone()


async def test_close_delimited_response_reaches_http_1_1_whole(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.0 200 OK", b"Content-Type: text/plain") + b"until ")
    await up.send(b"the end")
    up.close()
    message = await client.response()
    assert (message.status, message.body) == (200, b"until the end")
    assert message.framing in ("chunked", "close")


async def test_close_delimited_response_streams(wire: Stage) -> None:
    client, up, _ = await wire.ask(get(b"/", b"Accept: text/event-stream"))
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Connection: close") + b"first")
    head = await client.head()
    assert (await client.chunk() if head.all(b"Transfer-Encoding") else await client.take(5)) == b"first"


@pytest.mark.http1
async def test_http_1_0_client_gets_no_chunks(wire: Stage) -> None:
    client, up, head = await wire.ask(crlf(b"GET / HTTP/1.0", HOST, b"Connection: keep-alive"))
    assert head.line == b"GET / HTTP/1.1"
    await up.send(crlf(b"HTTP/1.1 200 OK", CHUNKED) + b"2\r\nhi\r\n3\r\n ho\r\n0\r\nX-Trailer: 1\r\n\r\n")
    message = await client.response()
    assert (message.body, message.framing, message.head.all(b"Transfer-Encoding")) == (b"hi ho", "close", [])


HEADLESS = [
    (b"HEAD", crlf(b"HTTP/1.1 200 OK", b"Content-Length: 12345")),
    (b"HEAD", crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked")),
    (b"HEAD", crlf(b"HTTP/1.1 200 OK", b"X-No: length")),
    (b"GET", crlf(b"HTTP/1.1 204 No Content", b"X-A: 1")),
    (b"GET", crlf(b"HTTP/1.1 304 Not Modified", b'ETag: "x"')),
    (b"GET", crlf(b"HTTP/1.1 304 Not Modified", b"Content-Length: 777")),
]


@pytest.mark.parametrize(("method", "answer"), HEADLESS)
async def test_answers_without_a_body_pass_and_the_connections_live_on(
    wire: Stage, method: bytes, answer: bytes
) -> None:
    client, up, _ = await wire.ask(get(b"/none", method=method))
    await up.send(answer)
    await client.expect(answer)
    await client.send(get(b"/after"))
    assert (await up.head()).target == b"/after"
    await up.send(OK)
    await client.expect(OK)


async def test_a_megabyte_both_ways(wire: Stage) -> None:
    length = b"Content-Length: %d" % len(MEGABYTE)
    client = await wire.connect()
    await client.send(crlf(b"PUT /big HTTP/1.1", HOST, length))
    up = await wire.origin.accept()
    await up.head()
    for start in range(0, len(MEGABYTE), 65536):
        await client.send(MEGABYTE[start : start + 65536])
        assert await up.take(65536) == MEGABYTE[start : start + 65536]
    await up.send(crlf(b"HTTP/1.1 200 OK", CHUNKED))
    await client.head()
    for start in range(0, len(MEGABYTE), 65536):
        await up.send(b"10000\r\n" + MEGABYTE[start : start + 65536] + b"\r\n")
        got = b""
        while len(got) < 65536:
            got += await client.chunk()
        assert got == MEGABYTE[start : start + 65536]
    await up.send(b"0\r\n\r\n")
    await client.expect(b"0\r\n\r\n")


@pytest.mark.parametrize("coding", [b"Content-Length: 2", CHUNKED])
async def test_the_same_head_means_another_body_for_another_method(wire: Stage, coding: bytes) -> None:
    """A head seen before may be remembered, but not across what frames its body."""
    head, body = crlf(b"HTTP/1.1 200 OK", coding), b"ok" if coding != CHUNKED else b"2\r\nok\r\n0\r\n\r\n"
    client, up, _ = await wire.ask(get(b"/0"))
    for number, method in enumerate((b"GET", b"HEAD", b"GET", b"HEAD", b"HEAD", b"GET")):
        if number:
            await client.send(get(b"/%d" % number, method=method))
            assert (await up.head()).method == method
        await up.send(head + (b"" if method == b"HEAD" else body))
        message = await client.response(method)
        assert (message.status, message.body) == (200, b"" if method == b"HEAD" else b"ok")


@pytest.mark.http1
async def test_the_same_head_for_http_1_0_and_1_1(wire: Stage) -> None:
    answer = crlf(b"HTTP/1.1 200 OK", CHUNKED) + b"2\r\nok\r\n0\r\n\r\n"
    client, up, _ = await wire.ask(get())
    for framing in ("chunked", "close", "chunked", "close"):
        await up.send(answer)
        assert (await client.response()).framing == framing
        client = await wire.connect()
        await client.send(crlf(b"GET / HTTP/1.0", HOST) if framing == "chunked" else get())
        await up.head()


async def test_a_head_that_only_begins_like_the_last_one(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    answers = [
        crlf(b"HTTP/1.1 200 OK", b"Content-Length: 2") + b"ok",
        crlf(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"Set-Cookie: a=1") + b"ok",
        crlf(b"HTTP/1.1 200 OK", b"Content-Length: 20") + b"x" * 20,
        crlf(b"HTTP/1.1 200 OK", b"Content-Length: 2") + b"ok",
    ]
    for number, answer in enumerate(answers):
        if number:
            await client.send(get())
            await up.head()
        for byte in answer:
            await up.send(bytes([byte]))
        await client.expect(answer)


BODILESS = {
    "204 with length 0": (b"GET", b"204 No Content", b"Content-Length: 0", False, True),
    "204 with a length": (b"GET", b"204 No Content", b"Content-Length: 5", False, False),
    "204 with a coding": (b"GET", b"204 No Content", CHUNKED, False, False),
    "304 with a coding": (b"GET", b"304 Not Modified", CHUNKED, False, False),
    "304 with a length": (b"GET", b"304 Not Modified", b"Content-Length: 5", True, True),
    "HEAD with a length": (b"HEAD", b"200 OK", b"Content-Length: 5", True, True),
    "HEAD with a coding": (b"HEAD", b"200 OK", CHUNKED, True, True),
    "HEAD and 204 with a length": (b"HEAD", b"204 No Content", b"Content-Length: 5", False, False),
}


@pytest.mark.parametrize("name", BODILESS)
async def test_framing_of_a_body_that_never_comes(wire: Stage, name: str) -> None:
    """RFC 9110 §8.6, RFC 9112 §6.1 and §6.3: what stays is lawful, and the next response is read right."""
    method, status, field, kept, reused = BODILESS[name]
    client, up, _ = await wire.ask(get(b"/1", method=method))
    line = b"HTTP/1.1 " + status
    await up.send(crlf(line, b"A: 1", field, b"B: 2"))
    await client.expect(crlf(line, b"A: 1", *([field] if kept else []), b"B: 2"))
    await client.send(get(b"/2"))
    if not reused:
        await up.gone()
        up = await wire.origin.accept()
    assert (await up.head()).target == b"/2"
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.plain
@pytest.mark.parametrize("name", BODILESS)
@pytest.mark.parametrize("judge", ["h11", "http.client", "curl"])
async def test_no_client_waits_for_a_body_that_never_comes(wire: Stage, name: str, judge: str) -> None:
    """Each client sends a second request on the connection of the first."""
    method, status, field, _, _ = BODILESS[name]

    async def serve(peer: Peer) -> None:
        while True:
            head = await peer.head()
            await peer.send(crlf(b"HTTP/1.1 " + status, field) if head.target == b"/1" else OK)

    wire.origin.always(serve)
    client = {"h11": ask_by_h11, "http.client": ask_by_http_client, "curl": ask_by_curl}[judge]
    got = await asyncio.to_thread(client, wire.host, wire.port, method.decode())
    assert got == [int(status[:3]), 200]


def ask_by_h11(host: str, port: int, method: str) -> list[int]:
    found = []
    connection = h11.Connection(h11.CLIENT)
    with socket.create_connection((host, port), DEADLINE) as sock:
        for verb, target in ((method, "/1"), ("GET", "/2")):
            request = h11.Request(method=verb, target=target, headers=[("Host", "web.localhost")])
            sock.sendall(connection.send(request) or b"")
            sock.sendall(connection.send(h11.EndOfMessage()) or b"")
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    connection.receive_data(sock.recv(65536))
                elif isinstance(event, h11.Response):
                    found.append(event.status_code)
            connection.start_next_cycle()
    return found


def ask_by_http_client(host: str, port: int, method: str) -> list[int]:
    found = []
    connection = http.client.HTTPConnection(host, port, timeout=DEADLINE)
    for verb, target in ((method, "/1"), ("GET", "/2")):
        connection.request(verb, target, headers={"Host": "web.localhost"})
        response = connection.getresponse()
        response.read()
        found.append(response.status)
    connection.close()
    return found


def ask_by_curl(host: str, port: int, method: str) -> list[int]:
    place = f"http://{host_port(host, port)}"
    common = ["-s", "-m", str(DEADLINE), "-o", "/dev/null", "-w", "%{http_code}\n", "-H", "Host: web.localhost"]
    first = ["--head"] if method == "HEAD" else []
    argv = [require.program("curl"), *common, *first, f"{place}/1", "--next", *common, f"{place}/2"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=2 * DEADLINE, check=True)
    return [int(code) for code in done.stdout.split()]


@pytest.mark.parametrize("field", [b"Content-Length: 5", CHUNKED])
@pytest.mark.parametrize("status", [b"100 Continue", b"103 Early Hints"])
async def test_an_interim_response_bears_no_framing(wire: Stage, status: bytes, field: bytes) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 " + status, b"A: 1", field) + OK)
    await client.expect(crlf(b"HTTP/1.1 " + status, b"A: 1") + OK)


@pytest.mark.parametrize("field", [b"Content-Length: 0", CHUNKED])
async def test_205_is_framed_like_any_other(wire: Stage, field: bytes) -> None:
    """It has no content, but an end that its framing tells (RFC 9110 §15.3.6, RFC 9112 §6.3)."""
    client, up, _ = await wire.ask(get())
    answer = crlf(b"HTTP/1.1 205 Reset Content", field) + (b"0\r\n\r\n" if field == CHUNKED else b"")
    await up.send(answer)
    await client.expect(answer)


@pytest.mark.http1
@pytest.mark.parametrize("line", [b"5 ", b"5;", b"5;bad[=x", b"5;;a", b"5;a=", b"5 x"])
async def test_a_chunk_line_outside_the_grammar_is_refused_from_either_side(wire: Stage, line: bytes) -> None:
    client, up, _ = await wire.ask(POST_CHUNKED)
    await client.send(line + b"\r\nhello\r\n0\r\n\r\n")
    assert (await client.response()).error == "bad-request"
    await up.gone()
    await wire.origin.forget()
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 200 OK", CHUNKED) + b"2\r\nhi\r\n")
    await client.head()
    assert await client.chunk() == b"hi"
    await up.try_send(line + b"\r\nhello\r\n0\r\n\r\n")
    await client.cut()
