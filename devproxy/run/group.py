"""Several services at once: each when what it depends on is healthy, started again when it fails, ended in reverse.

Lives here: `ServiceGroup`, one task a service; in which order services start, and when a command is started again.
Not here: one running command (`session.py`), the process around a group, with its signals and logs
(`group_process.py`).

Healthy is what the proxy calls up: the same probe, over the same dialler (`health/probe.py`). At the end each service
waits for those that depend on it, and is then asked to end (`ending.py`; SIGKILL after its `stop_grace`).
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from msgspec import structs

from devproxy.errors import DevproxyError
from devproxy.health.probe import probe
from devproxy.paths import Paths
from devproxy.registry.leases import remove_lease
from devproxy.registry.loader import Loader
from devproxy.registry.model import ProxySettings, RestartPolicy, Service
from devproxy.run.activation import refuse_untrusted
from devproxy.run.group_state import MemberPhase, MemberState
from devproxy.run.launch import Launch, launch
from devproxy.run.logs import LineSplitter
from devproxy.run.selection import SelectedService
from devproxy.run.session import Session
from devproxy.urls import Ports

PROBE_INTERVAL = 0.1  # seconds between two probes of a service that is not healthy yet
REMIND_AFTER = 10.0  # seconds after which it is said what somebody waits for
SHOWN_LINES = 15  # of a crashed service
QUOTED = "  | "  # before each of them, as they stand in its log already

FIRST_DELAY = 0.25  # seconds before the first new start; twice as long each time
LONGEST_DELAY = 30.0
MOST_FAILURES = 5  # starts in a row that may fail before it is given up
STABLE = 10.0  # seconds after which a start counts as a success
ENDED_BY_REQUEST = frozenset({130, 143})  # by SIGINT, by SIGTERM


class Member:
    """One service of a group. `settled` once it is healthy or never will be, `over` once it is gone for good."""

    def __init__(self, service: Service):
        self.service = service
        self.state: MemberPhase = "waiting"
        self.session: Session | None = None
        self.stop = asyncio.Event()
        self.settled = asyncio.Event()
        self.over = asyncio.Event()
        self.completed = False  # it has ended well, and by itself: what prepares things for others does
        self.last_lines: deque[str] = deque(maxlen=SHOWN_LINES)

    @property
    def name(self) -> str:
        return self.service.id


class ServiceGroup:
    """The services of one `up`, in the order of their start; `outside` are those that they depend on and that are not
    started here, since they run already or have no command.

    `on_line` gets each line with its service's id, `notify` what devproxy says, `on_change` is called after each change
    of a state. `trusted_only`: nobody typed this, so a command that is not trusted at the moment is not run. Run once.
    """

    def __init__(
        self,
        paths: Paths,
        services: Sequence[Service],
        outside: Sequence[Service],
        *,
        ports: Ports,
        on_line: Callable[[str, str], None],
        notify: Callable[[str], None],
        on_change: Callable[[], None],
        settings: ProxySettings,
        trusted_only: bool = False,
    ):
        self.members = {service.id: Member(service) for service in services}
        self._outside = {service.id: service for service in outside}
        self._paths = paths
        self._ports = ports
        self._on_line = on_line
        self._notify = notify
        self._on_change = on_change
        self._settings = settings
        self._is_killed = False
        self._trusted_only = trusted_only

    async def run(self) -> bool:
        """Until every service is over; whether none has failed."""
        async with asyncio.TaskGroup() as tasks:
            for member in self.members.values():
                tasks.create_task(self._run_member(member))
                tasks.create_task(self._end_after_dependents(member))
        return all(member.state != "failed" for member in self.members.values())

    def end(self, names: Iterable[str] | None = None) -> None:
        """Begin to end those of `names`, or everything."""
        for name in self.members if names is None else names:
            if name in self.members:
                self.members[name].stop.set()

    def kill(self) -> None:
        """Kill what is left."""
        self.end()
        self._is_killed = True
        for member in self.members.values():
            if member.session is not None:
                member.session.end(0.0)

    @property
    def states(self) -> dict[str, MemberState]:
        """What is known of each service, for other commands."""
        return {name: MemberState(member.state, member.service.command_line) for name, member in self.members.items()}

    # One service

    async def _run_member(self, member: Member) -> None:
        try:
            if await self._wait_for_dependencies(member):
                await self._keep_running(member)
        finally:
            member.settled.set()
            member.over.set()
            member.stop.set()

    async def _wait_for_dependencies(self, member: Member) -> bool:
        for name in member.service.depends_on:
            if name in self.members:
                await _first_of(self.members[name].settled, member.stop)
                other = self.members[name]
                healthy = other.settled.is_set() and (other.state in {"up", "starting"} or other.completed)
            elif name in self._outside:
                current = partial(self._read_outside, name, Loader(self._paths))
                healthy = await self._until_healthy(member, current)
            else:
                continue
            if not healthy:
                self._set_state(member, "ended" if member.stop.is_set() else "failed")
                if not member.stop.is_set():
                    self._notify(f"`{member.name}` is not started: it depends on `{name}`, which does not run")
                return False
        return not member.stop.is_set()

    def _read_outside(self, name: str, loader: Loader) -> Service:
        """A service that is not ours, as the registry has it now: its port is that of its lease."""
        services = loader.load().services  # before each probe, which costs nothing where nothing has changed
        return next((service for service in services if service.id == name), self._outside[name])

    async def _keep_running(self, member: Member) -> None:
        """Start it, and again as its restart policy says."""
        failures = 0
        while not member.stop.is_set():
            began = time.monotonic()
            code = await self._run_once(member)
            if member.stop.is_set() or code is None:
                self._set_state(member, "failed" if code is None else "ended")
                return
            failures = count_failures(failures, time.monotonic() - began)
            delay = restart_delay(member.service.restart, code, failures)
            self._report_exit(member, code, delay, failures)
            if delay is None:
                member.completed = code == 0
                self._set_state(member, "failed" if code else "ended")
                return
            self._set_state(member, "starting")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(member.stop.wait(), delay)
        self._set_state(member, "ended")

    async def _run_once(self, member: Member) -> int | None:
        """One run of the command: its exit code, None where it cannot be started."""
        self._set_state(member, "starting")
        member.last_lines.clear()
        lines = LineSplitter(lambda text: self._take_line(member, text))
        watching: asyncio.Task[None] | None = None
        try:
            ready = await asyncio.to_thread(self._launch, member.service)
            for note in ready.prepared.notes:
                self._notify(f"`{member.name}`: {note}")
            member.session = Session(
                self._paths,
                ready.prepared,
                ready.lease,
                notify=self._notify,
                output=lines.feed,
                service=ready.service,
                settings=ready.settings,
            )
            watching = asyncio.create_task(self._watch_health(member, ready))
            return await member.session.run()
        except DevproxyError as error:
            self._notify(str(error) if f"`{member.name}`" in error.what else f"`{member.name}`: {error}")
            return None
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            member.session = None
            lines.end()

    def _launch(self, service: Service) -> Launch:
        selected = SelectedService(name=service.name, project=service.project, service=service, origin="up")
        folder = Path(service.source.file).parent
        ready = launch(self._paths, selected, folder=folder, ports=self._ports)
        if self._trusted_only and not ready.service.trusted:  # this very reading of it is what would be run
            remove_lease(self._paths, ready.lease)
            refuse_untrusted([ready.service])
        return ready

    def _take_line(self, member: Member, text: str) -> None:
        member.last_lines.append(text)
        self._on_line(member.name, text)

    async def _watch_health(self, member: Member, ready: Launch) -> None:
        """Set its state to up when it is healthy for the first time."""

        def service() -> Service:
            upstream = ready.service.upstream
            port = member.session.port if member.session else ready.lease.port
            if port is None:
                return structs.replace(ready.service, upstream=None)
            if upstream is None or upstream.path:
                return ready.service
            return structs.replace(ready.service, upstream=structs.replace(upstream, port=port))

        if await self._until_healthy(member, service):
            self._set_state(member, "up")
            member.settled.set()

    async def _until_healthy(self, member: Member, service: Callable[[], Service]) -> bool:
        """True once `service()` is healthy; False where `member` is to stop first."""
        reminded = time.monotonic()
        while not member.stop.is_set():
            current = await asyncio.to_thread(service)
            check = await probe(current, self._settings)
            if check.up:
                return True
            if time.monotonic() - reminded > REMIND_AFTER:
                reminded = time.monotonic()
                self._notify(f"`{member.name}` waits for `{current.id}` to be healthy: {check.why}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(member.stop.wait(), PROBE_INTERVAL)
        return False

    def _report_exit(self, member: Member, code: int, delay: float | None, failures: int) -> None:
        again = f"; it starts again in {delay:g} s" if delay is not None else ""
        if code == 0:
            self._notify(f"`{member.name}` has ended{again}")
            return
        what = f"`{member.name}` ended with exit code {code}"
        if delay is not None:
            self._notify(what + again)
            return
        given_up = f"; given up after {failures} starts in a row" if failures > 1 else ""
        self._notify("\n".join([f"{what}{given_up}", *(QUOTED + line for line in member.last_lines)]))

    def _set_state(self, member: Member, state: MemberPhase) -> None:
        if member.state != state:
            member.state = state
            self._on_change()

    # The end

    async def _end_after_dependents(self, member: Member) -> None:
        """When it is to stop: first those that depend on it and are to stop as well, then itself."""
        await member.stop.wait()
        for other in self.members.values():
            if member.name in other.service.depends_on and other.stop.is_set():
                await other.over.wait()
        if (session := await _started_session(member)) is not None:
            session.end(0.0 if self._is_killed else member.service.stop_grace)
        await member.over.wait()


async def _started_session(member: Member) -> Session | None:
    """Its session once that can be told anything; None where it is over before that."""
    while not member.over.is_set():
        session = member.session
        if session is not None and session.lease.group:
            return session
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(member.over.wait(), 0.02)
    return None


async def _first_of(one: asyncio.Event, other: asyncio.Event) -> None:
    """Until one of the two is set."""
    tasks = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def in_order(services: Sequence[Service], wanted: Iterable[str]) -> list[Service]:
    """The services whose id is in `wanted` and all that they depend on, each after its dependencies. Pure."""
    known = {service.id: service for service in services}
    found: dict[str, Service] = {}

    def add(identity: str, above: tuple[str, ...]) -> None:
        service = known.get(identity)
        if service is None or identity in found or identity in above:
            return
        for other in service.depends_on:
            add(other, (*above, identity))
        found[identity] = service

    for identity in wanted:
        add(identity, ())
    return list(found.values())


def count_failures(failures: int, ran: float) -> int:
    """How many starts in a row have failed, after one more that lasted `ran` seconds. Pure."""
    return 1 if ran >= STABLE else failures + 1


def restart_delay(policy: RestartPolicy, code: int, failures: int) -> float | None:
    """Seconds until the next start after exit code `code`; None where it stays down. Pure."""
    if policy == "never" or code in ENDED_BY_REQUEST or (policy == "on-failure" and code == 0):
        return None
    return None if failures >= MOST_FAILURES else min(LONGEST_DELAY, float(FIRST_DELAY * 2 ** (failures - 1)))
