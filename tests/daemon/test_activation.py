"""Starting services for requests, and ending idle ones: what stands at the gate, what counts as use, who is told."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from devproxy.daemon import activation
from devproxy.daemon.activation import IdleWatch, endable, pause, watched
from devproxy.proxy.gates import Dormant, Gate
from devproxy.proxy.interfaces import Snapshot
from devproxy.registry.model import Registry, Service, Upstream
from devproxy.run.group_state import GroupFile, MemberPhase, MemberState
from tests.daemon.waking import GROUP, NOTHING, RUNS, Scene, web
from tests.proxy.values import LOCAL
from tests.waiting import DEADLINE, until


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    made = Scene(tmp_path, monkeypatch)
    yield made
    await made.close()


async def test_the_first_request_starts_it_and_goes_on_once_it_is_up(scene: Scene) -> None:
    transport = scene.ask()
    await until(lambda: scene.spawned)
    assert scene.proxy.gates["web"].dormant is not None
    with scene.come_up() as listener:
        await until(lambda: not scene.proxy.held)
        listener.settimeout(DEADLINE)
        listener.accept()[0].close()
    assert scene.told == [("saw", True)]
    assert scene.kinds() == ["Waking"]
    assert scene.made.gates == {}
    assert transport.written == b""


async def test_twenty_at_once_start_it_once(scene: Scene) -> None:
    for _ in range(20):
        scene.ask()
    await until(lambda: scene.spawned)
    with scene.come_up():
        await until(lambda: not scene.proxy.held)
    assert scene.spawned == ["web"]


async def test_what_runs_already_is_waited_for_and_started_only_if_it_does_not_come(scene: Scene) -> None:
    scene.status = RUNS
    scene.ask()
    await until(lambda: "web" in scene.made.gates)
    assert scene.spawned == []
    scene.status = NOTHING
    await until(lambda: scene.spawned)


async def test_a_start_that_fails_is_told_to_who_waits_and_not_tried_again_at_once(scene: Scene) -> None:
    transport = scene.ask()
    await until(lambda: scene.spawned)
    scene.status = NOTHING._replace(ended=True, code=1, lines=("oops",))
    await until(lambda: transport.statuses)
    assert transport.statuses == [502]
    assert b"start-failed" in transport.written
    assert b"oops" in transport.written
    assert scene.ask().statuses == [502]  # at once: it was tried a moment ago
    assert scene.kinds() == ["Waking", "Failed"]


async def test_after_a_while_a_request_tries_again_what_failed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation, "RESPITE", 0.0)
    scene.ask()
    await until(lambda: scene.spawned)
    scene.status = NOTHING._replace(ended=True, code=1)
    await until(lambda: not scene.made.gates)
    scene.status = NOTHING
    scene.ask()
    await until(lambda: scene.spawned == ["web", "web"])


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (NOTHING._replace(ended=True, code=0), "its command has ended"),
        (NOTHING._replace(ended=True, code=1), "its command has failed, or one that it depends on"),
        (NOTHING._replace(ended=True, states={"db": "failed"}), "its command has failed, or one that it depends on"),
    ],
)
async def test_why_it_did_not_start(scene: Scene, status: object, why: str) -> None:
    scene.ask()
    await until(lambda: scene.spawned)
    scene.status = status  # type: ignore[assignment]
    await until(lambda: "Failed" in scene.kinds())
    assert scene.log.since(0)[-1].event.text() == f"web did not start: {why}"


@pytest.mark.parametrize("error", [OSError("no more processes"), RuntimeError("a bug")])
async def test_what_goes_wrong_in_devproxy_is_an_answer_too(scene: Scene, error: Exception) -> None:
    scene.spawn_error = error
    transport = scene.ask()
    await until(lambda: transport.statuses)
    assert transport.statuses == [502]
    assert (b"no more processes" in transport.written) == isinstance(error, OSError)


async def test_what_it_prints_and_waits_for_is_at_the_gate(scene: Scene) -> None:
    scene.proxy.swap(Snapshot.of(Registry(services=(web(depends_on=("db",)), web("db", hosts=())))))
    scene.ask()
    scene.status = RUNS._replace(states={"db": "starting", "web": "waiting"}, lines=("creating tables",))
    await until(lambda: "web" in scene.made.gates and scene.made.gates["web"].lines)
    gate = scene.made.gates["web"]
    assert (gate.about, gate.lines) == ("db first, which it depends on", ("creating tables",))


async def test_one_that_is_not_trusted_is_never_started(scene: Scene) -> None:
    scene.proxy.swap(Snapshot.of(Registry(services=(web(trusted=False),))))
    scene.made.wake("web")
    scene.made.wake("nobody")
    assert scene.ask().statuses == [502]
    assert scene.made.gates == {}


async def test_trust_that_is_taken_away_ends_the_start(scene: Scene) -> None:
    scene.ask()
    await until(lambda: scene.spawned)
    scene.proxy.swap(Snapshot.of(Registry(services=(web(trusted=False),))))
    await until(lambda: "Failed" in scene.kinds())
    assert "not trusted any more" in scene.log.since(0)[-1].event.text()


async def test_one_that_listens_and_is_sick_for_long_may_say_so_itself(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from devproxy.health.model import Check

    async def sick(*_: object) -> Check:
        return Check(up=False, why="500", accepted=True)

    monkeypatch.setattr(activation, "probe", sick)
    scene.ask()
    await until(lambda: scene.spawned)
    with scene.come_up():
        assert scene.proxy.held
        monkeypatch.setattr(activation, "STARTING", 0.0)
        await until(lambda: not scene.proxy.held)
    assert scene.told == [("saw", False)]


async def test_an_end_closes_the_gate_until_it_is_over(scene: Scene) -> None:
    with scene.come_up():
        service = scene.proxy.snapshot.table.services["web"]
        scene.made.end(service, GROUP, 1800.0)
        await until(lambda: scene.asked_to_end)
        assert scene.asked_to_end == ["web"]
        transport = scene.ask()
        assert (transport.statuses, len(scene.proxy.held), scene.spawned) == ([], 1, [])
        scene.made.end(service, GROUP, 1800.0)
        assert scene.log.since(0)[-1].event.text() == "web was ended after 30 min without a request"
    scene.proxy.swap(Snapshot.of(Registry(services=(structs.replace(service, upstream=None),))))
    scene.status = NOTHING
    await until(lambda: scene.spawned)  # for the request that came meanwhile
    assert scene.told == [("rest", "web")]
    assert scene.asked_to_end == ["web"]


async def test_one_that_does_not_end_is_let_be(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation, "MARGIN", -9.95)  # of a grace of 10 s
    with scene.come_up():
        scene.made.end(scene.proxy.snapshot.table.services["web"], GROUP, 60.0)
        await until(lambda: scene.made.gates)
        await until(lambda: not scene.made.gates)
    assert scene.told == []


async def test_the_end_of_the_proxy_is_the_end_of_starting(scene: Scene) -> None:
    scene.ask()
    await until(lambda: scene.spawned)
    await scene.made.close()
    assert scene.made.gates == {}


# Which services are idle: what counts as use, who is left alone, and how often is looked


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
