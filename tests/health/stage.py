"""A monitor on a stage: the registry it follows, and all that it said and asked.

Lives here: the stage, its fixture (imported by what uses it), real listeners on loopback.
Not here: any test.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import pytest

from devproxy import events
from devproxy.health import monitor as module
from devproxy.health import probe as probe_module
from devproxy.health import reachability
from devproxy.health.board import Board
from devproxy.health.model import Check, Listener, Reach
from devproxy.health.monitor import Monitor, MonitorHooks
from devproxy.registry.model import ProxySettings, Registry, Service, Upstream


@dataclass
class Stage:
    """A monitor, the registry it follows, and all that it said and asked."""

    registry: Registry = field(default_factory=Registry)
    answered: dict[Upstream, float] = field(default_factory=dict)
    own: set[int] = field(default_factory=set)
    told: list[events.AnyEvent] = field(default_factory=list)
    times_told: int = 0
    alarms: list[Listener] = field(default_factory=list)
    probed: list[str] = field(default_factory=list)
    proved: list[list[int]] = field(default_factory=list)
    reach: dict[int, Reach] = field(default_factory=dict)
    outcome: Check | None = None
    now: float = 0.0

    def __post_init__(self) -> None:
        hooks = MonitorHooks(
            lambda: self.registry,
            lambda upstream: self.answered.get(upstream, float("-inf")),
            lambda: self.own,
            self._tell,
            self.alarms.append,
        )
        self.monitor = Monitor(Board(), hooks)
        self.now = asyncio.get_running_loop().time()

    def _tell(self, happened: Iterable[events.AnyEvent]) -> None:
        self.told.extend(happened)
        self.times_told += 1

    def follow(self, *services: Service, settings: ProxySettings | None = None) -> None:
        self.registry = Registry(services=services, settings=settings or ProxySettings())

    async def tick(self, times: int = 1) -> None:
        """Looks that take no time, however busy the machine is: the loop's clock stands at `now` meanwhile."""
        loop = asyncio.get_running_loop()
        loop.time = lambda: self.now  # type: ignore[method-assign]
        try:
            for _ in range(times):
                await self.monitor.tick()
        finally:
            del loop.time

    def state(self, name: str = "web") -> str:
        return self.monitor.board.conditions[name].state

    def due(self, name: str = "web") -> float:
        """Seconds until it is asked again."""
        return self.monitor.board.records[name].due - self.now

    def make_due(self, name: str = "web") -> None:
        self.monitor.board.records[name].due = 0.0

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.told]


@contextlib.asynccontextmanager
async def staged(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """Its probes and proofs are counted; probes are real unless `outcome` says what they find."""
    made = Stage()
    real = probe_module.probe

    async def probe(service: Service, settings: ProxySettings, first: str = "") -> Check:
        made.probed.append(service.id)
        return made.outcome or await real(service, settings, first)

    def prove(ports: Iterable[int], where: Iterable[str]) -> dict[int, Reach]:
        made.proved.append(list(ports))
        return made.reach

    monkeypatch.setattr(module, "probe", probe)
    monkeypatch.setattr(reachability, "prove", prove)
    try:
        yield made
    finally:
        made.monitor._scanner.close()


@contextlib.asynccontextmanager
async def looping(stage: Stage) -> AsyncIterator[None]:
    running = asyncio.create_task(stage.monitor.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
