"""A fault in a request body that is already streaming: the service never sees a whole request.

Lives here: bad chunks, sizes, extensions and trailers, and bodies that end too early (RFC 9112 §7.1, §8).
Not here: faults in the head (`test_bad_head.py`), a client that is killed (`test_abort.py`).
"""

import asyncio

import pytest

from tests.wire.harness import HOST, Stage, crlf

pytestmark = pytest.mark.http1  # it speaks of what HTTP/1.1 alone has

POST = crlf(b"POST /up HTTP/1.1", HOST, b"Transfer-Encoding: chunked")
GOOD = b"4\r\ngood\r\n"

CHUNKS = {
    "not hex": b"xyz\r\n",
    "empty size": b"\r\nhello\r\n",
    "negative": b"-5\r\nhello\r\n",
    "plus": b"+5\r\nhello\r\n",
    "0x": b"0x5\r\nhello\r\n",
    "underscore": b"1_0\r\n" + b"x" * 16 + b"\r\n",
    "leading space": b" 5\r\nhello\r\n",
    "space inside": b"1 0\r\n",
    "bare LF after size": b"5\nhello\r\n",
    "bare CR after size": b"5\rhello\r\n",
    "bare LF after data": b"5\r\nhello\n0\r\n\r\n",
    "data longer than size": b"5\r\nhello!\r\n0\r\n\r\n",
    "data shorter than size": b"6\r\nhello\r\n0\r\n\r\n" + b"\r\n" * 4,
    "no CRLF after data": b"5\r\nhello0\r\n\r\n",
    "overflow 64 bit": b"10000000000000005\r\nhello\r\n",
    "endless zeros": b"0" * 5000 + b"5\r\nhello\r\n",
    "bare LF in extension": b"5;a\nb\r\nhello\r\n",
    "control in extension": b"5;a=\x00\r\nhello\r\n",
    "extension of 20 kB": b"5;" + b"a" * 20000 + b"\r\nhello\r\n",
    "extensions without end": b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n" * 1000,
    "bare LF at the end": b"0\n\n",
    "bare LF after last": b"0\r\n\n",
    "trailer without colon": b"0\r\nnope\r\n\r\n",
    "trailer with bare LF": b"0\r\nX: a\nY: b\r\n\r\n",
    "trailer folded": b"0\r\nX: a\r\n b\r\n\r\n",
    "trailer with NUL": b"0\r\nX: \x00\r\n\r\n",
    "trailer space before colon": b"0\r\nX : a\r\n\r\n",
    "trailers of 1 MB": b"0\r\n" + b"X: 0123456789abcdef\r\n" * 50000 + b"\r\n",
    "trailers without end": b"0\r\nX: " + b"a" * 1000000,
    "garbage": b"\x16\x03\x01\xff\xff\xff",
}


def without_framing(data: bytes) -> bytes:
    """Payload of what looks like chunks; the last chunk must not be among them."""
    assert b"\r\n0\r\n" not in b"\r\n" + data, f"the last chunk was sent: {data[-300:]!r}"
    return data


@pytest.mark.parametrize("bad", [pytest.param(bad, id=name) for name, bad in CHUNKS.items()])
async def test_bad_chunk_before_any_answer(wire: Stage, bad: bytes) -> None:
    """The client gets 400; the service gets what was good, and no end."""
    client, up, _ = await wire.ask(POST + GOOD)
    assert await up.chunk() == b"good"
    sending = asyncio.create_task(client.try_send(bad))
    assert (await client.response()).error == "bad-request"
    await sending
    without_framing(await up.gone())
    await client.gone()
    await wire.passes()


@pytest.mark.parametrize("name", ["not hex", "data longer than size", "trailer with bare LF"])
async def test_bad_chunk_in_the_same_read_as_the_head(wire: Stage, name: str) -> None:
    client = await wire.connect()
    await client.send(POST + GOOD + CHUNKS[name])
    assert (await client.response()).error == "bad-request"
    await client.gone()
    for up in wire.origin.waiting():
        without_framing(await up.gone())


@pytest.mark.parametrize("name", ["not hex", "bare LF after size", "bare LF at the end", "trailer folded"])
async def test_bad_chunk_after_the_answer_began_is_a_cut(wire: Stage, name: str) -> None:
    client, up, _ = await wire.ask(POST + GOOD)
    assert await up.chunk() == b"good"
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 10") + b"01234")
    assert (await client.head()).status == 200
    await client.expect(b"01234")
    await client.try_send(CHUNKS[name])
    assert await client.gone() == b""
    without_framing(await up.gone())
    await wire.passes()


@pytest.mark.parametrize("framing", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("close", [True, False], ids=["closed", "half-closed"])
async def test_body_that_ends_too_early(wire: Stage, framing: bytes, close: bool) -> None:
    """A FIN inside a body: the upstream connection is aborted, so the service cannot take it for whole."""
    body = b"short" if framing.startswith(b"C") else b"5\r\nshort\r\n"
    client, up, _ = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, framing) + body)
    await up.expect(body)
    if close:
        client.close()
    else:
        client.half_close()
    assert await up.gone() == b""
    if not close:
        assert b"HTTP/1.1 200" not in await client.gone()
    await wire.passes()


async def test_what_follows_a_bad_chunk_is_not_read(wire: Stage) -> None:
    client, up, _ = await wire.ask(POST + GOOD)
    assert await up.chunk() == b"good"
    await client.send(b"zz\r\n\r\n" + crlf(b"GET /smuggled HTTP/1.1", HOST))
    assert (await client.response()).status == 400
    assert await client.gone() == b""
    without_framing(await up.gone())
    assert b"smuggled" not in up.received


async def test_many_small_extensions_pass_below_the_limit(wire: Stage) -> None:
    _, up, _ = await wire.ask(POST + b"1;a=b\r\nx\r\n" * 100 + b"0\r\n\r\n")
    assert await up.chunked() == (b"x" * 100, [])
