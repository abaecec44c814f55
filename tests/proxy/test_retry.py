"""Attempts to reach a service: once, or again and again for as long as one that was up is waited for."""

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from devproxy.net.dial import DialError
from devproxy.proxy import negotiate
from devproxy.proxy.exchange import Exchange
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.retry import RETRY_EVERY, Retry
from devproxy.proxy.server import Proxy
from devproxy.proxy.upstream import UpstreamConnection
from devproxy.registry.model import Registry, Upstream
from tests.clock import Clock
from tests.proxy.fakes import Transport, accepted, real
from tests.proxy.values import reading, route
from tests.waiting import until

HOST = b"Host: web.localhost"
WEB = Upstream("https", ("127.0.0.1", "::1"), 5173)
REFUSED = DialError([("127.0.0.1:5173", "connection refused")])


class SoonAgain(Clock):
    """A clock that moves on by itself where the next attempt is waited for."""

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Any:
        if delay != RETRY_EVERY:
            return self._loop.call_later(delay, callback, *args)
        self.now += delay
        return self._loop.call_soon(callback, *args)


class Stage:
    """Requests for a service of which each attempt takes the next of `results`, and a while. `happened` is what became
    of the last one: a connection that takes it (use), an answer of our own, a service that is woken."""

    def __init__(self) -> None:
        self.results: Iterator[Exception | bool] = iter(())
        self.attempts: list[str] = []
        self.happened: list[str] = []
        self.proxy = Proxy(Snapshot.of(Registry()))
        self.loop = SoonAgain(asyncio.get_running_loop())
        self.proxy.loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.proxy.wake = lambda name: self.happened.append(f"wake {name}")
        self.address = self.proxy.pool.at(WEB, "web.localhost")
        self.address.is_http1_only = True
        self.client = Transport()

    def exchange(self, *fields_sent: bytes, hold: float = 30.0, **more: Any) -> Exchange:
        connection, self.client = accepted(self.proxy)
        self.client.on_write = lambda: self.happened.append("answer")
        found = reading(HOST, *fields_sent)
        connection.exchange = exchange = Exchange(connection, b"GET", b"/", found, found.fields)
        exchange.concerns(route(hold=hold, upstream=WEB, **more))
        exchange.address = self.address
        exchange._head = b"GET / HTTP/1.1\r\n\r\n"
        exchange._pooled = False
        return exchange

    async def connect(
        self, upstream: Upstream, factory: Callable[[], UpstreamConnection], *, first: str, server_name: str
    ) -> tuple[UpstreamConnection, str]:
        self.attempts.append(first)
        self.loop.now += 0.02
        assert (upstream, server_name) == (WEB, "web.localhost")
        result = next(self.results, REFUSED)
        if isinstance(result, Exception):
            raise result
        connection, transport = factory(), Transport()
        connection.connection_made(real(transport))
        transport.on_write = lambda: self.happened.append("use")
        if result:
            transport.close()
        return connection, "::1"

    @property
    def answer(self) -> tuple[int, str]:
        """The status and the code that the client got."""
        (status,) = self.client.statuses
        (code,) = re.findall(rb"Devproxy-Error: (.*)\r\n", self.client.written)
        return status, code.decode()


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    found = Stage()
    monkeypatch.setattr(negotiate, "connect", found.connect)  # of `net/dial.py`, which is not compiled
    return found


async def test_a_connection_is_used_and_its_address_remembered(stage: Stage) -> None:
    stage.results = iter([False])
    stage.address.host = "127.0.0.1"
    Retry(stage.exchange()).start()
    await until(lambda: stage.happened)
    assert (stage.happened, stage.attempts, stage.address.host) == (["use"], ["127.0.0.1"], "::1")


async def test_one_that_ends_before_it_can_be_used_counts_as_closed_by_the_service(stage: Stage) -> None:
    stage.results = iter([True])
    Retry(stage.exchange()).start()
    await until(lambda: stage.happened)
    assert stage.happened == ["answer"]
    assert (stage.answer, stage.attempts) == ((502, "upstream-closed"), [""])


async def test_a_service_that_was_not_up_is_not_waited_for(stage: Stage) -> None:
    stage.address.alive_at = stage.loop.time() - 11.0
    Retry(stage.exchange()).start()
    await until(lambda: stage.happened)
    assert (stage.answer, len(stage.attempts)) == ((502, "upstream-refused"), 1)


async def test_a_service_that_was_up_a_moment_ago_is_tried_until_it_is_back(stage: Stage) -> None:
    stage.address.alive_at = stage.loop.time() - 9.0
    stage.results = iter([*[REFUSED] * 5, False])
    Retry(stage.exchange()).start()
    await until(lambda: stage.happened)
    assert (stage.happened, len(stage.attempts)) == (["use"], 6)


async def test_it_is_waited_for_no_longer_than_hold(stage: Stage) -> None:
    stage.address.alive_at = stage.loop.time()
    Retry(stage.exchange(hold=0.05)).start()
    await until(lambda: stage.happened)
    assert stage.happened == ["answer"]
    assert len(stage.attempts) > 1


async def test_the_time_to_hold_is_one_for_all_failures_of_a_request(stage: Stage) -> None:
    """A connection that is taken and closed again does not begin it anew."""
    stage.address.alive_at = stage.loop.time()
    attempts = Retry(stage.exchange(hold=0.05))
    assert attempts.schedule()
    await until(lambda: stage.happened)
    assert not attempts.schedule()


async def test_our_own_lack_of_descriptors_is_said_at_once(stage: Stage) -> None:
    stage.address.alive_at = stage.loop.time()
    stage.results = iter([DialError(REFUSED.tried, exhausted=True)])
    Retry(stage.exchange()).start()
    await until(lambda: stage.happened)
    assert (stage.answer, len(stage.attempts)) == ((503, "too-many-connections"), 1)


@pytest.mark.parametrize("begin", [Retry.start, Retry.schedule])
async def test_nothing_happens_once_nobody_waits_any_more(begin: Callable[[Retry], object], stage: Stage) -> None:
    stage.address.alive_at = stage.loop.time()
    attempts = Retry(stage.exchange())
    begin(attempts)
    attempts.cancel()
    await until(lambda: len(asyncio.all_tasks()) == 1)
    await asyncio.sleep(0.005)
    assert (stage.happened, stage.attempts) == ([], [])


async def test_what_a_request_starts_is_started_again_where_it_is_gone(stage: Stage) -> None:
    for trusted, told in ((True, ["wake web", "answer"]), (False, ["answer"])):
        stage.happened.clear()
        Retry(stage.exchange(command="vite", start="on-request", trusted=trusted)).start()
        await until(lambda: "answer" in stage.happened)
        assert stage.happened == told
        assert stage.answer == ((503, "starting") if trusted else (502, "upstream-refused"))


async def test_where_it_is_gone_it_is_not_started_for_what_passes_but_may_not_wake(stage: Stage) -> None:
    """The same rule as at the gate of one that is known not to run."""
    led = (b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document")
    typed = (b"User-Agent: Mozilla/5.0", b"Accept-Language: en", b"Accept: text/html", b"Upgrade-Insecure-Requests: 1")
    for sent, code in ((led, "not-running"), (typed, "starting")):
        stage.happened.clear()
        Retry(stage.exchange(*sent, command="vite", start="on-request", trusted=True)).start()
        await until(lambda: "answer" in stage.happened)
        assert stage.happened == ["answer"]
        assert stage.answer == (503, code)
