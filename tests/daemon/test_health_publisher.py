"""Who hears of a change: the proxy, the event log, the log, and the files."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from devproxy import events
from devproxy.daemon import health_publisher
from devproxy.daemon.health_publisher import HealthPublisher
from devproxy.daemon.runtime import HealthReport, read_health
from devproxy.health import history
from devproxy.health.findings import examine
from devproxy.health.model import Check, ServiceOwner
from devproxy.health.monitor import Monitor
from devproxy.paths import Paths
from devproxy.proxy.gates import Dormant
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.registry.model import ProxySettings, Registry, Service, Upstream
from devproxy.storage import files
from tests.health.things import PYTHON, at, scan, service
from tests.waiting import until


@dataclass
class Scene:
    """An publisher whose monitor does not run: the test puts on the board what it would have seen."""

    paths: Paths
    registry: Registry
    proxy: Proxy
    log: events.EventLog
    publisher: HealthPublisher

    def see(self, *listeners: str) -> None:
        board = self.publisher._board
        board.follow(self.registry.services)
        record = board.records["web"]
        board.record_examination(record, examine(record.service, scan(*(at(address) for address in listeners))), 1.0)
        self.publisher._tell(board.take_events())

    def kinds(self) -> list[str]:
        return [type(entry.event).__name__ for entry in self.log.since(0)]


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    async def blind(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Monitor, "run", blind)
    monkeypatch.setattr(health_publisher, "SETTLE", 0.0)
    made = scene_in(tmp_path)
    running = asyncio.create_task(made.publisher.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def scene_in(folder: Path) -> Scene:
    paths = Paths(folder / "config", folder / "state")
    registry = Registry(services=(service(),))
    proxy = Proxy(Snapshot.of(registry))
    log = events.EventLog(lambda: 5.0)
    made = Scene(paths, registry, proxy, log, HealthPublisher(paths, proxy, log, lambda: made.registry, (7080,)))
    return made


async def test_the_proxy_is_told_and_untold(scene: Scene) -> None:
    scene.see("0.0.0.0")
    exposed = scene.proxy.gates["web"]
    assert exposed.field.startswith(b"Devproxy-Warning: exposed; 0.0.0.0:3000")
    assert exposed.refusal is None
    scene.see("127.0.0.1")
    assert scene.proxy.gates == {}
    assert scene.kinds() == ["Exposed", "Mended"]


async def test_another_policy_holds_before_the_next_look(scene: Scene) -> None:
    scene.see("0.0.0.0")
    refusing = msgspec.structs.replace(service(), exposure="refuse")
    scene.registry = Registry(services=(refusing,), settings=ProxySettings(exposure_header=False))
    scene.publisher.registry_changed()
    exposed = scene.proxy.gates["web"]
    assert exposed.refusal is not None
    assert (exposed.refusal.code, exposed.field) == ("exposed", b"")


def asleep(port: int | None = 3000) -> Service:
    return service(port=port, command="vite", start="on-request", trusted=True)


async def test_a_gate_stands_before_what_is_dormant_until_somebody_sees_it_up(scene: Scene) -> None:
    scene.registry = Registry(services=(asleep(),))
    scene.proxy.swap(Snapshot.of(scene.registry))
    scene.publisher.registry_changed()
    assert scene.proxy.gates == {}  # not looked at yet: somebody may run it by hand
    scene.publisher.saw(asleep(), Check(up=False, why="refused"))
    scene.publisher.publish()
    assert scene.proxy.gates["web"].dormant is not None
    scene.publisher.saw(asleep(), Check(up=True, why="listens", accepted=True))
    scene.publisher.publish()
    assert scene.proxy.gates == {}
    scene.publisher.mark_dormant("web")
    scene.publisher.publish()
    assert scene.proxy.gates["web"].dormant is not None
    assert scene.publisher.conditions()["web"].dormant


async def test_a_check_of_another_address_counts_for_nothing(scene: Scene) -> None:
    scene.registry = Registry(services=(asleep(3001),))
    scene.publisher.saw(asleep(), Check(up=True, why="listens", accepted=True))
    assert scene.publisher.conditions()["web"].state == "unknown"


async def test_what_is_being_started_is_at_the_gate_whatever_else_is_known(scene: Scene) -> None:
    scene.publisher.starts = lambda: {"web": Dormant(asleep(), lines=("compiling",))}
    scene.see("0.0.0.0")
    gate = scene.proxy.gates["web"]
    assert gate.dormant is not None
    assert gate.dormant.lines == ("compiling",)


async def test_what_is_known_is_in_health_json_and_what_happened_in_the_history(scene: Scene) -> None:
    scene.see("0.0.0.0")
    await until(lambda: history.read(scene.paths))  # written after it
    health = read_health(scene.paths)
    assert health is not None
    assert health.services == scene.publisher.conditions()
    assert health.services["web"].exposure == "exposed"
    assert [row["kind"] for row in scene.publisher.past("web")] == ["exposed"]
    assert scene.publisher.past("another") == []


async def test_starts_and_stops_are_in_the_history_too_and_the_end_is_written(scene: Scene) -> None:
    scene.log.add(events.Started("0.1.0", 80))
    scene.log.add(events.Notice("no business of a service"))
    await until(lambda: history.read(scene.paths))
    scene.log.add(events.Stopped())
    await scene.publisher.close()
    assert [type(entry.event) for entry in history.read(scene.paths)] == [events.Started, events.Stopped]


async def test_the_journal_warns_once_with_the_fix(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="devproxy"):
        scene.see("0.0.0.0")
        scene.see("0.0.0.0")
        scene.see("127.0.0.1")
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in lines] == ["WARNING", "INFO"]
    assert lines[0][1].endswith("(fix: Vite: change `--host` to `--host 127.0.0.1`)")


async def test_a_disk_that_refuses_is_told_once_and_ends_nothing(
    scene: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[object] = []

    def refuse(*_: object) -> None:
        writes.append(1)
        raise OSError("the disk is full")

    monkeypatch.setattr(files, "write_json", refuse)
    for number in range(1, 4):
        scene.publisher._wanted.set()
        await until(lambda: len(writes) >= number)  # noqa: B023
    await until(lambda: caplog.records)
    assert [record.getMessage() for record in caplog.records] == [
        "what is known of services could not be written down: the disk is full"
    ]


async def test_what_a_disk_refused_is_written_later(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", refuse)
        scene.log.add(events.Started("0.1.0", 80))
        await until(lambda: scene.publisher._trouble)
    scene.log.add(events.Stopped())
    await until(lambda: len(history.read(scene.paths)) == 2)


async def test_whose_process_it_was_outlives_the_proxy(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    files.write_json(paths.health, HealthReport(pid=1, time=0.0, owners={"web": ServiceOwner("Vite", "/shop", "anna")}))
    made = scene_in(tmp_path)
    made.publisher._board.follow(made.registry.services)
    record = made.publisher._board.records["web"]
    exam = examine(record.service, scan(at("127.0.0.1", PYTHON)), known=record.owner)
    assert "owner" in {finding.code for finding in exam.findings}


async def test_when_an_upstream_answered_last(scene: Scene) -> None:
    plain, tls = Upstream("http", ("127.0.0.1",), 1), Upstream("https", ("127.0.0.1",), 1)
    assert scene.publisher.answered(plain) == scene.publisher.answered(tls) == float("-inf")
    scene.proxy.pool.at(plain).alive_at = 3.0
    for name, moment in (("a.localhost", 4.0), ("b.localhost", 5.0)):
        scene.proxy.pool.at(tls, name).alive_at = moment
    assert (scene.publisher.answered(plain), scene.publisher.answered(tls)) == (3.0, 5.0)


async def test_an_alarm_is_passed_on(scene: Scene) -> None:
    rung: list[int] = []
    scene.publisher.on_alarm = lambda: rung.append(1)
    scene.publisher._alarm(at("0.0.0.0"))
    assert scene.publisher.alarmed == at("0.0.0.0")
    assert rung == [1]
