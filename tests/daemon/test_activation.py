"""Starting services for requests, and ending them: what is begun, what stands at the gate, and who is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs

from devproxy.proxy.interfaces import Snapshot
from devproxy.registry.model import Registry
from devproxy.run.group_state import MemberState
from tests.daemon.waking import GROUP, NOTHING, RUNS, Scene, web
from tests.loops import until


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
        listener.settimeout(20)
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


async def test_a_start_that_fails_is_told_to_who_waits_and_tried_again_by_a_later_request(scene: Scene) -> None:
    transport = scene.ask()
    await until(lambda: scene.spawned)
    scene.status = NOTHING._replace(ended=True, code=1, lines=("oops",))
    await until(lambda: transport.statuses)
    assert transport.statuses == [502]
    assert b"start-failed" in transport.written
    assert b"oops" in transport.written
    assert scene.ask().statuses == [502]  # at once: it was tried a moment ago
    assert scene.kinds() == ["Waking", "Failed"]
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
    from devproxy.daemon import activation
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
    from devproxy.daemon import activation

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
    assert MemberState("up", "make") in GROUP.services.values()
