"""Several services at once: each when what it depends on is healthy, started again when it fails, ended in reverse.

Lives here: `ServiceGroup`, one task a service; in which order services start, and when a command is started again.
Not here: one running command (`session.py`), the process around a group, with its signals and logs
(`group_process.py`).

A server is healthy when the proxy calls it up: the same probe, over the same dialler (`health/probe.py`); a worker when
it has run for a moment; a task when it has ended with exit code 0. Whoever waits says for what, ever more rarely, and
what was printed last. A server or worker that ends by itself is news, also with exit code 0. At the end each service
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
from devproxy.events import exit_in_words, given_up_in_words
from devproxy.health.model import CommandRun
from devproxy.health.probe import probe
from devproxy.health.runs import read_run
from devproxy.paths import Paths
from devproxy.registry.leases import remove_lease
from devproxy.registry.loader import Loader
from devproxy.registry.model import ProxySettings, RestartPolicy, Service
from devproxy.run.activation import refuse_untrusted
from devproxy.run.attachment import Attachment, AttachRequest, recent
from devproxy.run.group_state import ASKED_TO_END, OVER, MemberPhase, MemberState, state_elsewhere
from devproxy.run.launch import Launch, launch
from devproxy.run.logs import LineSplitter
from devproxy.run.selection import SelectedService
from devproxy.run.session import Session
from devproxy.run.waiting import (
    REMIND_AFTER,
    end_text,
    final_state,
    not_up_text,
    printed_text,
    unmet_text,
    waiting_text,
)
from devproxy.urls import Ports

PROBE_INTERVAL = 0.1  # seconds between two probes of a service that is not healthy yet
UNFINISHED_AFTER = 0.5  # seconds without output after which a line without an end is shown: a prompt
STEADY = 1.0  # seconds that a worker has to run to be called up
SHOWN_LINES = 15  # of a crashed service
QUOTED = "  | "  # before each of them, as they stand in its log already

FIRST_DELAY = 0.25  # seconds before the first new start; twice as long each time
LONGEST_DELAY = 30.0
MOST_FAILURES = 5  # starts in a row that may fail before it is given up
STABLE = 10.0  # seconds after which a start counts as a success
RESTART = "devproxy restart"
ENDED_BY_REQUEST = frozenset({130, 143})  # by SIGINT, by SIGTERM


class Member:
    """One service of a group. `settled` once it is healthy or never will be, `over` once it is gone for good."""

    def __init__(self, service: Service):
        self.service = service
        self.state: MemberPhase = "waiting"
        self.why = ""  # what it waits for, or why it is over
        self.code: int | None = None
        self.starts = self.ends = 0
        self.restarts = -1  # starts since somebody asked for one, without that one
        self.by = ""  # what was typed for that one, where it was not the first
        self.failures = 0  # starts in a row that have failed, since somebody asked for one
        self.session: Session | None = None
        self.stop = asyncio.Event()
        self.ends_alone = False  # while others run on
        self.end_why = ""  # why it is to stop, if that is more than that it was asked to
        self.may_end = False  # it is to stop, and so have those that depend on it
        self.settled = asyncio.Event()
        self.over = asyncio.Event()
        self.restart = asyncio.Event()  # it was asked to start anew
        self.completed = False  # it has ended well, and by itself: what prepares things for others does
        self.last_lines: deque[str] = deque(maxlen=SHOWN_LINES)
        self.noted: set[str] = set()

        self.attachments: list[Attachment] = []
        self.shown = b""  # the end of what its command has written
        self.terminal_size = (0, 0)

    @property
    def name(self) -> str:
        return self.service.id

    def show(self, data: bytes) -> None:
        """Its command has written something."""
        self.shown = recent(self.shown, data)
        for attachment in list(self.attachments):
            attachment.show(data)

    def type(self, data: bytes) -> None:
        """Somebody has typed something for its command; while none runs it is lost."""
        if self.session is not None:
            self.session.write(data)

    def set_terminal_size(self, rows: int, columns: int) -> None:
        """Of whoever looks at it; of the next command as well."""
        self.terminal_size = (rows, columns)
        if self.session is not None:
            self.session.set_terminal_size(rows, columns)

    def detach(self, attachment: Attachment) -> None:
        """It has gone."""
        self.attachments.remove(attachment)
        if not self.attachments:
            self.set_terminal_size(0, 0)


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
        self._tasks: asyncio.TaskGroup | None = None
        self._trusted_only = trusted_only

    async def run(self) -> bool:
        """Until every service is over; whether none has failed, or ended by itself that is no task."""
        async with asyncio.TaskGroup() as self._tasks:
            for member in list(self.members.values()):
                self._begin(self._tasks, member)
        self._tasks = None
        members = self.members.values()
        return all(one.state != "failed" and (one.state == "done" or not one.completed) for one in members)

    def _begin(self, tasks: asyncio.TaskGroup, member: Member) -> None:
        tasks.create_task(self._run_member(member))
        tasks.create_task(self._end_after_dependents(member))

    def end(self, names: Iterable[str] | None = None, why: str = "") -> None:
        """Begin to end those of `names`, or everything; `why` if that is not that somebody has asked for it."""
        for name in self.members if names is None else names:
            if name in self.members:
                self.members[name].end_why = why
                self.members[name].ends_alone = names is not None
                self.members[name].stop.set()

    def start(self, names: Iterable[str], by: str = "devproxy start") -> None:
        """Start those of `names` that are over, as somebody asks who typed `by`; in the place of each comes a new
        member."""
        for old in [self.members[name] for name in names if name in self.members]:
            if old.over.is_set() and self._tasks is not None and not self._is_killed:
                member = self.members[old.name] = Member(old.service)
                member.starts, member.ends, member.by = old.starts, old.ends, by
                self._begin(self._tasks, member)

    def restart(self, names: Iterable[str]) -> None:
        """End the commands of `names` and start them anew, whatever became of them before."""
        for member in [self.members[name] for name in names if name in self.members]:
            if member.over.is_set():
                self.start([member.name], RESTART)
            elif not member.stop.is_set():
                member.restart.set()
                self._ask_to_end(member)

    def _ask_to_end(self, member: Member) -> None:
        """Its command, if one runs: what it still has to do may take long."""
        if member.session is not None:
            self._set_state(member, "ending", ASKED_TO_END)
            member.session.end(self._stop_grace(member))

    def attach(self, name: str, request: AttachRequest) -> None:
        """Show a service's terminal to a process, and take what it types; or one that does so has another size now.

        Raises OSError.
        """
        member = self.members.get(name)
        if member is None or member.over.is_set():
            return
        attachment = next((one for one in member.attachments if one.pid == request.pid), None)
        if attachment is None:
            attachment = Attachment(self._paths, request.pid, typed=member.type, gone=member.detach)
            member.attachments.append(attachment)
            attachment.begin(member.shown)
        member.set_terminal_size(request.rows, request.columns)

    def _stop_grace(self, member: Member) -> float:
        return 0.0 if self._is_killed else member.service.stop_grace

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
        return {
            name: MemberState(
                one.state,
                one.service.command_line,
                one.why,
                one.code,
                one.starts,
                one.ends,
                one.failures,
                max(0, one.restarts),
                one.by,
            )
            for name, one in self.members.items()
        }

    # One service

    async def _run_member(self, member: Member) -> None:
        reminding = asyncio.create_task(self._remind(member))
        try:
            if await self._wait_for_dependencies(member):
                await self._keep_running(member)
            elif member.state not in OVER:  # it was asked to end before it ran
                self._set_state(member, "ended", member.end_why)
        finally:
            reminding.cancel()
            member.settled.set()
            member.over.set()
            member.stop.set()
            for attachment in member.attachments:
                attachment.close()

    async def _remind(self, member: Member) -> None:
        """Say what it waits for until it is settled, and what it last printed."""
        pause = REMIND_AFTER
        while not await _is_set_within(member.settled, pause):
            waits = waiting_text(member.service, member.state, member.why)
            self._notify(f"`{member.name}` {waits}{printed_text(member.last_lines)}")
            pause *= 2

    async def _wait_for_dependencies(self, member: Member) -> bool:
        for name in member.service.depends_on:
            if name in self.members:
                self._set_state(member, "waiting", f"waits for `{name}`")
                other = self.members[name]
                await _first_of(other.settled, member.stop)
                healthy = other.settled.is_set() and (other.state in {"up", "starting"} or other.completed)
                why = unmet_text(name, other.state, other.why, other.code, other.last_lines)
            elif name in self._outside:
                current = partial(self._read_outside, name, Loader(self._paths))
                healthy = await self._until_healthy(
                    member, current, partial("waits for `{}`".format, name), self._is_over_elsewhere
                )
                record = None if healthy else await asyncio.to_thread(read_run, self._paths, name)
                run = CommandRun(phase="ended", since=0) if record is None else record.run
                why = unmet_text(name, run.phase, run.why, run.code, run.lines)
            else:
                continue
            if member.stop.is_set():
                return False
            if not healthy:
                self._set_state(member, "failed", why)
                self._notify(f"`{member.name}` is not started: {why}")
                return False
        return not member.stop.is_set()

    def _read_outside(self, name: str, loader: Loader) -> Service:
        """A service that is not ours, as the registry has it now: its port is that of its lease."""
        services = loader.load().services  # before each probe, which costs nothing where nothing has changed
        return next((service for service in services if service.id == name), self._outside[name])

    async def _keep_running(self, member: Member) -> None:
        """Start it, and again as its restart policy says, or as somebody asks."""
        while not member.stop.is_set():
            began = time.monotonic()
            served, code = await self._run_once(member)
            member.code = code
            member.ends += 1
            if member.stop.is_set():
                self._set_state(member, "ended", member.end_why)
                if member.ends_alone and not member.end_why:
                    self._notify(f"`{member.name}` has ended, as it was asked to")
                return
            if member.restart.is_set():
                self._notify(f"`{member.name}` has ended, as it was asked to, and starts again")
                member.failures = 0
                continue
            if code is None:
                self._set_state(member, "failed", member.why)
                return
            member.failures = count_failures(member.failures, time.monotonic() - began)
            delay = restart_delay(member.service.restart, code, member.failures)
            self._report_exit(member, code, delay, served=served)
            if delay is None:
                self._set_state(member, *final_state(member.service, code, served=served))
                member.completed = member.state in {"done", "ended"}
                return
            self._set_state(member, "starting", f"ended with {exit_in_words(code)}, and starts again")
            await _first_of_within(delay, member.stop, member.restart)
        self._set_state(member, "ended", member.end_why)

    async def _run_once(self, member: Member) -> tuple[bool, int | None]:
        """One run of the command: whether it was healthy, and its exit code, None where it cannot be started."""
        member.starts += 1
        member.restarts += 1
        if member.restart.is_set():
            member.restart.clear()  # what was asked for before this run is done with
            member.restarts, member.by = 0, RESTART
        is_task = member.service.kind == "task"
        self._set_state(member, "running" if is_task else "starting", "runs" if is_task else "starts")
        member.last_lines.clear()
        lines = LineSplitter(lambda text: self._take_line(member, text))
        watching: asyncio.Task[None] | None = None
        try:
            ready = await asyncio.to_thread(self._launch, member.service)
            for note in ready.prepared.notes:
                if note not in member.noted:  # once, however often it is started again
                    member.noted.add(note)
                    self._notify(f"`{member.name}`: {note}")
            member.session = Session(
                self._paths,
                ready.prepared,
                ready.lease,
                notify=self._notify,
                output=partial(self._feed, member, lines),
                terminal_size=member.terminal_size,
                service=ready.service,
                settings=ready.settings,
            )
            if member.may_end or member.restart.is_set():  # asked for while it was prepared
                self._ask_to_end(member)
            watching = asyncio.create_task(self._watch_health(member, ready))
            code = await member.session.run()
            return member.state == "up", code
        except DevproxyError as error:
            self._notify(str(error) if f"`{member.name}`" in error.what else f"`{member.name}`: {error}")
            member.why = error.what
            return False, None
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
        self.members[service.id].service = ready.service  # as its file has it now
        if self._trusted_only and not ready.service.trusted:  # this very reading of it is what would be run
            remove_lease(self._paths, ready.lease)
            refuse_untrusted([ready.service])
        return ready

    def _feed(self, member: Member, lines: LineSplitter, data: bytes) -> None:
        """Output: whole lines at once, one without an end if nothing comes after it for a moment."""
        member.show(data)
        lines.feed(data)
        if lines.is_unfinished:
            asyncio.get_running_loop().call_later(UNFINISHED_AFTER, self._give_unfinished, lines, lines.fed)

    def _give_unfinished(self, lines: LineSplitter, fed: int) -> None:
        if lines.fed == fed:
            lines.give_unfinished()

    def _take_line(self, member: Member, text: str) -> None:
        member.last_lines.append(text)
        self._on_line(member.name, text)

    async def _watch_health(self, member: Member, ready: Launch) -> None:
        """Set its state to up when it is healthy for the first time."""
        if ready.service.kind == "task":
            return
        session, began = member.session, time.monotonic()
        assert session is not None
        if ready.service.kind == "worker":
            await session.ready.wait()
            healthy = not await _is_set_within(member.stop, STEADY)
        else:

            def service() -> Service:
                upstream = ready.service.upstream
                if session.port is None:
                    return structs.replace(ready.service, upstream=None)
                if upstream is None or upstream.path:
                    return ready.service
                return structs.replace(ready.service, upstream=structs.replace(upstream, port=session.port))

            healthy = await self._until_healthy(
                member, service, lambda: not_up_text(member.failures, member.code, time.monotonic() - began)
            )
        if healthy and member.state != "ending":
            self._set_state(member, "up")
            self._notify(f"{member.name} is up after {time.monotonic() - began:.1f} s")  # no news for its own log
            member.settled.set()

    async def _until_healthy(
        self,
        member: Member,
        service: Callable[[], Service],
        what: Callable[[], str],
        is_over: Callable[[Service], bool] = lambda _: False,
    ) -> bool:
        """True once `service()` is healthy; False where `member` is to stop first, or it never will be, since it
        `is_over` (which may block). `what()` says what that means.
        """
        while not member.stop.is_set():
            current = await asyncio.to_thread(service)
            why = await self._ill(current)
            if not why:
                return True
            if await asyncio.to_thread(is_over, current):
                return False
            if member.state != "ending":
                self._set_state(member, member.state, f"{what()}: {why}")
            await _is_set_within(member.stop, PROBE_INTERVAL)
        return False

    async def _ill(self, service: Service) -> str:
        """Why a service is not healthy; "" where it is."""
        if not service.serves:
            state = await asyncio.to_thread(self._phase_elsewhere, service.id)
            good = "done" if service.kind == "task" else "up"
            return "" if state == good or (state is None and service.leased and good == "up") else "it is not " + good
        if isinstance(service.listens, str) and service.upstream is None:
            return f'its log has not said "{service.listens}" yet'
        check = await probe(service, self._settings)
        return "" if check.up else check.why

    def _phase_elsewhere(self, name: str) -> MemberPhase | None:
        """What whoever runs a service that is not ours says of it, or said last. Blocks."""
        if (state := state_elsewhere(self._paths, name)) is not None:
            return state
        record = read_run(self._paths, name)
        return None if record is None else record.run.phase

    def _is_over_elsewhere(self, service: Service) -> bool:
        """Whether nobody need wait for it any more: it has failed, or it prepares things and was ended. Blocks."""
        over = {"failed", "ended"} if service.kind == "task" else {"failed"}
        return not service.leased and self._phase_elsewhere(service.id) in over

    def _report_exit(self, member: Member, code: int, delay: float | None, *, served: bool) -> None:
        again = f"; it starts again in {delay:g} s" if delay is not None else ""
        if code == 0:
            self._notify(f"`{member.name}` {end_text(member.service, served=served)}{again}")
            return
        what = f"`{member.name}` ended with {exit_in_words(code)}"
        if delay is not None:
            self._notify(what + again)
            return
        said = f"{what}{given_up_in_words(member.failures)}"
        self._notify("\n".join([said, *(QUOTED + line for line in member.last_lines)]))

    def _set_state(self, member: Member, state: MemberPhase, why: str = "") -> None:
        if (member.state, member.why) != (state, why):
            member.state, member.why = state, why
            self._on_change()

    # The end

    async def _end_after_dependents(self, member: Member) -> None:
        """When it is to stop: first those that depend on it and are to stop as well, then itself."""
        await member.stop.wait()
        for name in dependents([one.service for one in self.members.values()], member.name):
            if (other := self.members[name]).stop.is_set():
                await other.over.wait()
        member.may_end = True
        self._ask_to_end(member)
        await member.over.wait()


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for it at most so long; whether it came."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


async def _first_of_within(seconds: float, one: asyncio.Event, other: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await _first_of(one, other)


async def _first_of(one: asyncio.Event, other: asyncio.Event) -> None:
    """Until one of the two is set."""
    tasks = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
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


def dependents(services: Sequence[Service], identity: str) -> list[str]:
    """The ids of what depends on a service, also through others, such as a task that is done. Pure."""
    found, left = {identity: None}, [identity]
    while left:
        one = left.pop()
        near = [service.id for service in services if one in service.depends_on and service.id not in found]
        found |= dict.fromkeys(near)
        left += near
    return list(found)[1:]


def count_failures(failures: int, ran: float) -> int:
    """How many starts in a row have failed, after one more that lasted `ran` seconds. Pure."""
    return 1 if ran >= STABLE else failures + 1


def restart_delay(policy: RestartPolicy, code: int, failures: int) -> float | None:
    """Seconds until the next start after exit code `code`; None where it stays down. Pure."""
    if policy == "never" or code in ENDED_BY_REQUEST or (policy == "on-failure" and code == 0):
        return None
    return None if failures >= MOST_FAILURES else min(LONGEST_DELAY, float(FIRST_DELAY * 2 ** (failures - 1)))
