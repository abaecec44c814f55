"""Services that their first request starts: one task for each that is being started or ended, and what its gate says.

Lives here: `Activator`, which the proxy wakes, and `IdleWatch`, which ends what nobody asks for any more (`idle_stop`).
Not here: requests that wait (`proxy/exchange.py`), one attempt (`run/activation.py`). What runs a service is a process
of its own that outlives this one (`devproxy up --on-request`), so a proxy that is killed takes nothing along, and the
next one finds what runs by its lease.

How it works: a service is up when the snapshot in force has its address and the probe says so, the same as health's;
the board is told, so that the gate that health sees and the one that stood here are never at odds. A start that failed
is not tried again for `RESPITE`: the page that a person sees it on loads once more, and a client in a loop must not
start processes as fast as it can ask.

A service is in use while an exchange with it is under way, or a tunnel or a connection of TCP to it is open; between
that, its last answer counts. After a start of the proxy time begins anew. One that another running service depends on
is left alone: that one may use it without us. What a group does not run (`devproxy run`, a terminal) is its owner's to
end.
"""

import asyncio
import logging
import subprocess
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol

from devproxy.daemon.process import restore_descriptor_limit
from devproxy.errors import DevproxyError
from devproxy.events import EventLog, Failed, Idle, Waking
from devproxy.health.board import STARTING
from devproxy.health.model import Check
from devproxy.health.probe import probe
from devproxy.paths import Paths
from devproxy.proxy.gates import Dormant, failed
from devproxy.proxy.server import Proxy
from devproxy.registry.model import Service, Upstream
from devproxy.run.activation import Attempt, AttemptStatus
from devproxy.run.group import in_order
from devproxy.run.group_state import OVER, UNSETTLED, GroupFile, ask, read_groups

RESPITE = 3.0  # seconds
MARGIN = 10.0  # seconds that an end may take beyond the grace
_LOOK, _LOOK_MOST = 0.05, 1.0  # seconds between two looks at a start; rarer as it goes on

_log = logging.getLogger(__name__)


class HealthSink(Protocol):
    """What the watch over services is told (`health_publisher.py`)."""

    def saw(self, service: Service, check: Check) -> None:
        """A check was made."""

    def mark_dormant(self, identity: str) -> None:
        """A service was ended in order."""

    def publish(self) -> None:
        """`gates` are not what they were."""


class Activator:
    """One for a run of the proxy, until `close`. `gates` is what stands before services, by id."""

    def __init__(self, paths: Paths, proxy: Proxy, health: HealthSink, events: EventLog):
        self.gates: Mapping[str, Dormant] = {}
        self._paths = paths
        self._proxy = proxy
        self._health = health
        self._events = events
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._children: list[subprocess.Popen[bytes]] = []
        self.awaits: Callable[[str], bool] = lambda _: False  # whether a connection to a TCP service waits for it

    def wake(self, identity: str) -> None:
        """Somebody asks for a service: start it, unless that, or its end, is under way."""
        service = self._service(identity)
        if identity not in self._tasks and service is not None and service.starts_on_request:
            self._begin(service, Dormant(service, since=time.time()), self._start(service))

    def end(self, service: Service, group: GroupFile, idle: float) -> None:
        """End a service that `group` runs and that nobody has asked for during `idle` seconds."""
        if service.id not in self._tasks:
            gate = Dormant(service, "it was about to end, and starts anew")
            self._begin(service, gate, self._end(service, group, idle))

    def reap(self) -> None:
        """Let go of processes that have ended."""
        self._children = [child for child in self._children if child.poll() is None]

    async def close(self) -> None:
        """Start and end nothing more; what was begun goes on without us."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.reap()
        for child in self._children:
            child.returncode = 0  # it goes on without us: no warning when we forget it

    def _begin(self, service: Service, gate: Dormant, work: Coroutine[Any, Any, None]) -> None:
        self._tasks[service.id] = asyncio.create_task(self._work(service, work))
        self._show(service.id, gate)  # now: what comes before the task has its turn must wait, too

    async def _work(self, service: Service, work: Coroutine[Any, Any, None]) -> None:
        identity = service.id
        try:
            await work
        except Exception:
            _log.exception("%s could not be started or ended", identity)
            self._fail(service, f"something went wrong in devproxy itself; see {self._paths.proxy_log}", ())
        finally:
            del self._tasks[identity]
            gate = self.gates.get(identity)
            if gate is not None and gate.instead is None:
                self._show(identity, None)
        if any(held.service_id == identity for held in self._proxy.held) or self.awaits(identity):
            self.wake(identity)  # it was ended just now, or it is down again already

    def _service(self, identity: str) -> Service | None:
        """As the snapshot in force has it."""
        return self._proxy.snapshot.table.services.get(identity)

    def _show(self, identity: str, gate: Dormant | None) -> None:
        if self.gates.get(identity) == gate:
            return
        others = {name: other for name, other in self.gates.items() if name != identity}
        self.gates = others if gate is None else {**others, identity: gate}
        self._health.publish()

    def _tell(self, event: Waking | Failed | Idle) -> None:
        self._events.add(event)
        _log.log(logging.WARNING if event.tone == "bad" else logging.INFO, "%s", event.text())

    # Starting

    async def _start(self, service: Service) -> None:
        needed = in_order(list(self._proxy.snapshot.table.services.values()), [service.id])
        names = [other.id for other in needed if other.id != service.id]
        attempt = await asyncio.to_thread(Attempt, self._paths, service.id, names)
        status: AttemptStatus | None = None
        try:
            why, status = await self._until_up(service, attempt)
        except (DevproxyError, OSError) as error:
            why = str(error)
        finally:
            if attempt.process is not None:
                self._children.append(attempt.process)
        if why:
            self._fail(service, why, status.lines if status else ())

    async def _until_up(self, service: Service, attempt: Attempt) -> tuple[str, AttemptStatus]:
        """Empty once it is up, else why it is not; and what was seen last."""
        loop = asyncio.get_running_loop()
        began, since = loop.time(), time.time()
        while True:
            status = await asyncio.to_thread(attempt.status)
            current = self._service(service.id)
            if current is None or not current.starts_on_request:
                return "its command is not in the registry any more, or not trusted any more", status
            if await self._answers(current, loop.time() - began):
                return "", status
            if status.ended:
                return _why(status), status
            if not status.runs and attempt.process is None:
                self._tell(Waking(service.id, service.asked_by))
                await asyncio.to_thread(attempt.spawn)
                if attempt.process is not None:
                    restore_descriptor_limit(attempt.process.pid)
            self._show(service.id, Dormant(current, _about(current, status), status.lines, since=since))
            await asyncio.sleep(min(_LOOK_MOST, max(_LOOK, (loop.time() - began) / 40)))

    async def _answers(self, service: Service, since: float) -> bool:
        """Whether requests may go to it. One that listens and is not well for long has more to say itself than we."""
        if service.upstream is None:
            return False
        check = await probe(service, self._proxy.snapshot.settings)
        if not (check.up or (check.accepted and since > STARTING)):
            return False
        self._health.saw(service, check)
        return True

    def _fail(self, service: Service, why: str, lines: tuple[str, ...]) -> None:
        self._tell(Failed(service.id, why.partition("\n")[0]))
        gate = Dormant(service, instead=failed(service, why, lines))
        self._show(service.id, gate)
        asyncio.get_running_loop().call_later(RESPITE, self._forgive, service.id, gate)

    def _forgive(self, identity: str, gate: Dormant) -> None:
        if self.gates.get(identity) is gate:
            self._show(identity, None)

    # Ending

    async def _end(self, service: Service, group: GroupFile, idle: float) -> None:
        attempt = await asyncio.to_thread(Attempt, self._paths, service.id)
        await asyncio.to_thread(ask, self._paths, group, "rest", [service.id])
        self._tell(Idle(service.id, idle, service.asked_by))
        patience = service.stop_grace + MARGIN
        try:
            async with asyncio.timeout(patience):
                while (await asyncio.to_thread(attempt.status)).runs:  # noqa: ASYNC110 (other processes tell nobody)
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            _log.warning("%s was asked to end, and has not within %g s", service.id, patience)
            return
        self._health.mark_dormant(service.id)


def _why(status: AttemptStatus) -> str:
    if status.code or "failed" in status.states.values():
        return "its command has failed, or one that it depends on"
    return "its command has ended"


def _about(service: Service, status: AttemptStatus) -> str:
    """What it waits for, if that is another service."""
    waits = [name for name in service.depends_on if status.states.get(name) in UNSETTLED]
    return f"{' and '.join(waits)} first, which it depends on" if waits else ""


_SLOWEST, _QUICKEST = 5.0, 0.05  # seconds between two looks
_SHARE = 10  # looks during the shortest idle_stop


class IdleWatch:
    """One for a run of the proxy; `run` until it is cancelled. `answered` is when an upstream was last of use."""

    def __init__(self, paths: Paths, proxy: Proxy, activator: Activator, answered: Callable[[Upstream], float]):
        self._paths = paths
        self._proxy = proxy
        self._activator = activator
        self._answered = answered
        self.connections: Callable[[], Collection[str]] = tuple  # services that have open ones, of TCP
        self._active: dict[str, float] = {}  # when a service was last seen to be used, or to have come

    async def run(self) -> None:
        """Never returns; nothing that goes wrong in one look ends it."""
        table, services = None, []
        while True:
            if table is not self._proxy.snapshot.table:
                table = self._proxy.snapshot.table
                services = watched(table.services.values())
            await asyncio.sleep(pause(services))
            self._activator.reap()
            try:
                await self.look(services)
            except Exception:
                _log.exception("idle services could not be looked for; trying on")

    async def look(self, services: Sequence[Service]) -> None:
        """End those of `services` that are due."""
        due = self._due(services)
        if not due:
            return
        known = await asyncio.to_thread(read_groups, self._paths)
        due = self._due(services)  # somebody may have asked meanwhile
        now = self._proxy.loop.time()
        for identity, group in endable(due, known, list(self._proxy.snapshot.table.services.values())).items():
            self._activator.end(due[identity], group, now - self._active[identity])

    def _due(self, services: Sequence[Service]) -> dict[str, Service]:
        gates = self._proxy.gates
        dormant = {identity for identity, gate in gates.items() if gate.dormant is not None}
        running = [service for service in services if service.id not in dormant]
        now = self._proxy.loop.time()
        used = in_use(self._proxy, running) | set(self.connections()) if running else set()
        self._active = {one.id: self._last(one, one.id in used, now) for one in running}
        return {one.id: one for one in running if now - self._active[one.id] >= (one.idle_stop or now)}

    def _last(self, service: Service, is_used: bool, now: float) -> float:
        assert service.upstream is not None
        return now if is_used else max(self._active.get(service.id, now), self._answered(service.upstream))


def watched(services: Iterable[Service]) -> list[Service]:
    """Those that may become idle."""
    return [one for one in services if one.idle_stop is not None and one.upstream is not None and one.starts_on_request]


def pause(services: Sequence[Service]) -> float:
    """Seconds until the next look at these."""
    shortest = min((one.idle_stop for one in services if one.idle_stop is not None), default=_SLOWEST * _SHARE)
    return min(_SLOWEST, max(_QUICKEST, shortest / _SHARE))


def in_use(proxy: Proxy, services: Sequence[Service]) -> set[str]:
    """The ids of those that something is under way with."""
    at = {service.upstream: service.id for service in services}
    used = {exchange.service_id for exchange in proxy.exchanges}
    return used | {at[end.upstream] for end in proxy.tunnels if end.upstream in at}


def endable(due: Collection[str], known: Sequence[GroupFile], services: Sequence[Service]) -> Mapping[str, GroupFile]:
    """The group of each of `due` that one runs and that no running service depends on."""
    running = {name: group for group in known for name, part in group.services.items() if part.state not in OVER}
    needed = {other.id for name in running for other in in_order(services, [name]) if other.id != name}
    return {name: running[name] for name in due if name in running and name not in needed}
