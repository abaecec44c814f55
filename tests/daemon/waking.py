"""A proxy whose services do not run, and what starts and ends them, without a process.

Lives here: `Scene`, and attempts that see what the test says. Not here: tests; real processes (`tests/e2e/`).
"""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from devproxy.daemon import activation
from devproxy.daemon.activation import Activator
from devproxy.events import EventLog
from devproxy.health.model import Check
from devproxy.paths import Paths
from devproxy.proxy.gates import Gate
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.registry.model import Registry, Service, Upstream
from devproxy.run.activation import AttemptStatus
from devproxy.run.group_state import GroupFile, MemberState
from tests.proxy.fakes import Transport, accepted
from tests.proxy.values import service

NOTHING = AttemptStatus(runs=False, ended=False, code=None, states={}, lines=())
RUNS = NOTHING._replace(runs=True)
GROUP = GroupFile(pid=1, started=1.0, services={"web": MemberState("up", "make")})


def web(identity: str = "web", **options: Any) -> Service:
    values: dict[str, Any] = {"command": "make", "start": "on-request", "trusted": True, "upstream": None, **options}
    return service(identity, **values)


class Scene:
    """`status` is what every attempt sees; `spawned` are the services that one was begun for."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *services: Service):
        self.status = NOTHING
        self.spawned: list[str] = []
        self.asked_to_end: list[str] = []
        self.told: list[tuple[str, object]] = []
        self.spawn_error: Exception | None = None
        self.proxy = Proxy(Snapshot.of(Registry(services=services or (web(),))))
        self.log = EventLog(lambda: 0.0)
        self.made = Activator(Paths(folder / "config", folder / "state"), self.proxy, self, self.log)
        self.proxy.wake = self.made.wake
        monkeypatch.setattr(activation, "Attempt", self._attempt)
        monkeypatch.setattr(activation, "ask", lambda _, __, ___, names: self.asked_to_end.extend(names))
        monkeypatch.setattr(activation, "RESPITE", 3600.0)

    def _attempt(self, _: Paths, identity: str, with_: list[str] | None = None) -> "FakeAttempt":
        return FakeAttempt(self, identity)

    # What `HealthPublisher` does:

    def saw(self, service: Service, check: Check) -> None:
        self.told.append(("saw", check.up))

    def mark_dormant(self, identity: str) -> None:
        self.told.append(("rest", identity))

    def publish(self) -> None:
        self.proxy.set_gates({name: Gate(dormant=dormant) for name, dormant in self.made.gates.items()})

    # What a client and a service do:

    def ask(self) -> Transport:
        """A request to `web`."""
        connection, transport = accepted(self.proxy)
        connection.data_received(b"GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n")
        return transport

    def come_up(self) -> socket.socket:
        """`web` listens, and the registry knows where."""
        listener = socket.create_server(("127.0.0.1", 0))
        upstream = Upstream("http", ("127.0.0.1",), listener.getsockname()[1])
        self.status = RUNS
        self.proxy.swap(Snapshot.of(Registry(services=(web(upstream=upstream),))))
        return listener

    def kinds(self) -> list[str]:
        return [type(entry.event).__name__ for entry in self.log.since(0)]

    async def close(self) -> None:
        await self.made.close()
        self.proxy.close()
        await asyncio.sleep(0)


class FakeAttempt:
    """An attempt without a process."""

    process: object | None = None

    def __init__(self, scene: Scene, identity: str):
        self._scene = scene
        self._identity = identity

    def spawn(self) -> None:
        if self._scene.spawn_error is not None:
            raise self._scene.spawn_error
        self._scene.spawned.append(self._identity)
        self.process = _Ended()

    def status(self) -> AttemptStatus:
        return self._scene.status


class _Ended:
    pid = 2**22 + 1  # nobody
    returncode = 0

    def poll(self) -> int:
        return 0
