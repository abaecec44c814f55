"""The loop against real sockets on loopback: what it notices, what it asks, and above all what it does not ask."""

import os
from collections.abc import AsyncIterator, Collection

import msgspec
import pytest

from devproxy import events
from devproxy.health import monitor as module
from devproxy.health import reachability
from devproxy.health.model import Check, Interface, Listener, Process, Reach, Scan
from devproxy.registry.model import Health, ProxySettings, Service
from tests import require
from tests.health.stage import Stage, looping, staged
from tests.health.things import LO, service
from tests.ports import free_port, listening
from tests.waiting import until


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with staged(monkeypatch) as made:
        yield made


@pytest.fixture
def linux() -> None:
    require.linux()


@pytest.mark.usefixtures("linux")
class TestByTheTable:
    async def test_what_listens_is_up_without_a_connect(self, stage: Stage) -> None:
        with listening() as port:
            stage.follow(service(port=port))
            await stage.tick(5)
        assert (stage.state(), stage.probed) == ("up", [])
        assert stage.told == [events.Checked(("web",))]

    async def test_what_is_gone_is_asked_at_once_and_down_after_two_refusals(self, stage: Stage) -> None:
        with listening() as port:
            stage.follow(service(port=port))
            await stage.tick()
        await stage.tick()
        assert (stage.state(), len(stage.probed)) == ("up", 1)
        assert stage.due() <= 1.0
        stage.make_due()
        await stage.tick()
        assert stage.state() == "down"
        assert stage.told[-1] == events.Down("web", f"nothing listens on port {port}")

    async def test_what_comes_back_is_up_at_the_next_look(self, stage: Stage) -> None:
        port = free_port()
        stage.follow(service(port=port))
        await stage.tick()
        assert stage.state() == "down"
        with listening(port=port):
            await stage.tick()
        assert stage.state() == "up"
        assert isinstance(stage.told[-1], events.Up)

    async def test_what_is_down_is_hardly_asked(self, stage: Stage) -> None:
        stage.follow(service(port=free_port()))
        await stage.tick(10)
        assert len(stage.probed) == 1
        assert stage.due() > 20

    async def test_while_nothing_changes_the_table_is_not_even_read(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with listening() as port:
            stage.follow(service(port=port))
            await stage.tick()

            def scan(*_: object) -> Scan:
                raise AssertionError("read")

            monkeypatch.setattr(stage.monitor._scanner, "changed", lambda: False)
            monkeypatch.setattr(stage.monitor._scanner, "scan", scan)
            told = stage.times_told
            await stage.tick(3)
        assert stage.times_told == told

    async def test_only_registered_ports_are_looked_into(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[set[int]] = []

        def scan(ports: Collection[int]) -> Scan:
            asked.append(set(ports))
            return Scan()

        monkeypatch.setattr(stage.monitor._scanner, "scan", scan)
        stage.own = {7080}
        stage.follow(service(port=3001), service("sock", path="/x"), service("none", None))
        await stage.tick()
        assert asked == [{3001, 0, 7080}]


class TestAsking:
    def healthy(self, port: int, interval: float = 10.0) -> Service:
        return service(port=port, health=Health(path="/", interval=interval))

    async def test_a_health_path_is_asked_each_interval(self, stage: Stage) -> None:
        stage.outcome = Check(up=True, why="200", accepted=True)
        stage.follow(self.healthy(free_port()))
        await stage.tick(3)
        assert stage.probed == ["web"]
        assert 8 < stage.due() < 12

    async def test_traffic_is_evidence_a_busy_service_is_not_asked(self, stage: Stage) -> None:
        stage.outcome = Check(up=True, why="200", accepted=True)
        busy = self.healthy(free_port())
        stage.follow(busy)
        await stage.tick()
        assert busy.upstream is not None
        stage.answered[busy.upstream] = stage.now
        stage.make_due()
        await stage.tick(3)
        assert stage.probed == ["web"]
        assert 9 < stage.due() <= 10

    async def test_traffic_to_one_that_is_down_makes_it_be_asked(self, stage: Stage) -> None:
        stage.outcome = Check(up=False, why="500", accepted=True)
        sick = self.healthy(free_port())
        stage.follow(sick)
        await stage.tick()
        stage.monitor.board.records["web"].due = float("inf")
        await stage.tick()
        assert stage.probed == ["web"]
        assert sick.upstream is not None
        stage.answered[sick.upstream] = stage.now + 0.001
        stage.outcome = Check(up=True, why="200", accepted=True)
        await stage.tick()
        assert stage.state() == "up"

    async def test_it_is_asked_ever_less_while_it_fails(self, stage: Stage) -> None:
        stage.outcome = Check(up=False, why="refused")
        stage.follow(service(path="/x"))
        await stage.tick()
        waits = [stage.due()]
        for _ in range(12):
            stage.make_due()
            await stage.tick()
            waits.append(stage.due())
        assert waits[0] < waits[-1] < 30

    async def test_many_that_are_due_are_asked_in_turns(self, stage: Stage) -> None:
        stage.outcome = Check(up=False, why="refused")
        stage.follow(*(service(f"s{n}", path="/x") for n in range(50)))
        asked = []
        for _ in range(3):
            before = len(stage.probed)
            await stage.tick()
            asked.append(len(stage.probed) - before)
        assert asked == [20, 20, 10]
        assert len(set(stage.probed)) == 50

    async def test_one_that_has_no_port_is_never_asked(self, stage: Stage) -> None:
        stage.follow(service(port=None))
        await stage.tick(3)
        assert (stage.probed, stage.state()) == ([], "unknown")


class TestProof:
    @pytest.fixture(autouse=True)
    def _allowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(reachability.OFF)

    async def test_ports_that_changed_are_proved_at_once_and_then_rarely(self, stage: Stage) -> None:
        port = free_port()
        stage.follow(service(port=port), service("sock", path="/x"))
        await stage.tick(3)
        assert stage.proved == [[port]]
        stage.monitor.board.records["web"].proof_due = 0.5
        await stage.tick()
        assert len(stage.proved) == 2

    async def test_one_that_listens_as_it_did_is_left_alone_whatever_else_changes(self, stage: Stage) -> None:
        with listening() as port:
            web, hour = service(port=port), 3600.0
            stage.follow(web)
            await stage.tick()
            assert stage.proved == [[port]]
            for number in range(3):  # another registry each time, and a listener of somebody else
                with listening():
                    stage.follow(web, service(f"s{number}", port=None))
                    stage.now += hour
                    await stage.tick()
            assert stage.proved == [[port]]
            with listening("::1", port=port):
                await stage.tick()
            assert stage.proved == [[port], [port]]

    async def test_what_it_reaches_is_exposed(self, stage: Stage) -> None:
        port = free_port()
        stage.reach = {port: Reach(("192.0.2.1",), ("192.0.2.1",))}
        stage.follow(service(port=port))
        await stage.tick()
        assert stage.monitor.board.conditions["web"].exposure == "exposed"
        assert "Exposed" in stage.kinds()

    @pytest.mark.parametrize("way", ["setting", "environment"])
    async def test_it_is_off_where_it_is_switched_off(
        self, way: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if way == "environment":
            monkeypatch.setenv(reachability.OFF, "1")
        stage.follow(service(port=free_port()), settings=ProxySettings(exposure_proof=way != "setting"))
        await stage.tick(3)
        assert stage.proved == []


class TestAudit:
    def scan(self, address: str, pid: int) -> Scan:
        listener = Listener(address=address, port=7080, family="ipv4", process=Process(pids=(pid,)))
        eth0 = Interface("eth0", 2, ("192.0.2.1",))
        return Scan(listeners=(listener,), interfaces=(LO, eth0))

    @pytest.mark.parametrize(
        ("address", "ours", "alarmed"),
        [("0.0.0.0", True, True), ("192.0.2.1", True, True), ("127.0.0.1", True, False), ("0.0.0.0", False, False)],
    )
    async def test_our_own_socket_beyond_loopback_is_an_alarm(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, address: str, ours: bool, alarmed: bool
    ) -> None:
        pid = os.getpid() if ours else 1
        monkeypatch.setattr(stage.monitor._scanner, "scan", lambda _: self.scan(address, pid))
        stage.own = {7080}
        await stage.tick()
        assert bool(stage.alarms) == alarmed


class TestLoop:
    async def test_a_registry_that_changes_is_followed(self, stage: Stage) -> None:
        stage.follow(service("a", free_port()))
        await stage.tick()
        stage.follow(service("b", free_port()))
        await stage.tick()
        assert list(stage.monitor.board.conditions) == ["b"]

    async def test_hurry_ends_the_pause(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "TICK", 1000.0)
        async with looping(stage):
            await until(lambda: stage.monitor._read_at > 0)
            stage.follow(service("a", free_port()))
            stage.monitor.wake()
            await until(lambda: stage.told)

    async def test_what_goes_wrong_in_one_tick_does_not_end_it(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ticks: list[int] = []

        async def tick() -> None:
            ticks.append(1)
            raise RuntimeError("a bug")

        monkeypatch.setattr(module, "TICK", 0.001)
        monkeypatch.setattr(stage.monitor, "tick", tick)
        async with looping(stage):
            await until(lambda: len(ticks) > 3)

    async def test_where_the_table_is_dear_it_is_read_rarely(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse() -> bool:
            raise OSError("not Linux")

        reads: list[int] = []

        def scan(_: object) -> Scan:
            reads.append(1)
            return Scan(gap="macOS hides it")

        monkeypatch.setattr(stage.monitor._scanner, "changed", refuse)
        monkeypatch.setattr(stage.monitor._scanner, "scan", scan)
        stage.outcome = Check(up=True, why="accepts", accepted=True)
        stage.follow(service(port=free_port()))
        await stage.tick(5)
        assert len(reads) == 1
        assert stage.monitor.board.conditions["web"].exposure_why == "macOS hides it"
        assert stage.state() == "up"


async def test_other_names_are_no_news_of_health(stage: Stage) -> None:
    stage.reach = {}
    quiet = service(port=free_port())
    stage.follow(quiet)
    await stage.tick()
    told = stage.times_told
    stage.follow(msgspec.structs.replace(quiet, hosts=("other.localhost",)))
    await stage.tick()
    assert stage.times_told == told
