"""Which services are idle: what counts as use, who is left alone, and how often is looked."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from devproxy.daemon import activation
from devproxy.daemon.activation import IdleWatch, endable, pause, watched
from devproxy.proxy.gates import Dormant, Gate
from devproxy.registry.model import Service, Upstream
from devproxy.run.group_state import GroupFile, MemberPhase, MemberState
from tests.daemon.waking import Scene, web
from tests.proxy.values import LOCAL

GROUPS = (GroupFile(pid=1, started=1.0, services={"web": MemberState("up", "make")}),)


class Watch:
    """A watch whose clock and whose last answer the test sets; `ended` are (service, seconds)."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any):
        self.service = web(upstream=LOCAL, idle_stop=60.0, **options)
        self.scene = Scene(folder, monkeypatch, self.service)
        self.now, self.answered_at = 1000.0, float("-inf")
        self.ended: list[tuple[str, float]] = []
        self.groups: tuple[GroupFile, ...] = GROUPS
        monkeypatch.setattr(self.scene.proxy, "loop", self)
        monkeypatch.setattr(activation, "read_groups", lambda _: self.groups)
        monkeypatch.setattr(self.scene.made, "end", self._end)
        self.made = IdleWatch(Path(), self.scene.proxy, self.scene.made, lambda _: self.answered_at)  # type: ignore[arg-type]

    def time(self) -> float:
        return self.now

    def _end(self, service: Service, group: GroupFile, seconds: float) -> None:
        assert group is self.groups[0]
        self.ended.append((service.id, seconds))

    async def at(self, seconds: float) -> list[tuple[str, float]]:
        """What was ended by so many seconds after the start."""
        self.now = 1000.0 + seconds
        await self.made.look([self.service])
        return self.ended


@pytest.fixture
async def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watch]:
    made = Watch(tmp_path, monkeypatch)
    yield made
    made.scene.proxy.exchanges.clear()
    made.scene.proxy.tunnels.clear()


async def test_time_counts_from_the_first_look(watch: Watch) -> None:
    assert await watch.at(0) == []
    assert await watch.at(59) == []
    assert await watch.at(60) == [("web", 60.0)]


async def test_time_counts_from_the_last_answer(watch: Watch) -> None:
    await watch.at(0)
    watch.answered_at = 1030.0
    assert await watch.at(89) == []
    assert await watch.at(90) == [("web", 60.0)]


async def test_an_exchange_or_a_tunnel_is_use_and_time_counts_from_its_end(watch: Watch) -> None:
    class Busy:
        def __init__(self, service: Service):
            self.service_id = service.id
            self.upstream = service.upstream

    proxy: Any = watch.scene.proxy
    await watch.at(0)
    busy = Busy(watch.service)
    proxy.exchanges = {busy}
    assert await watch.at(100) == []
    proxy.exchanges = {Busy(web("other"))}
    proxy.tunnels = {busy}
    assert await watch.at(200) == []
    proxy.tunnels = set()
    assert await watch.at(259) == []
    assert await watch.at(260) == [("web", 60.0)]


async def test_one_that_does_not_run_is_not_idle_and_begins_anew(watch: Watch) -> None:
    await watch.at(0)
    watch.scene.proxy.set_gates({"web": Gate(dormant=Dormant(watch.service))})
    assert await watch.at(100) == []
    watch.scene.proxy.set_gates({})
    assert await watch.at(150) == []
    assert await watch.at(210) == [("web", 60.0)]


async def test_one_that_is_asked_for_while_groups_are_read_is_not_ended(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answered(_: object) -> tuple[GroupFile, ...]:
        watch.answered_at = 1100.0
        return GROUPS

    monkeypatch.setattr(activation, "read_groups", answered)
    await watch.at(0)
    assert await watch.at(100) == []


async def test_what_no_group_runs_is_left_alone(watch: Watch) -> None:
    watch.groups = ()
    await watch.at(0)
    assert await watch.at(100) == []


def group(**states: MemberPhase) -> GroupFile:
    return GroupFile(pid=1, started=1.0, services={name: MemberState(state, "") for name, state in states.items()})


def test_what_a_running_service_depends_on_is_needed() -> None:
    services = [web("web", depends_on=("api",)), web("api", depends_on=("db",)), web("db")]
    all_of_it, one = group(web="up", api="up", db="up"), group(web="ended", api="up", db="failed")
    assert endable(["web", "api", "db"], [all_of_it], services) == {"web": all_of_it}
    assert endable(["web", "api", "db"], [one], services) == {"api": one}
    assert endable(["db"], [], services) == {}


def test_only_what_a_request_starts_again_is_watched() -> None:
    asked = web(upstream=Upstream("http", ("127.0.0.1",), 1), idle_stop=1.0)
    others = [web(idle_stop=1.0), web(upstream=LOCAL), web(upstream=LOCAL, idle_stop=1.0, start="manual")]
    assert watched([asked, *others, web(upstream=LOCAL, idle_stop=1.0, trusted=False)]) == [asked]


def test_how_often_is_looked_follows_the_shortest_time() -> None:
    assert pause([]) == 5.0
    assert pause([web(idle_stop=1800.0)]) == 5.0
    assert pause([web(idle_stop=1800.0), web(idle_stop=2.0)]) == 0.2
    assert pause([web(idle_stop=0.001)]) == 0.05
