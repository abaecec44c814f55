"""A hostile service: whatever it answers, no client gets anything that is not strictly HTTP.

Lives here: one case for each malformed head and body (RFC 9112 §§4–7).
Not here: services that end or stay silent (`test_pool.py`, `test_limits.py`), 101 (`test_upgrade.py`).
"""

import asyncio

import pytest

from tests.wire.harness import OK, Stage, crlf, get
from tests.wire.peer import Message

LINE = b"HTTP/1.1 200 OK"
CL, CHUNKED = b"Content-Length: 2", b"Transfer-Encoding: chunked"


def head(*fields: bytes, line: bytes = LINE) -> bytes:
    return crlf(line, *fields)


HEADS = {
    "bare LF in a field": head(b"X: a\nSet-Cookie: evil=1", CL) + b"ok",
    "bare LF after the line": b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\nok",
    "bare LF everywhere": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "bare LF at the end": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
    "bare CR in a value": head(b"X: a\rb", CL) + b"ok",
    "CR CR LF": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\r\n\r\nok",
    "NUL in a value": head(b"X: a\x00b", CL) + b"ok",
    "DEL in a value": head(b"X: a\x7fb", CL) + b"ok",
    "escape in a value": head(b"X: \x1b]0;evil\x07", CL) + b"ok",
    "control in the reason": head(CL, line=b"HTTP/1.1 200 O\x01K") + b"ok",
    "bare CR in the reason": head(CL, line=b"HTTP/1.1 200 O\rK") + b"ok",
    "control in a name": head(b"X\x01: a", CL) + b"ok",
    "space in a name": head(b"X Y: a", CL) + b"ok",
    "space before the colon in a name": head(b"X Y : a", CL) + b"ok",
    "no colon": head(b"Nonsense", CL) + b"ok",
    "no name": head(b": a", CL) + b"ok",
    "folded field": head(b"X: a\r\n b", CL) + b"ok",
    "first field folded": head(b" X: a", CL) + b"ok",
    "two lengths that differ": head(CL, b"Content-Length: 3") + b"ok!",
    "two lengths alike": head(CL, CL) + b"ok",
    "list of lengths": head(b"Content-Length: 2, 2") + b"ok",
    "length plus": head(b"Content-Length: +2") + b"ok",
    "length minus": head(b"Content-Length: -2") + b"ok",
    "length hex": head(b"Content-Length: 0x2") + b"ok",
    "length empty": head(b"Content-Length:") + b"ok",
    "length enormous": head(b"Content-Length: " + b"9" * 40) + b"ok",
    "CL+TE": head(CL, CHUNKED) + b"0\r\n\r\n",
    "TE+CL": head(CHUNKED, CL) + b"0\r\n\r\n",
    "TE gzip": head(b"Transfer-Encoding: gzip") + b"ok",
    "TE gzip, chunked": head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "TE chunked twice": head(CHUNKED, CHUNKED) + b"0\r\n\r\n",
    "TE with an empty member": head(b"Transfer-Encoding: ,chunked") + b"0\r\n\r\n",
    "TE identity": head(b"Transfer-Encoding: identity", CL) + b"ok",
    "TE empty": head(b"Transfer-Encoding:", CL) + b"ok",
    "TE on 1.0": head(CHUNKED, line=b"HTTP/1.0 200 OK") + b"0\r\n\r\n",
    "no status": head(CL, line=b"HTTP/1.1 OK"),
    "status 000": head(CL, line=b"HTTP/1.1 000 OK"),
    "status 099": head(CL, line=b"HTTP/1.1 099 OK"),
    "status 1000": head(CL, line=b"HTTP/1.1 1000 OK"),
    "status 20": head(CL, line=b"HTTP/1.1 20 OK"),
    "status 2 0": head(CL, line=b"HTTP/1.1 2 0 OK"),
    "status -200": head(CL, line=b"HTTP/1.1 -200 OK"),
    "status letters": head(CL, line=b"HTTP/1.1 abc OK"),
    "two spaces": head(CL, line=b"HTTP/1.1  200 OK"),
    "version 2": head(CL, line=b"HTTP/2 200 OK"),
    "version 2.0": head(CL, line=b"HTTP/2.0 200 OK"),
    "version 1.10": head(CL, line=b"HTTP/1.10 200 OK"),
    "lower case": head(CL, line=b"http/1.1 200 OK"),
    "ICY": head(CL, line=b"ICY 200 OK"),
    "HTTP/0.9": b"<html><script>alert(1)</script></html>\r\n\r\n",
    "one line": b"-ERR unknown command 'GET'\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "HTTP/2 settings": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00\x03\x00\x00\x00\x80" * 3 + b"\r\n\r\n",
    "TLS alert": b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
    "a request": get(),
    "empty line first": b"\r\n\r\n" + OK,
    "huge field": head(b"X: " + b"y" * 1000000, CL) + b"ok",
    "huge field without an end": LINE + b"\r\nX: " + b"y" * 1000000,
    "huge reason": b"HTTP/1.1 200 " + b"y" * 1000000,
    "too many fields": head(*[b"X: y"] * 10000, CL) + b"ok",
    "interim with a body": crlf(b"HTTP/1.1 100 Continue", b"Content-Length: 5") + b"hello" + OK,
}


async def _answered(stage: Stage, data: bytes) -> Message:
    """What a client that reads by the letter gets in the end when the service answers `data` and stays."""
    client, up, _ = await stage.ask(get(b"/", b"Accept: text/html"))
    sending = asyncio.create_task(up.try_send(data))
    message = await client.response()
    while message.status < 200:
        message = await client.response()
    await sending
    await up.gone()
    return message


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in HEADS.items()])
async def test_malformed_head_is_502(wire: Stage, data: bytes) -> None:
    """At once, not when the service ends; and its connection is not used again."""
    message = await _answered(wire, data)
    assert (message.status, message.error) == (502, "upstream-invalid")
    assert message.head.all(b"Set-Cookie") == []
    for evil in (b"<script>alert", b"\x1b", b"\x00"):
        assert evil not in message.body
    await wire.passes()


@pytest.mark.parametrize("data", [b"hello\n", b"-ERR\r\n", b"<html>\r\n", b"SSH-2.0-x\r\n", b"\x00\x00\x12\x04"])
async def test_what_is_no_http_and_then_ends_is_502(wire: Stage, data: bytes) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(data)
    up.close()
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-invalid")
    await wire.passes()


async def test_page_shows_what_the_service_sent_escaped(wire: Stage) -> None:
    for accept in (b"text/html", b"application/json"):
        client, up, _ = await wire.ask(get(b"/", b"Accept: " + accept))
        await up.send(b"<script>alert('x')</script>\r\n\r\n")
        message = await client.response()
        assert message.error == "upstream-invalid"
        assert b"alert(" in message.body
        assert accept == b"application/json" or b"<script>alert" not in message.body


CHUNKS = {
    "bad size": b"zz\r\n",
    "negative size": b"-1\r\n",
    "overflow": b"fffffffffffffffff\r\n",
    "bare LF after size": b"2\nok\r\n",
    "data too long": b"2\r\nok!!\r\n",
    "no CRLF": b"2\r\nok0\r\n\r\n",
    "control in extension": b"2;\x00\r\nok\r\n",
    "endless extension": b"2;" + b"a" * 1000000,
    "endless small extensions": b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 20000,
    "bare LF at the end": b"0\n\n",
    "endless trailers": b"0\r\n" + b"X: y\r\n" * 200000,
    "trailer without colon": b"0\r\nnope\r\n\r\n",
    "trailer with bare LF": b"0\r\nX: a\nY: b\r\n\r\n",
    "garbage": b"\xff\xfe\r\n\r\n",
}


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in CHUNKS.items()])
async def test_bad_chunk_is_a_cut(wire: Stage, bad: bytes) -> None:
    """The answer has begun: the client must see that it is not whole."""
    client, up, _ = await wire.ask(get())
    await up.send(head(CHUNKED) + b"4\r\ngood\r\n")
    assert (await client.head()).status == 200
    assert await client.chunk() == b"good"
    sending = asyncio.create_task(up.try_send(bad))
    await client.cut()
    await sending
    await up.gone()
    await wire.passes()


@pytest.mark.http1
@pytest.mark.plain
@pytest.mark.parametrize("name", ["bad size", "data too long", "bare LF at the end"])
async def test_bad_chunk_in_the_same_read_as_the_head(wire: Stage, name: str) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(head(CHUNKED) + b"4\r\ngood\r\n" + CHUNKS[name])
    client.half_close()
    received = await client.cut()
    assert received.startswith((b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 502 "))
    await wire.passes()


@pytest.mark.http1
async def test_bad_chunk_to_http_1_0_is_a_reset_or_a_502(wire: Stage) -> None:
    """A close would look like the end of the body (RFC 9112 §8)."""
    client, up, _ = await wire.ask(crlf(b"GET / HTTP/1.0", b"Host: web.localhost"))
    await up.send(head(CHUNKED) + b"4\r\ngood\r\n")
    await client.head()
    await client.expect(b"good")
    await up.send(b"zz\r\n")
    await client.gone()
    assert client.ended == "reset"


@pytest.mark.parametrize("framing", [CL, CHUNKED])
@pytest.mark.parametrize("end", ["fin", "rst"])
async def test_body_that_ends_too_early_is_a_cut(wire: Stage, framing: bytes, end: str) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(head(framing.replace(b"2", b"20")) + (b"short" if framing == CL else b"5\r\nshort\r\n"))
    await client.head()
    assert (await client.take(5) if framing == CL else await client.chunk()) == b"short"
    if end == "fin":
        up.close()
    else:
        up.reset()
    assert await client.cut() == b""
    await wire.passes()


SURPLUS = {
    "behind a length": (b"GET", head(CL) + b"ok", b"EXTRA"),
    "a whole answer more": (b"GET", head(CL) + b"ok", head(b"Set-Cookie: poison=1", CL) + b"no"),
    "behind the last chunk": (b"GET", head(CHUNKED) + b"2\r\nok\r\n0\r\n\r\n", b"EXTRA"),
    "behind 204": (b"GET", head(line=b"HTTP/1.1 204 No Content"), b"EXTRA"),
    "behind 304": (b"GET", head(CL, line=b"HTTP/1.1 304 Not Modified"), b"ok"),
    "behind HEAD": (b"HEAD", head(CL), b"ok"),
    "behind length 0": (b"GET", head(b"Content-Length: 0"), b"HTTP/1.1 200 OK\r\n\r\n"),
}


@pytest.mark.parametrize("together", [True, False], ids=["same read", "later, while idle"])
@pytest.mark.parametrize("name", SURPLUS)
async def test_bytes_behind_an_answer_reach_nobody(wire: Stage, name: str, together: bool) -> None:
    """Response splitting, and poison for the next client of a pooled connection."""
    method, answer, extra = SURPLUS[name]
    client, up, _ = await wire.ask(get(b"/first", method=method))
    await up.send(answer + extra if together else answer)
    message = await client.response(method)
    assert message.body in (b"", b"ok")
    if not together:
        await up.try_send(extra)
    await up.gone()
    await client.send(get(b"/second"))
    fresh = await wire.origin.accept()
    assert (await fresh.head()).target == b"/second"
    await fresh.send(OK)
    await client.expect(OK)
    assert b"poison" not in client.received
