"""The client's connection: kept, closed, pipelined, half-closed.

Lives here: persistence in HTTP/1.1 and 1.0, pipelining, FIN at each place (RFC 9112 §9).
Not here: limits and time (`test_limits.py`), resets (`test_abort.py`), the service's connections (`test_pool.py`).
"""

import pytest

from tests.wire.harness import HOST, OK, Stage, crlf, get, service

pytestmark = pytest.mark.http1  # it speaks of what HTTP/1.1 alone has

GET_1_0 = crlf(b"GET /old HTTP/1.0", HOST)
POST = crlf(b"POST /post HTTP/1.1", HOST, b"Content-Length: 5") + b"hello"


def answer(body: bytes) -> bytes:
    return crlf(b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body)) + body


async def test_connection_is_kept(wire: Stage) -> None:
    client, up, _ = await wire.ask(get(b"/1"))
    await up.send(answer(b"one"))
    await client.expect(answer(b"one"))
    await client.send(get(b"/2"))
    assert (await up.head()).target == b"/2"
    await up.send(answer(b"two"))
    await client.expect(answer(b"two"))


async def test_pipelined_requests_are_answered_in_order(wire: Stage) -> None:
    client, up, first = await wire.ask(b"".join(get(b"/%d" % number) for number in range(20)))
    targets = [first.target]
    for number in range(20):
        if number:
            targets.append((await up.head()).target)
        await up.send(answer(b"%d" % number))
        await client.expect(answer(b"%d" % number))
    assert targets == [b"/%d" % number for number in range(20)]
    assert not up.pending


async def test_pipelined_after_a_body(wire: Stage) -> None:
    chunked = crlf(b"PUT /put HTTP/1.1", HOST, b"Transfer-Encoding: chunked") + b"2\r\nhi\r\n0\r\nX: 1\r\n\r\n"
    client, up, _ = await wire.ask(POST + chunked + get(b"/last"))
    await up.expect(b"hello")
    await up.send(OK)
    assert (await up.head()).target == b"/put"
    assert await up.chunked() == (b"hi", [(b"X", b"1")])
    await up.send(OK)
    assert (await up.head()).target == b"/last"
    await up.send(answer(b"end"))
    await client.expect(OK + OK + answer(b"end"))


async def test_pipelined_with_different_fields_and_hosts(stage: Stage) -> None:
    other = stage.another()
    await stage.start(service("web", stage.origin), service("api", other))
    client, up, _ = await stage.ask(get(b"/w", b"X: 1") + get(b"/a", host=b"api.localhost") + get(b"/w2"))
    await up.send(answer(b"web"))
    beside = await other.accept()
    assert (await beside.head()).target == b"/a"
    await beside.send(answer(b"api"))
    second = await up.head()
    assert (second.target, second.all(b"X")) == (b"/w2", [])
    await up.send(answer(b"web2"))
    await client.expect(answer(b"web") + answer(b"api") + answer(b"web2"))


async def test_nothing_is_read_after_connection_close(wire: Stage) -> None:
    client, up, _ = await wire.ask(get(b"/1", b"Connection: close") + get(b"/smuggled"))
    await up.send(answer(b"one"))
    message = await client.response()
    assert (message.body, message.head.tokens(b"Connection")) == (b"one", [b"close"])
    assert await client.gone() == b""
    assert not up.pending
    assert not wire.origin.waiting()


@pytest.mark.parametrize("value", [b"close", b"CLOSE", b"foo, close", b"close, keep-alive"])
async def test_close_in_any_spelling(wire: Stage, value: bytes) -> None:
    client, up, _ = await wire.ask(get(b"/", b"Connection: " + value))
    await up.send(OK)
    assert (await client.response()).head.tokens(b"Connection") == [b"close"]
    await client.eof()


async def test_own_answer_keeps_the_connection(wire: Stage) -> None:
    client = await wire.connect()
    await client.send(get(host=b"nobody.localhost") + get(b"/next"))
    assert (await client.response()).error == "unknown-host"
    up = await wire.origin.accept()
    assert (await up.head()).target == b"/next"
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
async def test_body_of_a_refused_request_is_not_a_request(wire: Stage, framing: bytes) -> None:
    """Read to its end or closed: never taken for the next head."""
    inner = get(b"/smuggled")
    body = inner if framing.startswith(b"C") else b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner)
    length = b"Content-Length: %d" % len(inner) if framing.startswith(b"C") else framing
    client = await wire.connect()
    await client.send(crlf(b"POST / HTTP/1.1", b"Host: nobody.localhost", length) + body)
    assert (await client.response()).error == "unknown-host"
    await client.try_send(get(b"/next", b"Connection: close"))
    client.half_close()
    for up in wire.origin.waiting():
        assert (await up.head()).target == b"/next"
        await up.send(OK)
    assert (await client.gone()).count(b"HTTP/1.1") <= 1
    assert not any(b"smuggled" in peer.received for peer in wire.origin.peers + wire.origin.waiting())


async def test_http_1_0_closes(wire: Stage) -> None:
    client, up, head = await wire.ask(GET_1_0)
    assert head.line == b"GET /old HTTP/1.1"
    await up.send(answer(b"old"))
    message = await client.response()
    assert (message.body, message.head.tokens(b"Connection")) in ((b"old", [b"close"]), (b"old", []))
    await client.eof()


async def test_http_1_0_keep_alive(wire: Stage) -> None:
    client, up, _ = await wire.ask(crlf(b"GET / HTTP/1.0", HOST, b"Connection: Keep-Alive"))
    await up.send(answer(b"one"))
    message = await client.response()
    assert (message.body, message.head.tokens(b"Connection")) == (b"one", [b"keep-alive"])
    await client.send(GET_1_0)
    assert (await up.head()).target == b"/old"
    await up.send(answer(b"two"))
    assert (await client.response()).body == b"two"
    await client.eof()


async def test_http_1_0_gets_no_interim_answer(wire: Stage) -> None:
    client, up, _ = await wire.ask(GET_1_0)
    await up.send(crlf(b"HTTP/1.1 103 Early Hints", b"Link: </a>") + crlf(b"HTTP/1.1 100 Continue") + answer(b"old"))
    assert (await client.response()).body == b"old"
    await client.eof()


async def test_http_1_0_post(wire: Stage) -> None:
    client, up, head = await wire.ask(crlf(b"POST / HTTP/1.0", HOST, b"Content-Length: 2") + b"hi")
    assert head.one(b"Content-Length") == b"2"
    await up.expect(b"hi")
    await up.send(OK)
    assert (await client.response()).body == b"ok"
    await client.eof()


@pytest.mark.plain
async def test_fin_after_a_complete_request_is_a_half_close(wire: Stage) -> None:
    client, up, _ = await wire.ask(get(b"/half"))
    client.half_close()
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 5") + b"he")
    await client.head()
    await client.expect(b"he")
    await up.send(b"llo")
    await client.expect(b"llo")
    await client.eof()


@pytest.mark.plain
async def test_fin_right_behind_a_request(wire: Stage) -> None:
    client = await wire.connect()
    await client.send(POST)
    client.half_close()
    up = await wire.origin.accept()
    message = await up.request()
    assert (message.head.target, message.body) == (b"/post", b"hello")
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"2\r\nok\r\n0\r\n\r\n")
    assert (await client.response()).body == b"ok"
    await client.eof()


@pytest.mark.plain
async def test_fin_behind_pipelined_requests(wire: Stage) -> None:
    client, up, _ = await wire.ask(get(b"/1") + get(b"/2") + get(b"/3"))
    client.half_close()
    for number in (1, 2, 3):
        if number > 1:
            assert (await up.head()).target == b"/%d" % number
        await up.send(answer(b"%d" % number))
    for number in (1, 2, 3):
        message = await client.response()
        assert (message.status, message.body) == (200, b"%d" % number)
        assert number == 3 or message.head.tokens(b"Connection") == []
    await client.eof()


@pytest.mark.parametrize("part", [b"", b"G", b"GET / HTTP/1.1\r\n", get()[:-2], b"\r\n"])
async def test_fin_inside_a_head(wire: Stage, part: bytes) -> None:
    client = await wire.connect()
    await client.send(part)
    client.half_close()
    said = await client.gone()
    assert said == b"" or said.startswith(b"HTTP/1.1 400 ")
    assert wire.origin.untouched()
    await wire.passes()


async def test_fin_on_an_idle_connection(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(OK)
    await client.expect(OK)
    client.half_close()
    await client.eof()


async def test_close_delimited_answer_to_http_1_1_then_next_request(wire: Stage) -> None:
    """Where the answer had to be ended by closing, the head said so."""
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.0 200 OK") + b"body")
    up.half_close()
    head = await client.head()
    if head.all(b"Transfer-Encoding"):
        assert await client.chunked() == (b"body", [])
    else:
        assert head.tokens(b"Connection") == [b"close"]
        assert await client.rest() == b"body"
