"""Several services at once: each when what it depends on is healthy, started again when it fails, ended in reverse.

Lives here: `ServiceGroup`, one task a service.
Not here: one running command (`session.py`), the order (`group.py`), when to start again (`group.py`), what is shown
and where it is logged (`cli/up.py`, `logs.py`).

Healthy is what the proxy calls up: the same probe, over the same dialler (`health/probe.py`). At the end each service
waits for those that depend on it, and is then asked to end (SIGTERM, after the grace SIGKILL).
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from msgspec import structs

from devproxy.errors import DevproxyError
from devproxy.health.probe import probe
from devproxy.paths import Paths
from devproxy.registry.leases import remove_lease
from devproxy.registry.loader import Loader
from devproxy.registry.model import ProxySettings, Service
from devproxy.run.activation import refuse_untrusted
from devproxy.run.group_state import MemberPhase, MemberState
from devproxy.run.launch import Launch, launch
from devproxy.run.logs import Lines
from devproxy.run.selection import Named
from devproxy.run.session import Session

# Whether a command that ended is started again, and when. Pure.


FIRST = 0.25  # seconds before the first new start; twice as long each time
LONGEST = 30.0
MOST = 5  # starts in a row that may fail before it is given up
STABLE = 10.0  # seconds after which a start counts as a success
ASKED = frozenset({130, 143})  # ended by SIGINT, by SIGTERM

Policy = Literal["never", "on-failure", "always"]


def failures_now(failures: int, ran: float) -> int:
    """How many starts in a row have failed, after one more that lasted `ran` seconds."""
    return 1 if ran >= STABLE else failures + 1


def wait_before(policy: Policy, code: int, failures: int) -> float | None:
    """Seconds until the next start after exit code `code`; None where it stays down."""
    if policy == "never" or code in ASKED or (policy == "on-failure" and code == 0) or failures >= MOST:
        return None
    return min(LONGEST, float(FIRST * 2 ** (failures - 1)))


LOOK = 0.1  # seconds between two probes of a service that is not healthy yet
REMIND = 10.0  # seconds after which it is said what somebody waits for
TAIL = 15  # lines of a crashed service that are shown
QUOTED = "  | "  # before each of them, as they stand in its log already

Tell = Callable[[str, str], None]


class Member:
    """One service of a group. `settled` once it is healthy or never will be, `over` once it is gone for good."""

    def __init__(self, service: Service):
        self.service = service
        self.state: MemberPhase = "waiting"
        self.session: Session | None = None
        self.stop = asyncio.Event()
        self.settled = asyncio.Event()
        self.over = asyncio.Event()
        self.is_done = False  # it has ended well, and by itself: what prepares things for others does
        self.tail: deque[str] = deque(maxlen=TAIL)

    @property
    def name(self) -> str:
        return self.service.id


class ServiceGroup:
    """The services of one `up`, in the order of their start; `besides` run already, or have no command.

    `tell` gets each line with its service's id, `say` what devproxy says, `changed` is called after each change of
    state. `trusted_only`: nobody typed this, so a command that is not trusted at the moment is not run. Run `run` once.
    """

    def __init__(
        self,
        paths: Paths,
        services: Sequence[Service],
        besides: Sequence[Service],
        *,
        http_port: int | None,
        tell: Tell,
        say: Callable[[str], None],
        changed: Callable[[], None],
        settings: ProxySettings,
        trusted_only: bool = False,
    ):
        self.members = {service.id: Member(service) for service in services}
        self._besides = {service.id: service for service in besides}
        self._paths = paths
        self._http_port = http_port
        self._tell = tell
        self._say = say
        self._changed = changed
        self._settings = settings
        self._grace = settings.grace
        self._trusted_only = trusted_only

    async def run(self) -> bool:
        """Until every service is over; whether none has failed."""
        async with asyncio.TaskGroup() as tasks:
            for member in self.members.values():
                tasks.create_task(self._live(member))
                tasks.create_task(self._end_in_turn(member))
        return all(member.state != "failed" for member in self.members.values())

    def end(self, names: Sequence[str] = ()) -> None:
        """Begin to end `names`, or everything."""
        for name in names or self.members:
            if name in self.members:
                self.members[name].stop.set()

    def kill(self) -> None:
        """Kill what is left."""
        self.end()
        self._grace = 0.0
        for member in self.members.values():
            if member.session is not None:
                member.session.end(0.0)

    @property
    def parts(self) -> dict[str, MemberState]:
        """What is known of each service, for other commands."""
        return {name: MemberState(member.state, member.service.command_line) for name, member in self.members.items()}

    # One service

    async def _live(self, member: Member) -> None:
        try:
            if await self._needs_are_healthy(member):
                await self._keep_running(member)
        finally:
            member.settled.set()
            member.over.set()
            member.stop.set()

    async def _needs_are_healthy(self, member: Member) -> bool:
        for name in member.service.depends_on:
            if name in self.members:
                await _either(self.members[name].settled, member.stop)
                other = self.members[name]
                healthy = other.settled.is_set() and (other.state in {"up", "starting"} or other.is_done)
            elif name in self._besides:
                healthy = await self._until_healthy(member, partial(self._outside, name, Loader(self._paths)))
            else:
                continue
            if not healthy:
                self._become(member, "ended" if member.stop.is_set() else "failed")
                if not member.stop.is_set():
                    self._say(f"`{member.name}` is not started: it depends on `{name}`, which does not run")
                return False
        return not member.stop.is_set()

    def _outside(self, name: str, loader: Loader) -> Service:
        """A service that is not ours, as the registry has it now: its port is that of its lease."""
        services = loader.load().services  # at each look, which costs nothing where nothing has changed
        return next((service for service in services if service.id == name), self._besides[name])

    async def _keep_running(self, member: Member) -> None:
        """Start it, and again as its restart policy says."""
        failures = 0
        while not member.stop.is_set():
            began = time.monotonic()
            code = await self._once(member)
            if member.stop.is_set() or code is None:
                self._become(member, "failed" if code is None else "ended")
                return
            failures = failures_now(failures, time.monotonic() - began)
            wait = wait_before(member.service.restart, code, failures)
            self._tell_end(member, code, wait, failures)
            if wait is None:
                member.is_done = code == 0
                self._become(member, "failed" if code else "ended")
                return
            self._become(member, "starting")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(member.stop.wait(), wait)
        self._become(member, "ended")

    async def _once(self, member: Member) -> int | None:
        """One run of the command: its exit code, None where it cannot be started."""
        self._become(member, "starting")
        member.tail.clear()
        lines = Lines(lambda text: self._line(member, text))
        watching: asyncio.Task[None] | None = None
        try:
            ready = await asyncio.to_thread(self._launch, member.service)
            for note in ready.prepared.notes:
                self._say(f"`{member.name}`: {note}")
            member.session = Session(self._paths, ready.prepared, ready.lease, say=self._say, output=lines.feed)
            watching = asyncio.create_task(self._watch_health(member, ready))
            return await member.session.run()
        except DevproxyError as error:
            self._say(str(error) if f"`{member.name}`" in error.what else f"`{member.name}`: {error}")
            return None
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            member.session = None
            lines.end()

    def _launch(self, service: Service) -> Launch:
        named = Named(name=service.name, project=service.project, service=service, origin="up")
        folder = Path(service.source.file).parent
        ready = launch(self._paths, named, folder=folder, http_port=self._http_port)
        if self._trusted_only and not ready.service.trusted:  # this very reading of it is what would be run
            remove_lease(self._paths, ready.lease)
            refuse_untrusted([ready.service])
        return ready

    def _line(self, member: Member, text: str) -> None:
        member.tail.append(text)
        self._tell(member.name, text)

    async def _watch_health(self, member: Member, ready: Launch) -> None:
        """Say when it is healthy for the first time."""

        def service() -> Service:
            upstream = ready.service.upstream
            port = member.session.lease.port if member.session else ready.lease.port
            if upstream is None or upstream.path:
                return ready.service
            return structs.replace(ready.service, upstream=structs.replace(upstream, port=port))

        if await self._until_healthy(member, service):
            self._become(member, "up")
            member.settled.set()

    async def _until_healthy(self, member: Member, service: Callable[[], Service]) -> bool:
        """True once `service()` is healthy; False where `member` is to stop first."""
        told = time.monotonic()
        while not member.stop.is_set():
            current = await asyncio.to_thread(service)
            check = await probe(current, self._settings)
            if check.up:
                return True
            if time.monotonic() - told > REMIND:
                told = time.monotonic()
                self._say(f"`{member.name}` waits for `{current.id}` to be healthy: {check.why}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(member.stop.wait(), LOOK)
        return False

    def _tell_end(self, member: Member, code: int, wait: float | None, failures: int) -> None:
        if code == 0:
            self._say(f"`{member.name}` has ended" + (f"; it starts again in {wait:g} s" if wait is not None else ""))
            return
        what = f"`{member.name}` ended with exit code {code}"
        if wait is not None:
            self._say(f"{what}; it starts again in {wait:g} s")
            return
        given_up = f"; given up after {failures} starts in a row" if failures > 1 else ""
        self._say("\n".join([f"{what}{given_up}", *(QUOTED + line for line in member.tail)]))

    def _become(self, member: Member, state: MemberPhase) -> None:
        if member.state != state:
            member.state = state
            self._changed()

    # The end

    async def _end_in_turn(self, member: Member) -> None:
        """When it is to stop: first those that depend on it and are to stop as well, then itself."""
        await member.stop.wait()
        for other in self.members.values():
            if member.name in other.service.depends_on and other.stop.is_set():
                await other.over.wait()
        if (session := await _started(member)) is not None:
            session.end(self._grace)
        await member.over.wait()


async def _started(member: Member) -> Session | None:
    """Its session once that can be told anything; None where it is over before that."""
    while not member.over.is_set():
        session = member.session
        if session is not None and session.lease.group:
            return session
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(member.over.wait(), 0.02)
    return None


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    """Until one of the two is set."""
    tasks = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


# Which services are started, and in which order: those that were asked for, and what they depend on. Pure.


def in_order(services: Sequence[Service], wanted: Iterable[str]) -> list[Service]:
    """The services whose id is in `wanted` and all that they depend on, each after its dependencies."""
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
