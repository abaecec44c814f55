"""Back-pressure: a reader that stops holds the writer, in both directions, and nothing is lost.

Lives here: how far either side gets ahead (issue: at most 8 MiB), and that the stream goes on whole.
Not here: memory of the process (`tests/bench/`), timeouts (`test_limits.py`).
"""

import asyncio
import socket
from collections.abc import Callable

import pytest

from tests.wire.harness import HOST, OK, Stage, crlf, get
from tests.wire.peer import Peer
from tests.wire.test_upgrade import tunnel

MEBIBYTE = 1 << 20
LIMIT = 8 * MEBIBYTE
TOTAL = 32 * MEBIBYTE
STALLED = 0.5  # seconds without a byte taken: whoever is still going is only counted too low


def pattern(start: int, count: int) -> bytes:
    """`count` bytes of a stream in which every position can be told from its neighbours."""
    first = start // 8
    words = b"".join(number.to_bytes(8, "big") for number in range(first, (start + count) // 8 + 1))
    return words[start - first * 8 : start - first * 8 + count]


async def push(peer: Peer, sent: int, total: int) -> int:
    """Write from position `sent` on until nothing more is taken; returns the new position."""
    loop = asyncio.get_running_loop()
    while sent < total:
        block = pattern(sent, min(65536, total - sent))
        try:
            sent += peer.send_some(block)
        except BlockingIOError:
            if not await _writable(loop, peer.sock):
                break
        else:
            await asyncio.sleep(0)
    return sent


async def _writable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bool:
    ready = asyncio.Event()
    loop.add_writer(sock, ready.set)
    try:
        await asyncio.wait_for(ready.wait(), STALLED)
    except TimeoutError:
        return False
    finally:
        loop.remove_writer(sock)
    return True


async def drain(peer: Peer, start: int, total: int) -> None:
    """Read to position `total`, and check every byte."""
    while start < total:
        count = min(65536, total - start)
        assert await peer.take(count) == pattern(start, count), f"wrong bytes near {start}"
        start += count


async def both(writer: Peer, sent: int, reader: Peer, start: int, total: int) -> None:
    """Write what is left and read it all, at once."""
    reading = asyncio.create_task(drain(reader, start, total))
    while sent < total:
        sent = await push(writer, sent, total)
        if reading.done():
            break
    await reading


async def test_stopped_reader_of_a_response(wire: Stage) -> None:
    client = await wire.connect(receive_buffer=4096)
    await client.send(get(b"/big"))
    up = await wire.origin.accept()
    await up.head()
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: %d" % TOTAL))
    sent = await push(up, 0, TOTAL)
    assert sent <= LIMIT, f"the service is {sent / MEBIBYTE:.1f} MiB ahead"
    await client.head()
    await both(up, sent, client, 0, TOTAL)
    await client.send(get(b"/next"))
    assert (await up.head()).target == b"/next"


async def test_stopped_reader_of_chunks(wire: Stage) -> None:
    """Chunks take another way through the proxy than a length does."""
    client = await wire.connect(receive_buffer=4096)
    await client.send(get(b"/big"))
    up = await wire.origin.accept()
    await up.head()
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"%x\r\n" % TOTAL)
    sent = await push(up, 0, TOTAL)
    assert sent <= LIMIT, f"the service is {sent / MEBIBYTE:.1f} MiB ahead"
    await client.head()
    reading = asyncio.create_task(client.chunked())
    while sent < TOTAL:
        sent = await push(up, sent, TOTAL)
    await up.send(b"\r\n0\r\n\r\n")
    body, _ = await reading
    assert body == pattern(0, TOTAL)


@pytest.mark.http1
async def test_stopped_reader_of_a_request(wire: Stage) -> None:
    client, up, _ = await wire.ask(crlf(b"POST /big HTTP/1.1", HOST, b"Content-Length: %d" % TOTAL))
    sent = await push(client, 0, TOTAL)
    assert sent <= 2 * LIMIT, f"the client is {sent / MEBIBYTE:.1f} MiB ahead"
    await both(client, sent, up, 0, TOTAL)
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.http1
@pytest.mark.parametrize("who", ["client", "service"])
async def test_stopped_reader_of_a_tunnel(wire: Stage, who: str) -> None:
    client, up = await tunnel(wire)
    reader, writer = (client, up) if who == "client" else (up, client)
    sent = await push(writer, 0, TOTAL)
    assert sent <= 2 * LIMIT, f"{sent / MEBIBYTE:.1f} MiB ahead"
    await reader.send(b"still here")
    await writer.expect(b"still here")
    await both(writer, sent, reader, 0, TOTAL)


async def test_one_stopped_reader_does_not_hold_another_client(wire: Stage) -> None:
    client = await wire.connect(receive_buffer=4096)
    await client.send(get(b"/big"))
    up = await wire.origin.accept()
    await up.head()
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: %d" % TOTAL))
    await push(up, 0, TOTAL)
    other, beside, _ = await wire.ask(get(b"/other"))
    await beside.send(OK)
    await other.expect(OK)


@pytest.mark.http1
async def test_pipelined_requests_are_not_read_without_end(wire: Stage) -> None:
    """A client that sends and never reads is held."""
    client, up, _ = await wire.ask(get())
    block = get(b"/more", b"X: " + b"y" * 8000) * 8
    sent = 0
    loop = asyncio.get_running_loop()
    while sent < TOTAL:
        try:
            sent += client.send_some(block)
        except BlockingIOError:
            if not await _writable(loop, client.sock):
                break
        await asyncio.sleep(0)
    assert sent <= 2 * LIMIT
    assert not up.pending


@pytest.mark.parametrize("end", [Peer.reset, Peer.close], ids=["RST", "closed"])
async def test_stopped_reader_dies(wire: Stage, end: Callable[[Peer], None]) -> None:
    """Neither loop reports the end of a connection whose reading is paused: it is noticed all the same."""
    client = await wire.connect(receive_buffer=4096)
    await client.send(get(b"/big"))
    up = await wire.origin.accept()
    await up.head()
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: %d" % TOTAL))
    await push(up, 0, TOTAL)
    end(client)
    await up.gone()


@pytest.mark.http1
@pytest.mark.parametrize("end", [Peer.reset, Peer.close], ids=["RST", "closed"])
async def test_stopped_service_dies(wire: Stage, end: Callable[[Peer], None]) -> None:
    client, up, _ = await wire.ask(crlf(b"POST /big HTTP/1.1", HOST, b"Content-Length: %d" % TOTAL))
    await push(client, 0, TOTAL)
    end(up)
    assert b"HTTP/1.1 200" not in await client.gone()
    await wire.passes()
