"""The watch over services while the proxy runs: the monitor, and everybody who is told what it sees.

Lives here: who hears of a change: the proxy (what it must warn of or refuse), the event log, our own log,
`state/health.json` and `state/history.jsonl`; which services keep requests waiting, and why.
Not here: seeing (`health/monitor.py`), what the proxy does with it (`proxy/`). Disks are slow: files are written in a
thread, however many changes came meanwhile in one go.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from devproxy.daemon.pauses import PauseWatch
from devproxy.daemon.runtime import HealthReport, read_health
from devproxy.daemon.waiting import WaitWatch
from devproxy.errors import DevproxyError
from devproxy.events import AnyEvent, Entry, EventLog, Exposed, Found, Unanswered
from devproxy.health import history
from devproxy.health.board import Board
from devproxy.health.findings import find_in_answers
from devproxy.health.model import Check, Condition, Listener, RunRecord, WaitingRequests
from devproxy.health.monitor import Monitor, MonitorHooks
from devproxy.health.runs import RunsReader
from devproxy.paths import Paths
from devproxy.proxy.gates import Dormant, Gate, health_gates
from devproxy.proxy.server import Proxy
from devproxy.proxy.waiting import ServiceWait
from devproxy.registry.model import ListenAddress, Registry, Service, Upstream
from devproxy.storage import files

SETTLE = 0.2  # seconds between two writes: what happens together is written together
MOST_UNWRITTEN = 1000  # events kept for a disk that is full
_log = logging.getLogger(__name__)


class HealthPublisher:
    """One for a run of the proxy; `run` until it is cancelled, then `close`."""

    def __init__(
        self, paths: Paths, proxy: Proxy, events: EventLog, registry: Callable[[], Registry], own_ports: Sequence[int]
    ):
        self.alarmed: Listener | None = None  # a listener of our own that others can reach
        self.on_alarm: Callable[[], None] = lambda: None
        self._paths = paths
        self._proxy = proxy
        self._events = events
        self._registry = registry
        self._history = history.History(paths)
        self._unwritten: list[history.HistoryEntry] = []
        self._wanted = asyncio.Event()
        self._trouble = ""
        before = read_health(paths)
        self._board = Board(before.owners if before else None)
        self._runs = RunsReader(paths)
        self._is_history_known = False
        self.forwarded: Callable[[], Collection[ListenAddress]] = tuple  # where TCP services are listened for
        hooks = MonitorHooks(
            registry,
            self.answered,
            lambda: {*own_ports, *(one.port for one in self.forwarded() if not one.own)},
            self._tell,
            self._alarm,
            proxy.make_room,
            proxy.is_asked,
            self._read_runs,
            lambda: {one.port for one in self.forwarded()},
        )
        self._monitor = Monitor(self._board, hooks)
        self._waits = WaitWatch()
        self._pauses = PauseWatch(self._monitor.processes, self.tell, proxy.loop.time)
        proxy.is_paused, proxy.on_waits = self._pauses.is_paused, self._see_waits
        proxy.on_pitfall = self._see_answers
        self._unsubscribe = events.subscribe(self._keep)
        self.starts: Callable[[], Mapping[str, Dormant]] = dict  # gates of services that are being started, or ended

    def conditions(self) -> Mapping[str, Condition]:
        """By service id, as of now."""
        return self._board.conditions

    async def look(self) -> None:
        """Have what `conditions` says be no older than this call: what a command has just said is seen."""
        await self._monitor.tick()

    def is_known_up(self, identity: str) -> bool:
        """Whether a service was up when it was last looked at, or is being started."""
        condition = self._board.conditions.get(identity)
        return condition is not None and condition.state in ("up", "starting")

    def waiting(self) -> Mapping[str, WaitingRequests]:
        """By service id, requests that have waited long, as of now."""
        return self._waits.rows(self._proxy.loop.time(), time.time(), self._pauses.reason)

    def past(self, service: str | None) -> list[dict[str, Any]]:
        """What happened to a service, or to all, as JSON; oldest first. Blocks (disk)."""
        return [history.row(entry) for entry in history.read(self._paths, service)]

    def registry_changed(self) -> None:
        """Look at once; what the policy makes of what is known holds from now on."""
        self.publish()
        self._board.follow(self._registry().services)
        for identity in self._proxy.pitfalls:
            self._see_answers(identity)
        self._monitor.wake()

    def _see_answers(self, identity: str) -> None:
        """The proxy has seen something in the answers of a service that it should know."""
        record = self._board.records.get(identity)
        if record is not None:
            self._board.record_answers(identity, find_in_answers(record.service, self._proxy.pitfalls[identity]))
            self._monitor.wake()

    def saw(self, service: Service, check: Check) -> None:
        """Somebody else has made a check: it counts as if we had."""
        self._board.follow(self._registry().services)
        record = self._board.records.get(service.id)
        if record is not None and record.service.upstream == service.upstream:
            self._board.record_check(record, check, time.time())
        self._monitor.wake()

    def mark_dormant(self, identity: str) -> None:
        """A service was ended in order, and starts at its next request."""
        self._board.mark_dormant(identity, time.time())
        self._monitor.wake()

    def publish(self) -> None:
        """Hand the proxy what stands at the gates of services, as of now."""
        gates = health_gates(self._registry(), self._board.conditions)
        starts = {identity: Gate(dormant=dormant) for identity, dormant in self.starts().items()}
        self._proxy.set_gates({**gates, **starts})

    async def run(self) -> None:
        """Watch, and write down what is seen."""
        watching = asyncio.create_task(self._monitor.run())
        try:
            while True:
                await self._wanted.wait()
                await asyncio.sleep(SETTLE)
                await self._write()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def close(self) -> None:
        """Write down what is not written yet."""
        await self._pauses.close()
        self._unsubscribe()
        if self._unwritten:
            await self._write()

    # What the monitor asks and tells

    def _read_runs(self) -> Mapping[str, RunRecord] | None:
        """In a thread. What an earlier life of the proxy has written down is not told once more."""
        if not self._is_history_known:
            self._is_history_known = True
            self._board.tell_no_more(entry.event for entry in history.read_written(self._paths))
        return self._runs.read()

    def answered(self, upstream: Upstream) -> float:
        """When an upstream last answered a request, on the loop's clock."""
        return self._proxy.pool.last_answer(upstream)

    def _tell(self, events: Sequence[AnyEvent]) -> None:
        self.publish()
        for event in events:
            self.tell(event)
        self._wanted.set()

    def tell(self, event: AnyEvent) -> None:
        """Something has happened: to the log, and to whoever listens."""
        self._events.add(event)
        _log.log(logging.WARNING if event.tone in ("warning", "bad") else logging.INFO, "%s", _line(event))

    def _see_waits(self, waits: Mapping[str, ServiceWait]) -> None:
        if _counts(waits) != _counts(self._waits.waits):
            self._wanted.set()
        for event in self._waits.events(waits, self._proxy.clock):
            self.tell(event)
            if isinstance(event, Unanswered):
                self._pauses.is_paused(event.service, self._proxy.clock)  # which says why, if that is why

    def _alarm(self, listener: Listener) -> None:
        self.alarmed = listener
        self.on_alarm()

    # Files

    def _keep(self, entry: Entry) -> None:
        if history.is_kept(entry.event):
            self._unwritten.append(history.HistoryEntry(entry.time, entry.event))
            self._wanted.set()

    async def _write(self) -> None:
        self._wanted.clear()
        entries, self._unwritten = self._unwritten, []
        board = self._board
        health = HealthReport(
            pid=os.getpid(),
            time=time.time(),
            services=board.conditions,
            owners=board.owners,
            upstreams=board.upstreams,
            waiting=dict(self.waiting()),
        )
        try:
            await asyncio.to_thread(self._save, health, entries)
            self._trouble = ""
        except (DevproxyError, OSError) as error:
            self._unwritten = [*entries, *self._unwritten][-MOST_UNWRITTEN:]
            if str(error) != self._trouble:  # once, while it lasts
                self._trouble = str(error)
                _log.error("what is known of services could not be written down: %s", error)

    def _save(self, health: HealthReport, entries: Sequence[history.HistoryEntry]) -> None:
        files.write_json(self._paths.health, health)
        self._history.append(entries)


def _counts(waits: Mapping[str, ServiceWait]) -> dict[str, tuple[int, float]]:
    return {identity: (wait.requests, wait.since) for identity, wait in waits.items()}


def _line(event: AnyEvent) -> str:
    """An event with its fix, if it has one."""
    fix = event.fix if isinstance(event, Exposed | Found) else ""
    return f"{event.text()} (fix: {fix})" if fix else event.text()
