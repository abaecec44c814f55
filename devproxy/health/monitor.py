"""The loop that keeps the health board true while the proxy runs.

One question to the socket table a second serves all services; everything else happens only where the table, a due check
or the registry gives a reason.
Not here: what it means (`findings.py`, `schedule.py`), what is remembered (`board.py`), who hears of it
(`daemon/health_publisher.py`).

How it works, each `TICK`:

1. What became of commands is read (`runs.py`), where a file of it has changed: who has ended or come up is checked.
2. Has the table changed (`Scanner.changed`, 0.2 ms)? If so, or every `RECHECK` seconds all the same (a socket may be
   handed on, an interface may come), it is read in a thread, for registered ports only, processes only where new.
3. Ports whose listeners differ are examined; a service that merely listens is up by the table, without a connect.
4. What the table cannot tell is probed, `MOST_AT_ONCE` at a time: HTTP checks, unix sockets, ports where nothing
   listens (a NAT rule may answer). A service that has just answered a request is not; one that fails is ever less.
5. Ports whose own listeners are at other addresses than when they were last tried are tried at this machine's other
   addresses (`reachability.py`), and those where nothing listens every `PROOF_INTERVAL`: a NAT rule is no listener. A
   service that stays as it is is left alone, since it may log whoever connects and says nothing.
6. If anything is different, it is published, once.

Where the system has no such table (`psutil` reads all connections there), reading it may take a hundredth of the time.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from devproxy.events import AnyEvent
from devproxy.health import reachability
from devproxy.health.board import Board, ServiceRecord
from devproxy.health.checkouts import checkouts_by_project
from devproxy.health.exposure import judge, listening_host
from devproxy.health.findings import Checkouts, examine, find_conflicts, scans_by_port
from devproxy.health.model import NOT_TRIED, Finding, Listener, Reach, RunRecord, Scan
from devproxy.health.probe import probe
from devproxy.health.scanner import Scanner
from devproxy.health.schedule import check_by_table, next_check
from devproxy.registry.model import Project, ProxySettings, Registry, Upstream

TICK = 1.0  # seconds
RECHECK = 5.0
PROOF_INTERVAL = 60.0
PROVED_AT_ONCE = 100  # ports a tick
ROUTINE_ADDRESSES = 2  # a NAT rule that forwards one of our addresses forwards them all, as engines write them
CHANGED = 0.0  # `proof_due` of a port whose listeners are not where they were
MOST_AT_ONCE = 20
SHARE = 100  # where reading the table is dear: at most a hundredth of the time

_log = logging.getLogger(__name__)


class MonitorHooks(NamedTuple):
    """What the monitor needs of the daemon, as functions.

    `last_answer` is when an upstream last answered a request, on the loop's clock; `own_ports` those of the proxy on
    127.0.0.1 and ::1, `other_ports` those on other addresses; `publish` takes the events of a change (there may be none
    of them); `alarm` the listener of ours that is exposed. `make_room` closes what the proxy keeps open and idle to an
    upstream before that is asked; False where it cannot be asked now, since it is busy and serves one connection at a
    time. `is_asked`: a request waits for its answer, not for long yet. `runs` is what became of commands, None where
    nothing has changed since it was asked; it blocks.
    """

    registry: Callable[[], Registry]
    last_answer: Callable[[Upstream], float]
    own_ports: Callable[[], Collection[int]]
    publish: Callable[[Sequence[AnyEvent]], None]
    alarm: Callable[[Listener], None]
    make_room: Callable[[Upstream], bool] = lambda _: True
    is_asked: Callable[[Upstream], bool] = lambda _: False
    runs: Callable[[], Mapping[str, RunRecord] | None] = lambda: None
    other_ports: Callable[[], Collection[int]] = tuple


class Monitor:
    """One for a run of the proxy; `run` until it is cancelled."""

    def __init__(self, board: Board, hooks: MonitorHooks):
        self.board = board
        self._hooks = hooks
        self._scanner = Scanner()
        self._scan = Scan()
        self._by_port: dict[int, Scan] = {}
        self._conflicts: dict[str, Finding] = {}
        self._checkouts: dict[Project, Checkouts] = {}
        self._registry: Registry | None = None
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._read_at = float("-inf")
        self._pause = RECHECK  # until the table is read again whatever it seems
        self._native = True

    def wake(self) -> None:
        """Look at once: the registry, or something else, has changed."""
        self._wake.set()

    def processes(self, identity: str) -> tuple[tuple[int, ...], int]:
        """The processes that listen on a service's port, as of the last look at the table, and that port."""
        record = self.board.records.get(identity)
        if record is None or not record.port:
            return (), 0
        pids = (pid for listener in self._scan_of(record).listeners for pid in listener.process.pids)
        return tuple(dict.fromkeys(pids)), record.port

    async def run(self) -> None:
        """Never returns; nothing that goes wrong in one tick ends it."""
        told = ""
        try:
            while True:
                try:
                    await self.tick()
                except Exception as error:
                    if told != repr(error):  # once, not once a second
                        told = repr(error)
                        _log.exception("services could not be checked; trying on")
                await self._sleep()
        finally:
            self._scanner.close()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(TICK):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def tick(self) -> None:
        """One round of all that is due: what it returns to is no older than the call."""
        async with self._turn:
            await self._look()

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        runs = await asyncio.to_thread(self._hooks.runs)
        anew = self._follow()
        touched = self.board.record_runs(runs, time.time()) if runs is not None else set()
        touched |= await self._read_table(now, anew)
        if anew:
            touched = set(self.board.records)
        self._check_by_table(touched, now)
        touched |= await self._prove(now)
        touched |= await self._probe(now)
        self._examine(touched)
        if self.board.changed:
            self._hooks.publish(self.board.take_events())

    def _follow(self) -> bool:
        """Take over the registry; whether it is another one than before."""
        registry = self._hooks.registry()
        if registry is self._registry:
            return False
        self._registry = registry
        self._conflicts = find_conflicts(registry)
        self.board.follow(registry.services)
        return True

    # The table

    async def _read_table(self, now: float, anew: bool) -> set[str]:
        """Read it if there is a reason; the ids of services whose listeners are not what they were."""
        changed = self._changed()
        if not (changed or anew or now - self._read_at >= self._pause):
            return set()
        self._read_at = now
        ports = {record.port for record in self.board.records.values()} | self._audited
        began = time.monotonic()
        scan, checkouts = await asyncio.to_thread(self._scan_machine, ports)
        if not self._native:
            self._pause = max(TICK, SHARE * (time.monotonic() - began))
        if (scan, checkouts) == (self._scan, self._checkouts):
            return set()
        if checkouts != self._checkouts:
            self._checkouts, self._by_port = checkouts, {}  # every service is examined anew
        before, self._scan, self._by_port = self._by_port, scan, scans_by_port(scan)
        self._audit_own_listeners(scan)
        return {
            identity
            for identity, record in self.board.records.items()
            if record.port and before.get(record.port) != self._by_port.get(record.port)
        }

    def _scan_machine(self, ports: set[int]) -> tuple[Scan, dict[Project, Checkouts]]:
        """In a thread. A worktree may be new since the registry was read."""
        return self._scanner.scan(ports), checkouts_by_project(self._registry) if self._registry else {}

    def _changed(self) -> bool:
        try:
            return self._native and self._scanner.changed()
        except OSError:
            self._native, self._pause = False, TICK
            return False

    @property
    def _audited(self) -> set[int]:
        """The ports on which the proxy listens, at whatever address."""
        return {*self._hooks.own_ports(), *self._hooks.other_ports()}

    def _audit_own_listeners(self, scan: Scan) -> None:
        """devproxy's own listeners are judged like anybody's."""
        ports, us = self._audited, os.getpid()
        for listener in scan.listeners:
            ours = listener.port in ports and us in listener.process.pids
            if ours and judge(listener, scan.interfaces).verdict == "exposed":
                self._hooks.alarm(listener)

    def _scan_of(self, record: ServiceRecord) -> Scan:
        return self._by_port.get(record.port) or Scan(interfaces=self._scan.interfaces, gap=self._scan.gap)

    def _check_by_table(self, touched: Collection[str], now: float) -> None:
        """Whom the table shows to listen is up; who is gone from it is asked at once."""
        for identity in touched:
            record = self.board.records[identity]
            check = check_by_table(record.service, self._scan_of(record))
            if check is None:
                record.due = min(record.due, now)
            else:
                record.due = float("inf")
                self.board.record_check(record, check, time.time())
            if record.proved != self._places(record):
                record.proof_due = CHANGED

    def _places(self, record: ServiceRecord) -> frozenset[tuple[str, str | None]]:
        """Where its port is listened on, whoever does."""
        return frozenset((one.address, one.device) for one in self._scan_of(record).listeners)

    # Asking

    async def _prove(self, now: float) -> set[str]:
        """Try the ports that are due at our other addresses; the ids of services for which the outcome is new."""
        due = [record for record in self.board.records.values() if record.proof_due <= now and record.port]
        if not due:
            return set()
        registry = self._registry
        if registry is None or not reachability.allowed(registry.settings.exposure_proof):
            return self._reached(due, {})
        due = due[:PROVED_AT_ONCE]
        changed = any(record.proof_due == CHANGED for record in due)
        where = reachability.addresses(
            self._scan.interfaces, reachability.MOST_ADDRESSES if changed else ROUTINE_ADDRESSES
        )
        found = await asyncio.to_thread(reachability.prove, [record.port for record in due], where)
        return self._reached(due, found)

    def _reached(self, due: list[ServiceRecord], found: dict[int, Reach]) -> set[str]:
        now = asyncio.get_running_loop().time()
        touched = set()
        for index, record in enumerate(due):
            reach = found.get(record.port, NOT_TRIED)
            record.proved = self._places(record)
            record.proof_due = float("inf") if record.proved else now + PROOF_INTERVAL + index % 10
            if reach != record.reach:
                record.reach = reach
                touched.add(record.service.id)
        return touched

    async def _probe(self, now: float) -> set[str]:
        """Ask those that are due and have not just shown that they are there; their ids."""
        due = [record for record in self.board.records.values() if self._is_due(record, now)][:MOST_AT_ONCE]
        if due:
            await asyncio.gather(*(self._probe_one(record) for record in due))
        return {record.service.id for record in due}

    def _is_due(self, record: ServiceRecord, now: float) -> bool:
        is_well = record.failures == 0 and record.asked.state == "up"
        if is_well and record.due > now:
            return False  # most of them, most of the time
        upstream = record.service.upstream
        if upstream is None:
            return False
        answered = self._hooks.last_answer(upstream)
        if is_well:
            if now < answered + record.service.health.interval:
                record.due = answered + record.service.health.interval
        elif answered > record.failed_at:
            record.due = min(record.due, now)
        return record.due <= now

    async def _probe_one(self, record: ServiceRecord) -> None:
        settings = self._registry.settings if self._registry else ProxySettings()
        upstream = record.service.upstream
        asks = upstream is not None and record.service.health.path is not None
        if asks and upstream is not None and not self._hooks.make_room(upstream):
            record.due = asyncio.get_running_loop().time() + TICK
            return
        check = await probe(record.service, settings, record.host)
        now = asyncio.get_running_loop().time()
        if check.silent and upstream is not None and self._hooks.is_asked(upstream):
            record.due = now + TICK  # it may be busy with that one: nothing is known yet
            return
        if not check.up:
            record.failed_at = now
            upstream = record.service.upstream
            if not check.accepted and upstream and listening_host(upstream, self._scan_of(record).listeners):
                self.wake()  # it came or went meanwhile: the table is read again before anything is believed
        self.board.record_check(record, check, time.time())
        doubtful = record.asked.state in {"up", "starting"} or record.condition.state == "starting"
        complete = self._native and not self._scan.gap
        record.due = now + next_check(record.service, check, record.failures, doubtful=doubtful, complete=complete)

    # What it means

    def _examine(self, touched: Collection[str]) -> None:
        own = self._hooks.own_ports()
        for identity in touched:
            record = self.board.records.get(identity)
            if record is None:
                continue
            conflict = self._conflicts.get(identity)
            exam = examine(
                record.service,
                self._scan_of(record),
                record.reach,
                record.owner,
                own_ports=own,
                conflict=conflict,
                checkouts=self._checkouts.get(project) if (project := record.service.project) else None,
            )
            self.board.record_examination(record, exam, time.time())
