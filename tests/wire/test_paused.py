"""A service whose process stands still, as at a breakpoint: its time to answer stands still as well.

Lives here: a real process that is really stopped, as the proxy's clock moves on; and requests that wait long, as the
timer sees them. Not here: how it is seen that a process stands still (`tests/health/test_pauses.py`).
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from devproxy.daemon.pauses import PauseWatch
from devproxy.events import Paused, Resumed
from devproxy.net import dial
from devproxy.proxy.waiting import ServiceWait
from devproxy.registry.model import NO_TIME_LIMIT, Upstream
from tests import require
from tests.waiting import until
from tests.wire.harness import HOST, OK, Stage, crlf, get, service
from tests.wire.peer import Peer

# Answers each request once a line comes on stdin, and a whole body with its length.
SERVICE = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
data = connection.recv(65536)
while (line := sys.stdin.readline()) == "wait\\n":
    pass
while b"Content-Length: 3000000" in data and len(data) < 3_000_000:
    data += connection.recv(65536)
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
sys.stdin.readline()
"""
UPLOAD = crlf(b"PUT /f HTTP/1.1", HOST, b"Content-Length: 3000000") + b"x" * 3_000_000


class Stopped(NamedTuple):
    """A service in a process of its own, and its client, whose request it has."""

    process: "subprocess.Popen[bytes]"
    told: list[Paused | Resumed]
    watch: PauseWatch
    upstream: Upstream

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def answer(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()


@contextmanager
def real_service(stage: Stage, program: str = SERVICE) -> Iterator[Stopped]:
    require.linux()
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            told: list[Paused | Resumed] = []
            watch = PauseWatch(lambda _: ([process.pid], port), told.append, lambda: stage.proxy.clock)
            yield Stopped(process, told, watch, Upstream("http", ("127.0.0.1",), port))
        finally:
            process.kill()


@pytest.fixture
def stopped(stage: Stage) -> Iterator[Stopped]:
    with real_service(stage) as found:
        yield found


async def ask(stage: Stage, stopped: Stopped, data: bytes) -> tuple[Peer, "asyncio.Task[None]"]:
    """A request to a service that is stopped: the client, and what still sends."""
    await stage.start(service("web", stopped.upstream, response_timeout=8.0))
    stage.proxy.is_paused = stopped.watch.is_paused
    stopped.send(signal.SIGSTOP)
    client = await stage.connect()
    sending = asyncio.create_task(client.send(data))
    await until(lambda: any(exchange.upstream for exchange in stage.proxy.exchanges))
    return client, sending


async def hours_pass(stage: Stage, stopped: Stopped) -> None:
    await stage.meanwhile(3.0, until(lambda: stopped.told))
    for _ in range(5):
        await stage.pass_time(3600.0)
    assert len(stage.proxy.exchanges) == 1


@pytest.mark.http1
@pytest.mark.parametrize("data", [get(), UPLOAD], ids=["get", "upload"])
async def test_it_is_waited_for_as_long_as_it_stands_still(stage: Stage, stopped: Stopped, data: bytes) -> None:
    client, sending = await ask(stage, stopped, data)
    await hours_pass(stage, stopped)
    stopped.send(signal.SIGCONT)
    stopped.answer()
    assert (await client.response()).body == b"ok"
    await until(lambda: len(stopped.told) == 2)
    paused, resumed = stopped.told
    assert paused == Paused("web", f"process {stopped.process.pid} is stopped by a signal")
    assert isinstance(resumed, Resumed)
    await sending
    await stopped.watch.close()


async def test_once_it_goes_on_it_has_all_of_its_time_and_no_more(stage: Stage, stopped: Stopped) -> None:
    client, _ = await ask(stage, stopped, get())
    await hours_pass(stage, stopped)
    stopped.send(signal.SIGCONT)
    await until(lambda: len(stopped.told) == 2)
    (exchange,) = stage.proxy.exchanges
    while exchange.deadline < stage.clock.now + 7.0:  # until it has asked, and heard that it goes on
        await stage.pass_time(1.5)
    await stage.pass_time(7.0)
    assert not exchange.ended
    message = await stage.meanwhile(1.5, client.response())
    assert (message.status, message.error) == (504, "upstream-timeout")
    await stopped.watch.close()


async def test_one_that_only_thinks_has_its_time_alone(stage: Stage, stopped: Stopped) -> None:
    client, _ = await ask(stage, stopped, get())
    stopped.send(signal.SIGCONT)
    await until(lambda: stopped.watch.is_paused("web", stage.clock.now) is False)
    message = await stage.meanwhile(9.0, client.response())
    assert (message.status, message.error) == (504, "upstream-timeout")
    assert stopped.told == []
    await stopped.watch.close()


async def test_a_client_that_stands_still_is_not_its_fault(stage: Stage, stopped: Stopped) -> None:
    """Nobody looks at the service's process."""
    await stage.start(service("web", stage.origin, response_timeout=8.0))
    stage.proxy.is_paused = stopped.watch.is_paused
    stopped.send(signal.SIGSTOP)
    client, up, _ = await stage.ask(crlf(b"PUT /f HTTP/1.1", HOST, b"Content-Length: 10") + b"begun")
    await up.expect(b"begun")
    message = await stage.meanwhile(9.0, client.response())
    assert (message.status, message.error) == (408, "request-timeout")
    assert stopped.told == []


FULL = """
import socket
server = socket.create_server(("127.0.0.1", 0), backlog=1)
print(server.getsockname()[1], flush=True)
while True:
    with server.accept()[0] as connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: 2\\r\\n\\r\\nok")
"""


async def test_a_queue_that_is_full_since_nobody_accepts_is_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser makes six connections, and many a server of frameworks queues five."""
    monkeypatch.setattr(dial, "CONNECT_TIMEOUT", 0.1)
    with real_service(stage, FULL) as stopped:
        await stage.start(service("web", stopped.upstream, response_timeout=8.0))
        stage.proxy.is_paused = stopped.watch.is_paused
        stopped.send(signal.SIGSTOP)
        clients = [await stage.connect() for _ in range(6)]
        for client in clients:
            await client.send(get())
        await stage.meanwhile(0.3, until(lambda: stopped.told))
        for _ in range(3):
            await stage.pass_time(60.0)
        assert len(stage.proxy.exchanges) == 6
        stopped.send(signal.SIGCONT)
        for client in clients:
            assert (await client.response()).body == b"ok"
        await stopped.watch.close()


# Without a limit


async def test_never_is_never_and_seen(stage: Stage) -> None:
    seen: list[dict[str, ServiceWait]] = []
    await stage.start(service("web", stage.origin, response_timeout=NO_TIME_LIMIT))
    stage.proxy.on_waits = lambda waits: seen.append(dict(waits))
    client, up, _ = await stage.ask(get())
    for _ in range(3):
        await stage.pass_time(86400.0)
    await until(lambda: seen)
    assert [(name, wait.requests) for name, wait in seen[-1].items()] == [("web", 1)]
    await up.send(OK)
    await client.expect(OK)
    await until(lambda: not seen[-1])


async def test_an_answer_that_has_begun_is_not_waited_for(stage: Stage) -> None:
    seen: list[dict[str, ServiceWait]] = []
    await stage.start(service("web", stage.origin, response_timeout=NO_TIME_LIMIT))
    stage.proxy.on_waits = lambda waits: seen.append(dict(waits))
    stream, up, _ = await stage.ask(get(b"/events"))
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream"))
    await stream.head()
    slow, _, _ = await stage.ask(get(b"/slow"))
    await stage.pass_time(60.0)
    await until(lambda: seen)
    assert [wait.requests for wait in seen[-1].values()] == [1]
    slow.close()
    await stage.meanwhile(1.0, until(lambda: not seen[-1]))
