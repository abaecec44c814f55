"""Connections to services: kept, raced, retried, never used again after doubt. A restart is not an error.

Lives here: reuse of upstream connections, the pooled-connection race, retry and hold (RFC 9110 §9.2.2).
Not here: malformed answers (`test_bad_answer.py`), addresses (`test_dial.py`).
"""

import asyncio
from collections.abc import Callable

import pytest

from tests.wire.harness import HOST, OK, Stage, crlf, get, service
from tests.wire.peer import Peer

End = Callable[[Peer], None]
ENDS = [pytest.param(Peer.close, id="FIN"), pytest.param(Peer.reset, id="RST")]
POST = crlf(b"POST /post HTTP/1.1", HOST, b"Content-Length: 5") + b"hello"


async def warm(wire: Stage) -> tuple[Peer, Peer]:
    """A client and a pooled upstream connection that has served one request."""
    client, up, _ = await wire.ask(get(b"/warm"))
    await up.send(OK)
    await client.expect(OK)
    return client, up


async def test_another_client_uses_the_same_upstream_connection(wire: Stage) -> None:
    _, up = await warm(wire)
    for number in range(3):
        other = await wire.connect()
        await other.send(get(b"/%d" % number))
        assert (await up.head()).target == b"/%d" % number
        await up.send(OK)
        await other.expect(OK)
    assert not wire.origin.waiting()


@pytest.mark.parametrize("end", ENDS)
async def test_the_pooled_connections_race(wire: Stage, end: End) -> None:
    """The service closes an idle connection just as a request is written to it."""
    client, up = await warm(wire)
    await client.send(get(b"/race"))
    await up.head()
    end(up)
    fresh = await wire.origin.accept()
    assert (await fresh.head()).target == b"/race"
    await fresh.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("end", ENDS)
async def test_an_idle_connection_that_ended_is_not_used(wire: Stage, end: End) -> None:
    client, up = await warm(wire)
    end(up)
    await client.send(POST)
    fresh = await wire.origin.accept()
    assert (await fresh.request()).body == b"hello"
    await fresh.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("method", [b"PUT", b"DELETE", b"OPTIONS"])
async def test_idempotent_is_sent_again_once_after_a_pooled_connection(wire: Stage, method: bytes) -> None:
    client, up = await warm(wire)
    await client.send(get(b"/idem", method=method))
    await up.head()
    up.close()
    fresh = await wire.origin.accept()
    assert (await fresh.head()).line.startswith(method + b" /idem ")
    await fresh.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("method", [b"PUT", b"DELETE"])
async def test_idempotent_is_sent_again_only_once(wire: Stage, method: bytes) -> None:
    client, up = await warm(wire)
    await client.send(get(b"/idem", method=method))
    await up.head()
    up.close()
    fresh = await wire.origin.accept()
    await fresh.head()
    fresh.close()
    assert (await client.response()).error == "upstream-closed"
    assert not wire.origin.waiting()


@pytest.mark.parametrize("method", [b"PUT", b"DELETE"])
async def test_idempotent_on_a_fresh_connection_is_not_sent_again(wire: Stage, method: bytes) -> None:
    client, up, _ = await wire.ask(get(b"/idem", method=method))
    up.close()
    assert (await client.response()).error == "upstream-closed"
    assert not wire.origin.waiting()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("pooled", [True, False], ids=["pooled", "fresh"])
@pytest.mark.parametrize("data", [POST, get(b"/p", method=b"PATCH")], ids=["POST", "PATCH"])
async def test_post_is_never_sent_again(wire: Stage, end: End, pooled: bool, data: bytes) -> None:
    if pooled:
        client, up = await warm(wire)
        await client.send(data)
        await up.request()
    else:
        client, up, head = await wire.ask(data)
        await up.take(int((head.all(b"Content-Length") or [b"0"])[0]))
    end(up)
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-closed")
    assert not wire.origin.waiting()


async def test_safe_request_is_tried_until_the_service_answers(stage: Stage) -> None:
    """It crashes on every connection for a while, as a restarting one does."""
    await stage.start(service("web", stage.origin, hold=5.0))
    client, up = await warm(stage)
    up.close()
    await client.send(get(b"/hold"))
    for end in (Peer.close, Peer.reset, Peer.close):
        up = await stage.origin.accept()
        await up.head()
        end(up)
    up = await stage.origin.accept()
    assert (await up.head()).target == b"/hold"
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("data", [get(b"/hold"), POST], ids=["GET", "POST, no byte written"])
async def test_request_waits_for_a_restart(stage: Stage, data: bytes) -> None:
    await stage.start(service("web", stage.origin, hold=5.0))
    client, up = await warm(stage)
    stage.origin.refuse()
    up.close()
    await client.send(data)
    await _served_by_the_proxy(stage)
    stage.origin.listen()
    fresh = await stage.origin.accept()
    await fresh.request()
    await fresh.send(OK)
    await client.expect(OK)


async def _served_by_the_proxy(stage: Stage) -> None:
    """Several turns of the proxy's loop, each seen from outside."""
    for _ in range(3):
        other = await stage.connect()
        await other.send(get(host=b"nobody.localhost"))
        assert (await other.response()).status == 404


async def test_hold_ends(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, hold=0.3))
    client, up = await warm(stage)
    stage.origin.refuse()
    up.close()
    await client.send(get(b"/hold"))
    message = await stage.meanwhile(1.0, client.response())
    assert (message.status, message.error) == (502, "upstream-refused")
    stage.origin.listen()
    await stage.passes()


async def test_client_that_leaves_during_hold_takes_its_request_along(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, hold=5.0))
    client, up = await warm(stage)
    stage.origin.refuse()
    up.close()
    await client.send(get(b"/hold"))
    await _served_by_the_proxy(stage)
    client.reset()
    await _served_by_the_proxy(stage)
    stage.origin.listen()
    await stage.passes()


@pytest.mark.parametrize("end", ENDS)
async def test_service_that_never_was_up_is_not_waited_for(wire: Stage, end: End) -> None:
    async def hang_up(peer: Peer) -> None:
        end(peer)

    wire.origin.always(hang_up)
    client = await wire.connect()
    await client.send(get())
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-closed")


async def test_refused_and_never_up(stage: Stage) -> None:
    stage.origin.refuse()
    await stage.start(service("web", stage.origin, hold=60.0))
    client = await stage.connect()
    await client.send(get(b"/", b"Accept: text/html"))
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-refused")
    assert str(stage.origin.port).encode() in message.body
    stage.origin.listen()
    await stage.passes()


@pytest.mark.parametrize("part", [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"])
async def test_no_retry_after_a_response_byte(wire: Stage, part: bytes) -> None:
    client, up = await warm(wire)
    await client.send(get(b"/part"))
    await up.head()
    await up.send(part)
    up.close()
    assert (await client.response()).status == 502
    assert not wire.origin.waiting()


async def test_no_retry_after_an_interim_answer(wire: Stage) -> None:
    client, up = await warm(wire)
    await client.send(get(b"/part"))
    await up.head()
    await up.send(crlf(b"HTTP/1.1 103 Early Hints", b"Link: </a>"))
    assert (await client.head()).status == 103
    up.close()
    assert (await client.response()).status == 502
    assert not wire.origin.waiting()


async def test_restarts_under_load_lose_no_get(stage: Stage) -> None:
    """Four clients, eight restarts: connections end, the port is shut, and comes back."""
    await stage.start(service("web", stage.origin, hold=8.0))
    await stage.passes()
    stage.origin.always(_serve)
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(_keep_asking(stage, done)) for _ in range(4)]
        for _ in range(8):
            await _restart(stage)
        done.set()
    assert all(client.result() > 0 for client in clients)


async def _restart(stage: Stage) -> None:
    """Every connection ends and the port is shut for a moment, then it is open again and has been used."""
    stage.origin.refuse()
    await stage.origin.forget()
    await _served_by_the_proxy(stage)
    stage.origin.listen()
    stage.origin.always(_serve)
    client = await stage.connect()
    await client.send(get(b"/up-again"))
    assert (await client.response()).status == 200


async def _keep_asking(stage: Stage, done: asyncio.Event) -> int:
    client, count = await stage.connect(), 0
    while not done.is_set():
        await client.send(get(b"/load"))
        message = await client.response()
        assert (message.status, message.body) == (200, b"ok"), message
        count += 1
    return count


async def _serve(peer: Peer) -> None:
    while True:
        await peer.head()
        await peer.send(OK)
