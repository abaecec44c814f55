"""`kill -9` of either end, in every phase: the other end learns it, and the next request is right.

Lives here: RST and FIN of client and service at each point of an exchange.
Not here: half-close (`test_connection.py`, `test_upgrade.py`), retries (`test_pool.py`).
"""

from collections.abc import Awaitable, Callable

import pytest

from tests.wire.harness import HOST, OK, Stage, crlf, get
from tests.wire.peer import Peer
from tests.wire.test_upgrade import tunnel

Ends = tuple[Peer, Peer]
End = Callable[[Peer], None]
DEATHS = [pytest.param(Peer.reset, id="RST"), pytest.param(Peer.close, id="closed")]
CHUNKED_POST = crlf(b"POST /up HTTP/1.1", HOST, b"Transfer-Encoding: chunked")


async def waiting_for_an_answer(wire: Stage) -> Ends:
    client, up, _ = await wire.ask(get())
    return client, up


async def uploading_a_length(wire: Stage) -> Ends:
    client, up, _ = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 100") + b"part")
    await up.expect(b"part")
    return client, up


async def uploading_chunks(wire: Stage) -> Ends:
    client, up, _ = await wire.ask(CHUNKED_POST + b"4\r\npart\r\n")
    assert await up.chunk() == b"part"
    return client, up


async def inside_a_chunk(wire: Stage) -> Ends:
    client, up, _ = await wire.ask(CHUNKED_POST + b"ff\r\npart")
    await up.until(b"part")
    return client, up


async def waiting_for_100(wire: Stage) -> Ends:
    client, up, _ = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 5", b"Expect: 100-continue"))
    return client, up


async def after_an_interim_answer(wire: Stage) -> Ends:
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 103 Early Hints", b"Link: </a>"))
    await client.head()
    return client, up


async def body_sent(wire: Stage) -> Ends:
    client, up, _ = await wire.ask(CHUNKED_POST + b"0\r\n\r\n")
    await up.expect(b"0\r\n\r\n")
    return client, up


async def downloading_a_length(wire: Stage) -> Ends:
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 100") + b"part")
    await client.head()
    await client.expect(b"part")
    return client, up


async def downloading_chunks(wire: Stage) -> Ends:
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"4\r\npart\r\n")
    await client.head()
    assert await client.chunk() == b"part"
    return client, up


async def duplex(wire: Stage) -> Ends:
    client, up, _ = await wire.ask(CHUNKED_POST)
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"4\r\npart\r\n")
    await client.head()
    assert await client.chunk() == b"part"
    return client, up


async def half_an_answer(wire: Stage) -> Ends:
    client, up, _ = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 0"))
    await up.send(b"HTTP/1.1 200 OK\r\nConte")
    return client, up


BEFORE_AN_ANSWER = [
    waiting_for_an_answer,
    uploading_a_length,
    uploading_chunks,
    inside_a_chunk,
    waiting_for_100,
    after_an_interim_answer,
    body_sent,
    half_an_answer,
]
STREAMING = [downloading_a_length, downloading_chunks, duplex]
Phase = Callable[[Stage], Awaitable[Ends]]


@pytest.mark.http1
@pytest.mark.parametrize("end", DEATHS)
@pytest.mark.parametrize("phase", [*BEFORE_AN_ANSWER, *STREAMING, tunnel])
async def test_client_dies(wire: Stage, phase: Phase, end: End) -> None:
    """The service's connection ends, though nobody writes to the client."""
    client, up = await phase(wire)
    end(client)
    assert b"0\r\n\r\n" not in await up.gone()
    await wire.passes()


@pytest.mark.parametrize("end", DEATHS)
@pytest.mark.parametrize("phase", [waiting_for_an_answer, body_sent, after_an_interim_answer, downloading_chunks])
async def test_client_that_waits_is_missed_without_the_clock(wire: Stage, phase: Phase, end: End) -> None:
    """Its end is the event; nobody has to look for it."""
    client, up = await phase(wire)
    wire.stop_ticking()
    end(client)
    await up.gone()


@pytest.mark.http1
@pytest.mark.parametrize("end", DEATHS)
@pytest.mark.parametrize("phase", BEFORE_AN_ANSWER)
async def test_service_dies_before_an_answer(wire: Stage, phase: Phase, end: End) -> None:
    client, up = await phase(wire)
    end(up)
    message = await client.response()
    assert message.status == 502
    assert message.error in ("upstream-closed", "upstream-invalid")
    await wire.passes()


@pytest.mark.parametrize("end", DEATHS)
@pytest.mark.parametrize("phase", STREAMING)
async def test_service_dies_inside_an_answer(wire: Stage, phase: Phase, end: End) -> None:
    client, up = await phase(wire)
    end(up)
    assert await client.cut() == b""
    await wire.passes()


@pytest.mark.http1
@pytest.mark.parametrize("end", DEATHS)
async def test_service_dies_in_a_tunnel(wire: Stage, end: End) -> None:
    client, up = await tunnel(wire)
    end(up)
    assert await client.gone() == b""
    client.close()
    await wire.passes()


async def test_reset_inside_an_answer_that_a_close_would_end(wire: Stage) -> None:
    """Without a length only a FIN means whole; a reset must not become one."""
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Connection: close") + b"part")
    head = await client.head()
    if head.all(b"Transfer-Encoding"):
        assert await client.chunk() == b"part"
        up.reset()
        assert await client.cut() == b""
    else:
        await client.expect(b"part")
        up.reset()
        await client.gone()
        assert client.ended == "reset"


@pytest.mark.parametrize("part", [b"", b"GET / HTTP/1.1\r\nHo", b"\r\n"])
async def test_client_dies_before_a_request_is_whole(wire: Stage, part: bytes) -> None:
    client = await wire.connect()
    await client.send(part)
    client.reset()
    await wire.passes()


@pytest.mark.parametrize("end", DEATHS)
async def test_idle_client_dies_and_the_service_keeps_its_connection(wire: Stage, end: End) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(OK)
    await client.expect(OK)
    end(client)
    other = await wire.connect()
    await other.send(get(b"/other"))
    assert (await up.head()).target == b"/other"
    await up.send(OK)
    await other.expect(OK)


@pytest.mark.http1
@pytest.mark.parametrize("end", DEATHS)
async def test_pipelining_client_dies(wire: Stage, end: End) -> None:
    client, up, _ = await wire.ask(b"".join(get(b"/%d" % number) for number in range(50)))
    await up.send(OK)
    assert (await up.head()).target == b"/1"
    end(client)
    await up.gone()
    await wire.passes()


async def test_many_aborted_requests_leave_nothing_behind(wire: Stage) -> None:
    """No upstream connection of a dead client stays open."""
    for number in range(100):
        client, up, _ = await wire.ask(get(b"/%d" % number))
        client.reset()
        if number % 10 == 0:
            await up.gone()
    for up in wire.origin.peers:
        await up.gone()
    await wire.passes()
