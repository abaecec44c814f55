"""Interim and early answers: 100 on demand of the service, 103, and a final answer while the body is still coming.

Lives here: RFC 9110 §10.1.1 and §15.2 as they pass through to the client.
Not here: 101 (`test_upgrade.py`), HTTP/1.0 clients (`test_connection.py`).
"""

import pytest

from tests.wire.harness import HOST, OK, Stage, crlf, get, service

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = crlf(b"HTTP/1.1 103 Early Hints", b"Link: </style.css>; rel=preload", b"Link: </app.js>")
TOO_LARGE = crlf(b"HTTP/1.1 413 Content Too Large", b"Content-Length: 4") + b"full"
EXPECT = crlf(b"POST /up HTTP/1.1", HOST, b"Content-Length: 5", b"Expect: 100-continue")
EXPECT_CHUNKED = crlf(b"POST /up HTTP/1.1", HOST, b"Transfer-Encoding: chunked", b"expect: 100-Continue")


async def test_100_comes_from_the_service(wire: Stage) -> None:
    """The head goes up alone; the client hears nothing until the service has spoken."""
    client, up, head = await wire.ask(EXPECT)
    assert head.one(b"Expect") == b"100-continue"
    assert not client.received
    assert not up.pending
    await up.send(CONTINUE)
    await client.expect(CONTINUE)
    await client.send(b"hello")
    await up.expect(b"hello")
    await up.send(OK)
    await client.expect(OK)


async def test_100_with_chunks(wire: Stage) -> None:
    client, up, _ = await wire.ask(EXPECT_CHUNKED)
    await up.send(CONTINUE)
    await client.expect(CONTINUE)
    await client.send(b"5\r\nhello\r\n0\r\n\r\n")
    assert await up.chunked() == (b"hello", [])
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.http1
async def test_413_instead_of_100(wire: Stage) -> None:
    """Whether the body will still come is not known: what follows is never read as a request."""
    inner = get(b"/smuggled")
    expect = crlf(b"POST /up HTTP/1.1", HOST, b"Content-Length: %d" % len(inner), b"Expect: 100-continue")
    client, up, _ = await wire.ask(expect)
    await up.send(TOO_LARGE)
    message = await client.response()
    assert (message.status, message.body) == (413, b"full")
    await client.try_send(inner)
    client.half_close()
    assert await client.gone() == b""
    assert not any(b"GET /smuggled" in peer.received[:20] for peer in wire.origin.waiting())
    await wire.passes()


async def test_413_instead_of_100_is_not_followed_by_a_reused_connection(wire: Stage) -> None:
    """The service still waits for the body there, or does not: nobody can know."""
    _, up, _ = await wire.ask(EXPECT)
    await up.send(TOO_LARGE)
    await up.gone()
    await wire.passes()


async def test_body_without_waiting_for_100(wire: Stage) -> None:
    client, up, _ = await wire.ask(EXPECT + b"hello")
    await up.expect(b"hello")
    await up.send(CONTINUE + OK)
    await client.expect(CONTINUE + OK)


async def test_100_that_nobody_asked_for_passes(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(CONTINUE + OK)
    await client.expect(CONTINUE + OK)


async def test_103_leaves_at_once_and_whole(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(HINTS)
    await client.expect(HINTS)
    await up.send(HINTS)
    await client.expect(HINTS)
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.http1
async def test_interim_and_final_in_one_read(wire: Stage) -> None:
    client, up, _ = await wire.ask(get() + get(b"/2"))
    await up.send(crlf(b"HTTP/1.1 102 Processing") + HINTS + OK)
    await client.expect(crlf(b"HTTP/1.1 102 Processing") + HINTS + OK)
    assert (await up.head()).target == b"/2"


async def test_interim_answer_drops_hop_by_hop_fields(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(
        crlf(b"HTTP/1.1 103 Early Hints", b"Connection: x", b"X: 1", b"Link: </a>", b"Keep-Alive: timeout=1") + OK
    )
    await client.expect(crlf(b"HTTP/1.1 103 Early Hints", b"Link: </a>") + OK)


async def test_interim_before_an_end_is_502(wire: Stage) -> None:
    client, up, _ = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 0"))
    await up.send(HINTS)
    up.close()
    await client.expect(HINTS)
    assert (await client.response()).status == 502


@pytest.mark.parametrize("expect", [b"Expect: 200-ok", b"Expect: 100-continue, other"])
async def test_other_expectations_are_the_services_to_judge(wire: Stage, expect: bytes) -> None:
    _, _, head = await wire.ask(get(b"/", expect))
    assert head.one(b"Expect") == expect.split(b": ")[1]


async def test_early_answer_while_the_body_is_coming(wire: Stage) -> None:
    client, up, _ = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 1000000") + b"x" * 1000)
    assert await up.take(1000) == b"x" * 1000
    await up.send(TOO_LARGE)
    message = await client.response()
    assert (message.status, message.body) == (413, b"full")


@pytest.mark.http1
async def test_early_answer_and_close(wire: Stage) -> None:
    client, up, _ = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 1000000") + b"x" * 1000)
    await up.take(1000)
    await up.send(crlf(b"HTTP/1.1 401 No", b"Connection: close", b"Content-Length: 4") + b"nope")
    up.half_close()
    message = await client.response()
    assert (message.status, message.body) == (401, b"nope")
    await client.try_send(b"x" * 100000)
    client.half_close()
    await client.gone()
    await up.gone()
    await wire.passes()


async def test_answer_streams_while_the_body_streams(wire: Stage) -> None:
    """Full duplex: an echo."""
    client, up, _ = await wire.ask(crlf(b"POST /echo HTTP/1.1", HOST, b"Transfer-Encoding: chunked"))
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"))
    assert (await client.head()).status == 200
    for word in (b"one", b"two", b"three"):
        await client.send(b"%x\r\n%s\r\n" % (len(word), word))
        assert await up.chunk() == word
        await up.send(b"%x\r\n%s\r\n" % (len(word), word))
        assert await client.chunk() == word
    await client.send(b"0\r\n\r\n")
    await up.expect(b"0\r\n\r\n")
    await up.send(b"0\r\n\r\n")
    await client.expect(b"0\r\n\r\n")


@pytest.mark.http1
async def test_rest_of_a_body_after_its_answer_is_body(wire: Stage) -> None:
    client, up, _ = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 2000") + b"x" * 1000)
    await up.take(1000)
    await up.send(OK)
    assert (await client.response()).body == b"ok"
    await client.try_send(get(b"/smuggled").ljust(1000, b"y"))
    client.half_close()
    assert await client.gone() == b""
    await up.gone()
    assert len(up.pending) <= 1000
    assert not wire.origin.waiting()


@pytest.mark.parametrize("whole", [True, False], ids=["request whole", "request pauses"])
async def test_no_timeout_once_the_answer_streams_beside_the_body(stage: Stage, whole: bool) -> None:
    """Body bytes after the answer began must not bring the timeout back."""
    await stage.start(service("web", stage.origin, response_timeout=0.2), idle_timeout=0.2, header_timeout=0.2)
    client, up, _ = await stage.ask(crlf(b"POST /echo HTTP/1.1", HOST, b"Transfer-Encoding: chunked"))
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"))
    await client.head()
    await client.send(b"0\r\n\r\n" if whole else b"2\r\nhi\r\n")
    await up.expect(b"0\r\n\r\n" if whole else b"2\r\nhi\r\n")
    await stage.idle(1.0)
    await up.send(b"3\r\nend\r\n0\r\n\r\n")
    assert await client.chunked() == (b"end", [])
