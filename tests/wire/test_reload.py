"""A reload while traffic flows: what is under way is not disturbed, the next request is routed anew; the orderly end.

Lives here: `Proxy.swap` in the middle of each kind of exchange, `Proxy.drain`.
Not here: how a change of a file becomes a swap (`tests/e2e/`).
"""

import asyncio

import pytest

from tests.wire.harness import HOST, OK, Origin, Stage, crlf, get, service
from tests.wire.test_upgrade import FRAME, tunnel


def move(stage: Stage) -> Origin:
    """`web` moves to another port, and something else is added."""
    other = stage.another()
    stage.swap(service("web", other), service("more", stage.origin))
    return other


async def test_next_request_of_a_kept_connection_goes_to_the_new_place(wire: Stage) -> None:
    client, up, _ = await wire.ask(get(b"/same"))
    await up.send(OK)
    await client.expect(OK)
    other = move(wire)
    await client.send(get(b"/same"))
    fresh = await other.accept()
    assert (await fresh.head()).target == b"/same"
    await fresh.send(OK)
    await client.expect(OK)
    assert not up.pending


async def test_removed_name_is_404_and_comes_back(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(OK)
    await client.expect(OK)
    wire.swap(service("more", wire.origin))
    await client.send(get())
    assert (await client.response()).error == "unknown-host"
    wire.swap()
    await client.send(get(b"/back"))
    assert (await up.head()).target == b"/back"


@pytest.mark.parametrize("change", ["same", "moved", "removed"])
async def test_stream_survives(wire: Stage, change: str) -> None:
    client, up, _ = await wire.ask(get(b"/events"))
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked") + b"3\r\none\r\n")
    await client.head()
    assert await client.chunk() == b"one"
    reload(wire, change)
    await up.send(b"3\r\ntwo\r\n0\r\n\r\n")
    assert await client.chunked() == (b"two", [])


@pytest.mark.parametrize("change", ["same", "moved", "removed"])
async def test_upload_survives(wire: Stage, change: str) -> None:
    client, up, _ = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 8") + b"half")
    await up.expect(b"half")
    reload(wire, change)
    await client.send(b"full")
    await up.expect(b"full")
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("change", ["same", "moved", "removed"])
async def test_websocket_survives(wire: Stage, change: str) -> None:
    client, up = await tunnel(wire)
    for _ in range(3):
        reload(wire, change)
        await client.send(FRAME)
        await up.expect(FRAME)
        await up.send(FRAME)
        await client.expect(FRAME)


def reload(wire: Stage, change: str) -> None:
    if change == "same":
        wire.swap()
    elif change == "moved":
        move(wire)
    else:
        wire.swap(service("more", wire.origin))


async def test_pool_outlives_a_reload(wire: Stage) -> None:
    """Connections are keyed by address, not by snapshot."""
    client, up, _ = await wire.ask(get())
    await up.send(OK)
    await client.expect(OK)
    wire.swap(service("web", wire.origin), service("more", wire.another()))
    await client.send(get(b"/pooled"))
    assert (await up.head()).target == b"/pooled"


async def test_many_reloads_under_load(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(OK)
    await client.expect(OK)
    for number in range(200):
        wire.swap(service("web", wire.origin), service(f"s{number}", wire.origin))
        await client.send(get(b"/%d" % number))
        assert (await up.head()).target == b"/%d" % number
        await up.send(OK)
        await client.expect(OK)


async def test_drain_lets_a_request_finish_and_closes_the_rest(wire: Stage) -> None:
    idle, up, _ = await wire.ask(get())
    await up.send(OK)
    await idle.expect(OK)
    client = await wire.connect()
    await client.send(get(b"/slow"))
    await up.head()
    draining = asyncio.create_task(wire.proxy.drain(5.0))
    await idle.eof()
    idle.close()
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 5") + b"he")
    await client.head()
    await client.expect(b"he")
    await up.send(b"llo")
    await client.expect(b"llo")
    await client.eof()
    client.close()
    await draining


async def test_drain_ends_websockets(wire: Stage) -> None:
    client, up = await tunnel(wire)
    draining = asyncio.create_task(wire.proxy.drain(5.0))
    await client.gone()
    await up.gone()
    await draining


async def test_drain_cuts_what_outlasts_the_grace(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"))
    await client.head()
    await wire.proxy.drain(0.2)
    await client.cut()
    await up.gone()
