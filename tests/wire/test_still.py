"""Time without an answer while a request has a body: it runs from the last byte that moved, and names who stood still.

Lives here: slow services, slow clients, and both that stop, whatever the framing.
Not here: the time to answer of requests without a body, and of heads (`test_limits.py`).
"""

import asyncio
import sys

import pytest

from devproxy.net.sockdiag import peer_unread
from tests.waiting import until
from tests.wire.harness import HOST, OK, Stage, crlf, service
from tests.wire.peer import Peer

SIZE = 3_000_000
PIECE = 100_000
FRAMINGS = {
    "length": (b"Content-Length: 900000", b"x" * 900_000),
    "spliced": (b"Content-Length: %d" % SIZE, b"x" * SIZE),
    "chunked": (b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, b"x" * SIZE)),
}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a service has not read")
framings = pytest.mark.parametrize("framing", FRAMINGS)


async def upload(stage: Stage, framing: str) -> tuple[Peer, Peer, bytes]:
    """A client and a service that has read the head, and the body that is still to be sent."""
    await stage.start(service("web", stage.origin, response_timeout=8.0))
    field, body = FRAMINGS[framing]
    client, up, _ = await stage.ask(crlf(b"PUT /f HTTP/1.1", HOST, field))
    return client, up, body


async def read_some(up: Peer, count: int) -> None:
    while len(up.received) < count:
        await up.more("more of the body")


@framings
async def test_a_service_that_reads_slowly_is_waited_for(stage: Stage, framing: str) -> None:
    client, up, body = await upload(stage, framing)
    sending = asyncio.create_task(client.send(body))
    for step in range(1, len(body) // PIECE):
        await read_some(up, step * PIECE)
        await stage.pass_time(1.5)  # 12 and more times as long in all as an answer may take
    await read_some(up, len(body))
    await sending
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.http1
@framings
async def test_a_client_that_sends_slowly_is_waited_for(stage: Stage, framing: str) -> None:
    client, up, body = await upload(stage, framing)
    for start in range(0, len(body), PIECE):
        await client.send(body[start : start + PIECE])
        await read_some(up, start)
        await stage.pass_time(1.5)
    await up.send(OK)
    await client.expect(OK)


@framings
async def test_a_service_that_stops_reading_is_named(stage: Stage, framing: str) -> None:
    client, up, body = await upload(stage, framing)
    sending = asyncio.create_task(client.try_send(body))
    await read_some(up, PIECE)
    message = await stage.meanwhile(1.0, client.response())
    sending.cancel()
    assert (message.status, message.error) == (504, "upstream-timeout")
    assert b"web read nothing more" in message.body


@pytest.mark.http1
@framings
async def test_a_client_that_stops_sending_is_named(stage: Stage, framing: str) -> None:
    client, up, body = await upload(stage, framing)
    await client.send(body[:PIECE])
    await read_some(up, PIECE - 100)
    await until(lambda: not peer_unread(up.sock.getpeername()[:2], up.sock.getsockname()[:2]))
    message = await stage.meanwhile(1.0, client.response())
    assert (message.status, message.error) == (408, "request-timeout")


async def test_a_service_that_never_says_continue_is_named(stage: Stage) -> None:
    await stage.start()
    client, _, _ = await stage.ask(crlf(b"PUT /f HTTP/1.1", HOST, b"Content-Length: 5", b"Expect: 100-continue"))
    message = await stage.meanwhile(1.0, client.response())
    assert (message.status, message.error) == (504, "upstream-timeout")


async def test_a_client_that_was_told_to_continue_and_does_not_is_named(stage: Stage) -> None:
    await stage.start()
    client, up, _ = await stage.ask(crlf(b"PUT /f HTTP/1.1", HOST, b"Content-Length: 5", b"Expect: 100-continue"))
    await up.send(crlf(b"HTTP/1.1 100 Continue"))
    assert (await client.head()).status == 100
    message = await stage.meanwhile(1.0, client.response())
    assert (message.status, message.error) == (408, "request-timeout")


@framings
async def test_a_service_that_has_read_everything_and_is_silent(stage: Stage, framing: str) -> None:
    client, up, body = await upload(stage, framing)
    sending = asyncio.create_task(client.send(body))
    await read_some(up, len(body))
    await sending
    message = await stage.meanwhile(1.0, client.response())
    assert (message.status, message.error) == (504, "upstream-timeout")
    assert b"did not answer within 8 s" in message.body


@pytest.mark.parametrize("framing", ["none", *FRAMINGS])
async def test_never_is_for_as_long_as_the_client_waits(stage: Stage, framing: str) -> None:
    await stage.start(service("web", stage.origin, response_timeout=float("inf")))
    field, body = FRAMINGS.get(framing, (b"X: 1", b""))
    client, up, _ = await stage.ask(crlf(b"PUT /f HTTP/1.1", HOST, field))
    for _ in range(3):
        await stage.pass_time(100_000.0)
    sending = asyncio.create_task(client.send(body))
    for _ in range(3):
        await stage.pass_time(100_000.0)
    await read_some(up, len(up.received) + len(body) - 100 if body else 0)
    await stage.pass_time(100_000.0)
    await sending
    await up.send(OK)
    await client.expect(OK)
    assert not stage.origin.waiting()
