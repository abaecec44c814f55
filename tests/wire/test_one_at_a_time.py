"""A service that serves one connection at a time, until that is closed: an idle connection must not starve the others.

Lives here: when kept connections are closed for others (RFC 9112 §9.4, §9.5), by hand and by a real such service.
Not here: reuse, where nobody is in the way (`test_pool.py`).
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from math import inf

import pytest

from devproxy.health.board import Board
from devproxy.health.monitor import Monitor, MonitorHooks
from devproxy.proxy.pool import UpstreamAddress
from devproxy.registry.model import Health, Registry, Service, Upstream
from tests.waiting import until
from tests.wire.harness import HOST, OK, Origin, Stage, crlf, get, service
from tests.wire.peer import Peer

POST = crlf(b"POST /post HTTP/1.1", HOST, b"Content-Length: 5") + b"hello"
UPLOAD = crlf(b"POST /upload HTTP/1.1", HOST, b"Content-Length: 300000") + b"x" * 300_000


async def serve_in_turn(origin: Origin) -> None:
    """One connection after the other, each until it is closed, as Python's HTTPServer does it."""
    while True:
        peer = await origin.accept(None)
        try:
            while True:
                await peer.request()
                await peer.send(OK)
        except (AssertionError, ConnectionError):
            peer.close()


@pytest.fixture
async def in_turn(stage: Stage) -> Stage:
    await stage.start(service("web", stage.origin, response_timeout=1000.0))
    stage.origin._tasks.append(asyncio.create_task(serve_in_turn(stage.origin)))
    return stage


async def ask(stage: Stage, data: bytes) -> Peer:
    client = await stage.connect()
    await client.send(data)
    return client


async def at_once(stage: Stage) -> list[Peer]:
    clients = [await stage.connect() for _ in range(6)]
    for client in clients:  # nothing runs meanwhile
        client.send_some(get())
    return clients


@pytest.mark.parametrize("data", [POST, UPLOAD, get(method=b"PUT"), get(method=b"DELETE")], ids=lambda data: data[:6])
async def test_what_may_not_use_the_kept_connection_closes_it(in_turn: Stage, data: bytes) -> None:
    await (await ask(in_turn, get())).expect(OK)
    in_turn.clock.now += 2.0
    await in_turn.pass_time(0.0)
    await (await ask(in_turn, data)).expect(OK)


@pytest.mark.http1
async def test_requests_at_once_are_all_answered(in_turn: Stage) -> None:
    for client in await at_once(in_turn):
        await in_turn.meanwhile(1.0, client.expect(OK))


async def seen(stage: Stage) -> UpstreamAddress:
    """The address, once it is known to serve one connection at a time; a busy machine may have to look more often."""
    while True:
        await test_requests_at_once_are_all_answered(stage)
        (address,) = stage.proxy.pool.addresses.values()
        if address.one_at_a_time:
            return address


@pytest.mark.http1
async def test_once_it_is_seen_nobody_waits_for_the_clock(in_turn: Stage) -> None:
    await seen(in_turn)
    for _ in range(3):
        for client in await at_once(in_turn):
            await client.expect(OK)


async def test_a_slow_service_keeps_its_connections(wire: Stage) -> None:
    """It answers when it is ready, not when there is room."""
    for _ in range(4):
        client, up, _head = await wire.ask(get(b"/kept", b"X: 1"))
        await up.send(OK)
        await client.expect(OK)
        slow, there = await wire.connect(), up
        await slow.send(get(b"/slow"))
        await there.head()
        await wire.pass_time(1.5)
        await wire.pass_time(0.2)
        await there.send(OK)
        await slow.expect(OK)
        await wire.origin.forget()
        await until(lambda: not next(iter(wire.proxy.pool.addresses.values())).opened)
    assert not next(iter(wire.proxy.pool.addresses.values())).one_at_a_time


@pytest.mark.http1
async def test_two_answers_at_once_undo_it(in_turn: Stage) -> None:
    address = await seen(in_turn)
    await in_turn.origin.forget()
    pairs = [await in_turn.ask(get()) for _ in range(2)]
    for client, up, _ in pairs:
        await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 10") + b"begun")
        await client.head()
    await until(lambda: all(exchange.responded for exchange in in_turn.proxy.exchanges))
    await in_turn.pass_time(1.0)
    await until(lambda: not address.one_at_a_time)


class Single(BaseHTTPRequestHandler):
    """What a hand-made mock server looks like."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def single_threaded() -> Iterator[Upstream]:
    with HTTPServer(("127.0.0.1", 0), Single) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Upstream("http", ("127.0.0.1",), server.server_port)


def monitor_of(stage: Stage, watched: Service) -> Monitor:
    """What looks after it in the daemon."""
    proxy = stage.proxy
    hooks = MonitorHooks(
        lambda: Registry(services=(watched,)),
        proxy.pool.last_answer,
        tuple,
        lambda _: None,
        lambda _: None,
        proxy.make_room,
        proxy.is_asked,
    )
    return Monitor(Board(), hooks)


async def seen_down(monitor: Monitor) -> None:
    """Have it look until what it looks after is down; forty times are more than enough."""
    for _ in range(40):
        for record in monitor.board.records.values():
            record.due, record.listening_since = 0.0, -100.0
        await monitor.tick()
        if monitor.board.conditions["web"].state == "down":
            break
    assert monitor.board.conditions["web"].state == "down"


async def test_pythons_own_server(stage: Stage) -> None:
    with single_threaded() as upstream:
        watched = service("web", upstream, health=Health(path="/", interval=0.01, timeout=30.0))
        await stage.start(watched)
        monitor = monitor_of(stage, watched)
        for data in (get(), POST, get(), UPLOAD, get()):
            client = await ask(stage, data)
            assert (await client.response()).status == 200
            stage.clock.now += 2.0
            await stage.pass_time(0.0)
            monitor.wake()
            for record in monitor.board.records.values():
                record.due = 0.0
            await monitor.tick()
            assert monitor.board.conditions["web"].state == "up"
            client.close()
        await stage.proxy.drain(0)


async def test_while_it_answers_somebody_it_is_not_down(stage: Stage) -> None:
    """Its one thread is busy with a request: a check that nobody answers says nothing."""
    watched = service("web", stage.origin, health=Health(path="/", interval=0.01, timeout=0.05))
    await stage.start(watched)
    monitor = monitor_of(stage, watched)
    client, up, _ = await stage.ask(get())
    for _ in range(4):
        for record in monitor.board.records.values():
            record.due = 0.0
        await monitor.tick()
        assert monitor.board.conditions["web"].state != "down"
    await up.send(OK)
    await client.expect(OK)
    await seen_down(monitor)


@pytest.mark.parametrize("one_at_a_time", [False, True])
async def test_one_that_has_hung_is_not_well_for_as_long_as_somebody_waits(stage: Stage, one_at_a_time: bool) -> None:
    watched = service("web", stage.origin, response_timeout=inf, health=Health(path="/", interval=0.01, timeout=0.05))
    await stage.start(watched)
    monitor = monitor_of(stage, watched)
    await stage.ask(get())
    (address,) = stage.proxy.pool.addresses.values()
    address.one_at_a_time = one_at_a_time
    await stage.pass_time(31)
    await seen_down(monitor)
