"""What whoever runs a command tells everybody else of it: its phase, how it ended, and an event a change.

Lives here: from one state of a member to the next, as a run and as events; and keeping them.
Not here: the file (`health/runs.py`), what the phases come to as the state of a service (`health/state.py`).
"""

import contextlib
import os
import time
from collections import deque
from collections.abc import Iterable

from msgspec import structs

from devproxy.errors import DevproxyError
from devproxy.events import (
    CommandDone,
    CommandExited,
    CommandFailed,
    CommandStarts,
    CommandUp,
    CommandWaits,
    Ended,
    exit_in_words,
)
from devproxy.health.model import RUN_OVER, CommandRun, RunEvent, RunRecord
from devproxy.health.runs import read_run, write
from devproxy.paths import Paths
from devproxy.registry.model import Service
from devproxy.run.group_state import ASKED_TO_END, AT_REST, MemberState
from devproxy.run.logs import plain
from devproxy.run.session import Session
from devproxy.storage.process_identity import start_time

ENDED_BY_ITSELF = "it ended by itself, with exit code 0"
_OF_A_COMMAND = {"starts": "its command was started", "runs": "its command runs"}  # what `up` says of the service
MOST_EVENTS = 40  # that are kept for whoever has not seen them
LONGEST_LINE = 400  # characters of a log's line


class RunReporter:
    """What this process says of one command. `by` is what a person typed, or a request. For one thread.

    `is_announced`: who asked for it (the proxy, for a request) has told everybody of its start, which is told once.
    """

    def __init__(self, paths: Paths, service: str, by: str, *, is_announced: bool = False):
        self._is_announced = is_announced
        self._paths = paths
        self._service = service
        self._by = by
        self._member = MemberState("waiting", "")
        self._run: CommandRun | None = None
        self._began = 0.0  # when its last start was
        self._identity = (os.getpid(), start_time(os.getpid()) or 0.0)
        self._events: deque[RunEvent] = deque(maxlen=MOST_EVENTS)

    def follow(self, member: MemberState, lines: Iterable[str], now: float) -> None:
        """It is as `member` says since `now`; `lines` are the last of its log. Blocks where that is news (disk)."""
        before, self._member = self._member, member
        if before == member and self._run is not None:
            return
        if self._run is None and (earlier := read_run(self._paths, self._service)) is not None:
            self._events.extend(earlier.events)  # nobody may have seen them yet
        if member.starts > before.starts:
            self._began = now
        found = events_between(self._service, before, member, now, by=self._by, lasted=now - self._began)
        if self._is_announced and not member.by:
            found = [event for event in found if not (isinstance(event, CommandStarts) and event.restart == 0)]
        self._events.extend(found)
        self._run = run_of(self._run, member, lines, now)
        pid, started = self._identity
        record = RunRecord(service=self._service, run=self._run, pid=pid, started=started, events=tuple(self._events))
        with contextlib.suppress(DevproxyError, OSError):  # a full disk is no reason to end a service
            write(self._paths, record)


def run_of(before: CommandRun | None, member: MemberState, lines: Iterable[str], now: float) -> CommandRun:
    """The run that a member's state comes to. Pure."""
    is_same_phase = before is not None and before.phase == member.state
    shown = tuple(plain(line)[:LONGEST_LINE] for line in lines) if member.state == "failed" else ()
    return CommandRun(
        phase=member.state,
        since=before.since if before is not None and is_same_phase else now,
        why=_why(member),
        code=member.code,
        restarts=member.restarts,
        lines=shown,
    )


def _why(member: MemberState) -> str:
    if member.state in RUN_OVER and not member.why:
        return ASKED_TO_END if member.state == "ended" else "it is done"
    if member.state == "failed" and member.code:
        return exit_in_words(member.code)
    return _OF_A_COMMAND.get(member.why, member.why)


def events_between(
    service: str, before: MemberState, after: MemberState, now: float, *, by: str, lasted: float
) -> list[RunEvent]:
    """What has happened between two states of a member, in order. Pure."""
    found: list[RunEvent] = []
    is_asked = after.starts > before.starts and after.restarts == 0  # which its end before was for
    if after.ends > before.ends and after.state not in RUN_OVER and after.code is not None and not is_asked:
        found.append(CommandExited(service, after.code, lasted, at=now))
    if after.state == "waiting" and after.why != before.why:
        found.append(CommandWaits(service, after.why, at=now))
    if after.starts > before.starts:
        found.append(CommandStarts(service, after.by or by, after.restarts, at=now))
    if after.state != before.state and after.state == "up":
        found.append(CommandUp(service, lasted, at=now))
    elif after.state != before.state and after.state == "failed":
        found.append(CommandFailed(service, _why(after), after.code, max(1, after.failures), at=now))
    elif after.state != before.state and after.state == "done":
        found.append(CommandDone(service, at=now))
    elif after.state != before.state and after.why == AT_REST:
        pass  # the proxy has told of it
    elif after.state != before.state and after.state in RUN_OVER:
        found.append(Ended(service, _why(after), at=now))
    return found


class SessionReporter:
    """The same of `devproxy run`: one session, from its start to its end, whether a file declares it or not."""

    def __init__(self, paths: Paths, session: Session, service: Service):
        self._session = session
        self._is_task = service.kind == "task"
        self._member = MemberState("starting", service.command_line, "starts", starts=1)
        self._reporter = RunReporter(paths, service.id, "devproxy run")
        self._tell(self._member)
        session.asked = self._asked
        session.over = self._ended

    async def watch(self) -> None:
        """Say when it is there."""
        await self._session.ready.wait()
        if self._member.state == "ending":
            return
        self._tell(structs.replace(self._member, state="running" if self._is_task else "up", why=""))

    def _asked(self) -> None:
        self._tell(structs.replace(self._member, state="ending", why=ASKED_TO_END))

    def _ended(self) -> None:
        code = self._session.code
        ended = structs.replace(self._member, code=code, ends=1)
        if code is None:
            self._tell(structs.replace(ended, state="failed", why="its command could not be started"))
        elif self._session.end_requested:
            self._tell(structs.replace(ended, state="ended", why=""))
        elif code == 0 and self._is_task:
            self._tell(structs.replace(ended, state="done", why=""))
        elif code == 0:
            self._tell(structs.replace(ended, state="ended", why=ENDED_BY_ITSELF))
        else:
            self._tell(structs.replace(ended, state="failed", why=f"ended with {exit_in_words(code)}"))

    def _tell(self, member: MemberState) -> None:
        self._member = member
        self._reporter.follow(member, (), time.time())
