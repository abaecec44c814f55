"""Large bodies of a known length: they may be moved inside the kernel, and nobody may be able to tell.

Lives here: every turn that an exchange can take while megabytes of a length are under way.
Not here: the same with small bodies (the other files), how far either side gets ahead (`test_pressure.py`).
"""

import asyncio
from collections.abc import Callable

import pytest

from tests.waiting import DEADLINE
from tests.wire.harness import HOST, OK, Stage, crlf, get, service
from tests.wire.peer import Peer
from tests.wire.test_pressure import MEBIBYTE, both, drain, pattern, push

SIZE = 6 * MEBIBYTE
PART = 2 * MEBIBYTE
LENGTH = b"Content-Length: %d" % SIZE
POST = crlf(b"POST /big HTTP/1.1", HOST, LENGTH)
ANSWER = crlf(b"HTTP/1.1 200 OK", LENGTH)
DEATHS = [pytest.param(Peer.reset, id="RST"), pytest.param(Peer.close, id="closed")]
End = Callable[[Peer], None]


async def downloading(wire: Stage) -> tuple[Peer, Peer]:
    """`PART` of a response is through, and the service is silent."""
    client, up, _ = await wire.ask(get(b"/big"))
    await up.send(ANSWER)
    assert (await client.head()).one(b"Content-Length") == b"%d" % SIZE
    await both(up, 0, client, 0, PART)
    return client, up


async def uploading(wire: Stage) -> tuple[Peer, Peer]:
    """`PART` of a request is through, and the client is silent."""
    client, up, _ = await wire.ask(POST)
    await both(client, 0, up, 0, PART)
    return client, up


async def test_download_and_what_follows(wire: Stage) -> None:
    client, up = await downloading(wire)
    await both(up, PART, client, PART, SIZE)
    await client.send(get(b"/next"))
    assert (await up.head()).target == b"/next"
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.http1
async def test_upload_and_what_follows(wire: Stage) -> None:
    client, up = await uploading(wire)
    await both(client, PART, up, PART, SIZE)
    await up.send(OK)
    await client.expect(OK)
    await client.send(get(b"/next"))
    assert (await up.head()).target == b"/next"


@pytest.mark.http1
async def test_request_pipelined_behind_an_upload(wire: Stage) -> None:
    client, up = await uploading(wire)
    await both(client, PART, up, PART, SIZE - 100)
    await client.send(pattern(SIZE - 100, 100) + get(b"/behind"))
    await drain(up, SIZE - 100, SIZE)
    assert not up.pending
    await up.send(OK)
    await client.expect(OK)
    assert (await up.head()).target == b"/behind"


@pytest.mark.http1
async def test_pipelined_downloads(wire: Stage) -> None:
    client, up, _ = await wire.ask(get(b"/1") + get(b"/2"))
    for number in (1, 2):
        if number == 2:
            assert (await up.head()).target == b"/2"
        await up.send(ANSWER)
        assert (await client.head()).status == 200
        await both(up, 0, client, 0, SIZE)


async def test_bytes_behind_a_download_reach_nobody(wire: Stage) -> None:
    client, up = await downloading(wire)
    await both(up, PART, client, PART, SIZE - 100)
    await up.send(pattern(SIZE - 100, 100) + crlf(b"HTTP/1.1 200 OK", b"Set-Cookie: poison=1"))
    await drain(client, SIZE - 100, SIZE)
    await up.gone()
    await client.send(get(b"/second"))
    fresh = await wire.origin.accept()
    assert (await fresh.head()).target == b"/second"
    await fresh.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("end", DEATHS)
async def test_service_dies_inside_a_download(wire: Stage, end: End) -> None:
    client, up = await downloading(wire)
    end(up)
    assert await client.gone() == b""
    await wire.passes()


@pytest.mark.parametrize("end", DEATHS)
async def test_client_dies_inside_a_download(wire: Stage, end: End) -> None:
    """The service is silent: nothing is written to the client that could fail."""
    client, up = await downloading(wire)
    end(client)
    await up.gone()
    await wire.passes()


@pytest.mark.http1
@pytest.mark.parametrize("end", [*DEATHS, pytest.param(Peer.half_close, id="half-closed")])
async def test_client_dies_inside_an_upload(wire: Stage, end: End) -> None:
    client, up = await uploading(wire)
    end(client)
    assert await up.gone() == b""
    await wire.passes()


@pytest.mark.http1
@pytest.mark.parametrize("end", DEATHS)
@pytest.mark.parametrize("sending", [True, False], ids=["sending", "silent"])
async def test_service_dies_inside_an_upload(wire: Stage, end: End, sending: bool) -> None:
    client, up = await uploading(wire)
    end(up)
    if sending:
        await client.try_send(pattern(PART, MEBIBYTE))
    said = await client.gone() if sending else b"HTTP/1.1 %d " % (await client.response()).status
    assert said == b"" or said.startswith(b"HTTP/1.1 502 ")
    await wire.passes()


@pytest.mark.http1
@pytest.mark.plain
async def test_half_closed_client_gets_a_whole_download(wire: Stage) -> None:
    client, up = await downloading(wire)
    client.half_close()
    await both(up, PART, client, PART, SIZE)
    await client.eof()


@pytest.mark.http1
@pytest.mark.plain
async def test_half_close_behind_a_whole_upload(wire: Stage) -> None:
    client, up = await uploading(wire)
    await both(client, PART, up, PART, SIZE)
    client.half_close()
    await up.send(OK)
    assert (await client.response()).body == b"ok"
    await client.eof()


@pytest.mark.http1
@pytest.mark.parametrize("sending", [True, False], ids=["sending", "silent"])
async def test_early_answer_inside_an_upload(wire: Stage, sending: bool) -> None:
    client, up = await uploading(wire)
    if sending:
        await push(client, PART, SIZE)  # the service does not read: the upload is stuck
    await up.send(crlf(b"HTTP/1.1 413 Content Too Large", b"Content-Length: 4") + b"full")
    message = await client.response()
    assert (message.status, message.body) == (413, b"full")
    await client.try_send(get(b"/smuggled"))
    client.half_close()
    await client.gone()
    assert not wire.origin.waiting()


@pytest.mark.http1
async def test_answer_streams_while_an_upload_does(wire: Stage) -> None:
    client, up = await uploading(wire)
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"))
    assert (await client.head()).status == 200
    for start in range(PART, SIZE, MEBIBYTE):
        await both(client, start, up, start, start + MEBIBYTE)
        await up.send(b"5\r\nhello\r\n")
        assert await client.chunk() == b"hello"
    await up.send(b"0\r\n\r\n")
    await client.expect(b"0\r\n\r\n")


@pytest.mark.http1
async def test_upload_after_100(wire: Stage) -> None:
    client, up, _ = await wire.ask(crlf(b"PUT /big HTTP/1.1", HOST, LENGTH, b"Expect: 100-continue"))
    await up.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    await client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
    await both(client, 0, up, 0, SIZE)
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.http1
async def test_interim_answers_inside_an_upload(wire: Stage) -> None:
    client, up = await uploading(wire)
    await up.send(crlf(b"HTTP/1.1 102 Processing"))
    await client.expect(crlf(b"HTTP/1.1 102 Processing"))
    await both(client, PART, up, PART, SIZE)
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.http1
async def test_slow_upload_is_not_a_slow_answer(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, response_timeout=0.5))
    client, up = await uploading(stage)
    for start in range(PART, PART + 40 * 1024, 4096):
        await both(client, start, up, start, start + 4096)
        await stage.pass_time(0.3)
    await both(client, PART + 40 * 1024, up, PART + 40 * 1024, SIZE)
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.http1
async def test_time_to_answer_begins_when_the_upload_is_whole(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, response_timeout=1.0))
    client, up = await uploading(stage)
    await stage.pass_time(0.7)
    await both(client, PART, up, PART, SIZE)
    await stage.pass_time(0.7)
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.http1
async def test_upload_that_stops_is_ended(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, response_timeout=0.3))
    client, up = await uploading(stage)
    message = await stage.meanwhile(1.0, client.response())
    assert message.status in (408, 504)
    await up.gone()


async def test_download_that_pauses_is_not_ended(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, response_timeout=0.2), idle_timeout=0.2, header_timeout=0.2)
    client, up = await downloading(stage)
    await stage.idle(1.0)
    await both(up, PART, client, PART, SIZE)


@pytest.mark.http1
async def test_http_1_0(wire: Stage) -> None:
    client, up, _ = await wire.ask(crlf(b"GET /big HTTP/1.0", HOST))
    await up.send(ANSWER)
    await client.head()
    await both(up, 0, client, 0, SIZE)
    await client.eof()


@pytest.mark.http1
async def test_head_says_the_length_and_ends(wire: Stage) -> None:
    client, up, _ = await wire.ask(get(b"/big", method=b"HEAD") + get(b"/next"))
    await up.send(ANSWER)
    await client.expect(ANSWER)
    assert (await up.head()).target == b"/next"


async def test_close_of_the_service_behind_a_whole_download(wire: Stage) -> None:
    client, up = await downloading(wire)
    writing = asyncio.create_task(push(up, PART, SIZE))
    await drain(client, PART, SIZE)
    await writing
    up.close()
    await client.send(get(b"/next"))
    fresh = await wire.origin.accept()
    assert (await fresh.head()).target == b"/next"


@pytest.mark.http1
async def test_reload_inside_both(wire: Stage) -> None:
    down, up_down = await downloading(wire)
    up, up_up = await uploading(wire)
    wire.swap(service("other", wire.another()))
    await both(up_down, PART, down, PART, SIZE)
    await both(up, PART, up_up, PART, SIZE)
    await up_up.send(OK)
    await up.expect(OK)


async def test_drain_cuts_a_download_that_outlasts_it(wire: Stage) -> None:
    client, up = await downloading(wire)
    await wire.proxy.drain(0.2)
    assert await client.gone() == b""
    await up.gone()


async def test_drain_waits_for_a_download(wire: Stage) -> None:
    client, up = await downloading(wire)
    draining = asyncio.create_task(wire.proxy.drain(DEADLINE))
    await both(up, PART, client, PART, SIZE)
    await client.eof()
    client.close()
    await draining


async def test_many_at_once_do_not_mix(wire: Stage) -> None:
    pairs = [await downloading(wire) for _ in range(10)]
    await asyncio.gather(*[both(up, PART, client, PART, SIZE) for client, up in pairs])
