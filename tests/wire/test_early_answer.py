"""A final answer that comes while the request's body is still on its way, from a service that then hangs up.

Lives here: what has arrived from the service when a write to it fails (RFC 9110 §15.5.14, RFC 9112 §9.6).
Not here: ends without an answer (`test_abort.py`), answers that wait for the body (everywhere else).
"""

import select

import pytest

from tests.waiting import until
from tests.wire.harness import HOST, Stage, crlf
from tests.wire.peer import Peer

TEXT = b"too large"
LENGTH = crlf(b"HTTP/1.1 413 Content Too Large", b"Content-Length: %d" % len(TEXT)) + TEXT
CLOSING = crlf(b"HTTP/1.1 413 Content Too Large", b"Connection: close", b"Content-Length: %d" % len(TEXT)) + TEXT
CHUNKS = crlf(b"HTTP/1.1 413 Content Too Large", b"Transfer-Encoding: chunked") + b"9\r\n" + TEXT + b"\r\n0\r\n\r\n"
INTERIM = crlf(b"HTTP/1.1 103 Early Hints", b"Link: </a>") + LENGTH
PIECE = b"x" * 65536
UPLOADS = {
    "chunked": (b"Transfer-Encoding: chunked", b"10000\r\n" + PIECE + b"\r\n"),
    "length": (b"Content-Length: 900000", PIECE),
    "spliced": (b"Content-Length: 9000000", PIECE),
}


async def uploading(wire: Stage, framing: bytes, piece: bytes) -> tuple[Peer, Peer]:
    """A piece of the body is with the service, unread: whatever it closes, it closes with RST."""
    client, up, _ = await wire.ask(crlf(b"PUT /f HTTP/1.1", HOST, framing) + piece)
    if not up.pending:
        await up.more("the beginning of the body")
    await client.send(piece)
    await until(lambda: readable(up))
    return client, up


def readable(peer: Peer) -> bool:
    """Whether bytes wait in its buffer that nobody has read."""
    return bool(select.select([peer.sock], [], [], 0)[0])


@pytest.mark.http1
@pytest.mark.parametrize("upload", UPLOADS)
@pytest.mark.parametrize("answer", [LENGTH, CLOSING, CHUNKS, INTERIM], ids=["length", "closing", "chunks", "interim"])
async def test_the_answer_that_was_sent_is_the_answer(wire: Stage, answer: bytes, upload: str) -> None:
    """The next piece is in the proxy's hands before it hears of the answer: its write fails."""
    framing, piece = UPLOADS[upload]
    client, up = await uploading(wire, framing, piece)
    client.send_some(piece[:1000])  # nothing runs between these three
    up.send_some(answer)
    up.close()
    head = await client.head()
    while head.status < 200:
        head = await client.head()
    assert head.status == 413
    assert head.one(b"Connection") == b"close"
    body = await client.take(len(TEXT)) if head.all(b"Content-Length") else (await client.chunked())[0]
    assert body == TEXT


async def test_half_an_answer_is_none(wire: Stage) -> None:
    client, up = await uploading(wire, *UPLOADS["chunked"])
    client.send_some(UPLOADS["chunked"][1][:1000])
    up.send_some(LENGTH[:20])
    up.close()
    assert (await client.response()).status == 502


@pytest.mark.http1
async def test_half_a_body_is_a_cut(wire: Stage) -> None:
    client, up = await uploading(wire, *UPLOADS["chunked"])
    client.send_some(UPLOADS["chunked"][1][:1000])
    up.send_some(LENGTH[:-4])
    up.close()
    got = await client.gone()
    assert not got.endswith(TEXT)
    assert client.ended == "reset"


async def test_the_connection_is_not_used_again(wire: Stage) -> None:
    """The whole request is with the service, which answers and resets: nobody gets what is left of that."""
    client, up = await uploading(wire, *UPLOADS["length"])
    up.send_some(LENGTH)
    up.close()
    await client.response()
    await wire.passes()


@pytest.mark.http1
@pytest.mark.parametrize("upload", UPLOADS)
async def test_a_client_that_writes_on_can_read_the_answer(wire: Stage, upload: str) -> None:
    """It reads only once it has written: what it still sends is taken, for as long as it goes on."""
    framing, piece = UPLOADS[upload]
    client, up = await uploading(wire, framing, piece)
    await up.send(LENGTH)
    up.close()
    await until(lambda: not wire.proxy.exchanges)
    for _ in range(8):
        await client.send(piece)
        await wire.pass_time(1.0)
    assert (await client.response()).status == 413


@pytest.mark.plain
async def test_a_client_that_writes_for_ever_is_not_listened_to_for_ever(wire: Stage) -> None:
    framing, piece = UPLOADS["chunked"]
    client, up = await uploading(wire, framing, piece)
    await up.send(LENGTH)
    up.close()
    await until(lambda: not wire.proxy.exchanges)
    for _ in range(40):
        await client.try_send(piece[:100])
        await wire.pass_time(1.0)
    await until(lambda: not wire.proxy.connections)
