"""What all connections share: admission, the clock that stops, who is looked after, and the orderly end."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from devproxy.proxy import server
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.registry.model import ProxySettings, Registry, Upstream
from tests import require
from tests.proxy.running import Running, running, snapshot
from tests.proxy.values import LOCAL, service
from tests.waiting import DEADLINE, PROGRAM_DEADLINE, until

GET = b"GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok"
UPGRADE = b"GET / HTTP/1.1\r\nHost: web.localhost\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: any\r\n\r\n"


class Origin:
    """Answers requests when it may, switches protocols when asked to, and then keeps still."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.may.set()
        self.asked = 0

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked += 1
            await self.may.wait()
            if b"Upgrade: any" in head:
                writer.write(SWITCH)
                await asyncio.Event().wait()
            writer.write(OK)


@pytest.fixture
async def origin() -> Origin:
    return Origin()


@pytest.fixture
async def stage(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """A proxy for two clients, whose clock ticks fast."""
    monkeypatch.setattr(server, "_TICK", 0.002)
    async with running(origin.play, connection_limit=2) as found:
        yield found


async def ask(stage: Running, data: bytes = GET) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    """A new client with its response."""
    reader, writer = await stage.connect()
    writer.write(data)
    return reader, writer, await response(reader)


async def response(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(DEADLINE):
        head = await reader.readuntil(b"\r\n\r\n")
        return head + await reader.readexactly(2) if head.endswith(OK[-6:-2]) and b"Length: 2" in head else head


async def ended(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(DEADLINE):
        await reader.read()


async def test_one_client_too_many_is_refused_and_the_next_is_taken_again(stage: Running) -> None:
    first = await ask(stage)
    await ask(stage)
    reader, _ = await stage.connect()
    refused = await response(reader)
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Connection: close\r\n" in refused
    await ended(reader)
    assert len(stage.proxy.connections) == 2
    first[1].close()
    await until(lambda: len(stage.proxy.connections) == 1)
    assert (await ask(stage))[2] == OK


async def test_a_tunnel_counts_as_one_client(stage: Running) -> None:
    await ask(stage, UPGRADE)
    await until(lambda: len(stage.proxy.tunnels) == 2)
    await ask(stage)
    reader, _ = await stage.connect()
    assert (await response(reader)).startswith(b"HTTP/1.1 503 ")


async def test_the_setting_counts_before_what_the_descriptors_bear(stage: Running) -> None:
    stage.proxy.swap(snapshot(stage.origin_port, max_connections=1))
    await ask(stage)
    reader, _ = await stage.connect()
    assert b"503" in await response(reader)


@pytest.mark.parametrize(
    ("peer", "taken"),
    [
        *(("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("::ffff:127.0.0.1", True)),
        *(("192.168.1.5", False), ("::ffff:10.0.0.1", False), ("fe80::1%lo", False), ("0.0.0.0", False), ("x", False)),
    ],
)
async def test_only_loopback_is_ever_taken(peer: str, taken: bool) -> None:
    """It cannot happen, since only loopback is listened on; it is looked at all the same."""
    ends: list[str] = []
    told = {"peername": (peer, 50_000), "sockname": ("127.0.0.1", 80)}
    transport = SimpleNamespace(get_extra_info=told.get, abort=lambda: ends.append("abort"))
    proxy = Proxy(snapshot(1))
    connection = proxy.connection()
    connection.transport = cast(asyncio.Transport, transport)
    assert proxy.admit(connection) is None
    assert ends == ([] if taken else ["abort"])
    assert (connection in proxy.connections) is taken
    if taken:
        assert connection.peer == (peer.encode(), b"http", b"80")
    proxy.connections.clear()
    proxy.close()


async def test_what_is_kept_open_is_no_reason_to_tick_forever(stage: Running, origin: Origin) -> None:
    proxy = stage.proxy
    assert proxy._timer is None
    _, writer, _ = await ask(stage)
    assert proxy._timer is not None
    before = proxy.clock
    await until(lambda: proxy.clock > before)
    writer.close()
    await until(lambda: not proxy.connections)
    proxy.pool.close()
    await until(lambda: proxy._timer is None)
    assert (await ask(stage))[2] == OK
    assert proxy._timer is not None


async def test_an_idle_tunnel_lets_the_clock_stop_and_is_looked_after_again_once_it_is_half_closed(
    stage: Running,
) -> None:
    require.linux()
    proxy = stage.proxy
    _, writer, _ = await ask(stage, UPGRADE)
    await until(lambda: len(proxy.tunnels) == 2 and proxy._timer is None)
    writer.write_eof()
    await until(lambda: proxy.liveness_watched)
    writer.transport.abort()  # the service says nothing: only the kernel knows that nobody is there
    await until(lambda: not proxy.tunnels)
    await until(lambda: proxy._timer is None)


async def test_a_client_that_only_finished_sending_is_waited_for_and_one_that_left_is_not(
    stage: Running, origin: Origin
) -> None:
    require.linux()
    origin.may.clear()
    (stays, writer), (_, leaver) = await stage.connect(), await stage.connect()
    for each in (writer, leaver):
        each.write(GET)
    await until(lambda: origin.asked == 2)
    for each in (writer, leaver):
        each.write_eof()
    await until(lambda: len(stage.proxy.liveness_watched) == 2)
    leaver.transport.abort()
    await until(lambda: len(stage.proxy.connections) == 1)
    origin.may.set()
    assert b"200 OK" in await response(stays)
    await ended(stays)


async def test_a_connection_that_is_idle_for_too_long_is_closed(stage: Running) -> None:
    reader, writer, _ = await ask(stage)
    stage.proxy.swap(snapshot(stage.origin_port, idle_timeout=0.02))  # counts once a response has ended
    writer.write(GET)
    assert await response(reader) == OK
    await ended(reader)
    await until(lambda: not stage.proxy.connections)


async def test_an_end_in_order_closes_what_is_idle_and_waits_for_what_is_not(stage: Running, origin: Origin) -> None:
    idle, _, _ = await ask(stage)
    origin.may.clear()
    busy, writer = await stage.connect()
    writer.write(GET)
    await until(lambda: origin.asked == 2)
    draining = asyncio.ensure_future(stage.proxy.drain(DEADLINE))
    await ended(idle)
    assert not draining.done()
    late, _ = await stage.connect()
    assert b"503" in await response(late)
    origin.may.set()
    last = await response(busy)
    assert b"200 OK" in last
    assert b"Connection: close\r\n" in last
    await ended(busy)
    writer.close()
    await draining
    assert not stage.proxy.connections
    assert stage.proxy._timer is None


async def test_what_does_not_end_in_time_is_cut(stage: Running, origin: Origin) -> None:
    origin.may.clear()
    reader, writer = await stage.connect()
    writer.write(GET)
    await until(lambda: origin.asked == 1)
    await stage.proxy.drain(0.02)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await response(reader)
    await until(lambda: not stage.proxy.connections)


async def test_tunnels_end_at_once_with_fin(stage: Running) -> None:
    reader, writer, _ = await ask(stage, UPGRADE)
    await until(lambda: len(stage.proxy.tunnels) == 2)
    draining = asyncio.ensure_future(stage.proxy.drain(DEADLINE))
    await ended(reader)
    writer.close()
    await draining
    assert not stage.proxy.tunnels


async def test_a_proxy_without_connections_ends_at_once(stage: Running) -> None:
    async with asyncio.timeout(DEADLINE):
        await stage.proxy.drain(1e6)


async def test_a_request_keeps_the_snapshot_it_started_with(stage: Running, origin: Origin) -> None:
    origin.may.clear()
    reader, writer = await stage.connect()
    writer.write(GET)
    await until(lambda: origin.asked == 1)
    stage.proxy.swap(Snapshot.of(Registry(services=(service("other"),))))
    origin.may.set()
    assert await response(reader) == OK
    writer.write(GET)
    assert b"404 Not Found" in await response(reader)


async def test_a_record_of_each_request_goes_to_the_access_log(stage: Running) -> None:
    records: list[Any] = []
    stage.proxy.access_log = records.append
    await ask(stage)
    (record,) = records
    assert record[1:6] == ("web", b"GET", b"/", 200, 2)
    assert record[6] >= 0


def test_a_snapshot_is_all_that_requests_need_of_a_registry() -> None:
    unreached = service("off", upstream=None)
    settings = ProxySettings(tlds=("test",))
    found = Snapshot.of(Registry(settings=settings, services=(service(), service("two"), unreached)))
    assert found.settings is settings
    assert found.upstreams == frozenset({LOCAL})
    assert found.table.tlds == ("test",)
    assert Snapshot.of(Registry()).upstreams == frozenset[Upstream]()


async def without_http2() -> None:
    async with running(Origin().play) as here:
        assert list(here.proxy.fronts) == ["http/1.1"]
        reader, writer = await here.connect()
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 505 ")


def test_where_the_library_for_http_2_cannot_be_imported_http_1_1_is_offered() -> None:
    """In a process that has imported nothing yet."""
    code = """
import asyncio, sys
sys.modules["ngh2"] = None
from tests.proxy.test_server import without_http2
asyncio.run(without_http2())
print("offered")
"""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=PROGRAM_DEADLINE, check=False)
    assert done.stdout == "offered\n", done.stderr
