"""Attempts to reach a service: once, or again and again for as long as one that was up is waited for."""

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from devproxy.net.dial import DialError
from devproxy.proxy import negotiate, retry
from devproxy.proxy.answers import Respond
from devproxy.proxy.pool import UpstreamAddress
from devproxy.proxy.retry import Retry
from tests.clock import Clock
from tests.proxy.values import LOCAL, fields, reading, route
from tests.waiting import until

HOST = b"Host: web.localhost"
REFUSED = DialError([("127.0.0.1:5173", "connection refused")])


class Stage:
    """An exchange as a Retry sees it, and a service of which each attempt takes the next of `results`, and a while."""

    def __init__(self) -> None:
        self.results: Iterator[Exception | bool] = iter(())
        self.attempts: list[str] = []
        self.happened: list[str] = []
        self.answer: Respond | None = None
        self.address = UpstreamAddress(LOCAL, "web.localhost")
        self.loop = Clock(asyncio.get_running_loop())

    def exchange(self, *fields_sent: bytes, hold: float = 30.0, **more: Any) -> Any:
        def answered(respond: Respond) -> None:
            self.answer = respond
            self.happened.append("answer")

        return SimpleNamespace(
            proxy=SimpleNamespace(loop=self.loop, wake=lambda name: self.happened.append(f"wake {name}"), gates={}),
            address=self.address,
            route=route(hold=hold, **more),
            reading=reading(HOST, *fields_sent),
            opens_websocket=False,
            fields=fields(HOST, *fields_sent),
            method=b"GET",
            answer=answered,
            use=lambda _connection: self.happened.append("use"),
            on_closed=lambda error, answered: self.happened.append(f"closed {error} {answered}"),
        )

    async def connect(self, upstream: object, factory: object, *, first: str, server_name: str) -> tuple[Any, str]:
        self.attempts.append(first)
        self.loop.now += 0.02
        assert (upstream, server_name) == (LOCAL, "web.localhost")
        result = next(self.results, REFUSED)
        if isinstance(result, Exception):
            raise result
        return SimpleNamespace(transport=SimpleNamespace(is_closing=lambda: result)), "::1"


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    found = Stage()
    monkeypatch.setattr(negotiate, "connect", found.connect)
    monkeypatch.setattr(retry, "RETRY_EVERY", 0.001)
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
    assert stage.happened == ["closed None False"]


async def test_a_service_that_was_not_up_is_not_waited_for(stage: Stage) -> None:
    stage.address.alive_at = stage.loop.time() - 11.0
    Retry(stage.exchange()).start()
    await until(lambda: stage.happened)
    assert stage.answer is not None
    assert (stage.answer.code, len(stage.attempts)) == ("upstream-refused", 1)


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
    assert stage.answer is not None
    assert (stage.answer.code, len(stage.attempts)) == ("too-many-connections", 1)


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
        assert stage.answer is not None
        assert (stage.answer.status, stage.answer.code) == ((503, "starting") if trusted else (502, "upstream-refused"))


async def test_where_it_is_gone_it_is_not_started_for_what_passes_but_may_not_wake(stage: Stage) -> None:
    """The same rule as at the gate of one that is known not to run."""
    led = (b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document")
    typed = (b"User-Agent: Mozilla/5.0", b"Accept-Language: en", b"Accept: text/html", b"Upgrade-Insecure-Requests: 1")
    for sent, code in ((led, "not-running"), (typed, "starting")):
        stage.happened.clear()
        Retry(stage.exchange(*sent, command="vite", start="on-request", trusted=True)).start()
        await until(lambda: "answer" in stage.happened)
        assert stage.happened == ["answer"]
        assert stage.answer is not None
        assert (stage.answer.status, stage.answer.code) == (503, code)
