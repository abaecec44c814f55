"""A process of ours that outlives its terminal, and a group of services in one: `devproxy up --detach`.

Lives here: starting it; waiting for the services of a group to settle.
Not here: how we start ourselves (`interpreter.py`), what runs in it (`group_process.py`, `daemon/main.py`), the proxy's
process (`daemon/control.py`).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from devproxy.errors import DevproxyError
from devproxy.health.runs import read_run
from devproxy.paths import Paths
from devproxy.registry.model import Service
from devproxy.run.group_state import ASKED_TO_END, OVER, UNSETTLED, MemberPhase, MemberState, read_groups
from devproxy.run.interpreter import ourselves, own_environment
from devproxy.run.logs import last, time_stamp
from devproxy.run.waiting import REMIND_AFTER, printed_text, waiting_text

PATIENCE = 60.0  # seconds for every service to be healthy
_POLL = 0.05  # seconds between two readings of what it says


def spawn(paths: Paths, arguments: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    """`devproxy ARGUMENTS` as a process that outlives the terminal; what it prints replaces what `log` held."""
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        return subprocess.Popen(
            ourselves(*arguments),
            env=own_environment(),
            cwd=paths.state,  # it must not keep the folder that somebody stands in busy
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            **_detached(),
        )


def _detached() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def launch_group(
    paths: Paths,
    names: list[str],
    tell: Callable[[str], None],
    services: Mapping[str, Service],
    *,
    published: Callable[[], None],
) -> dict[str, MemberState]:
    """Run services in the background; what became of each within `PATIENCE`. Raises DevproxyError.

    Some of them may be another group's by now, which was started at the same moment: they count as well. `tell` gets
    what is waited for, once that takes long; `published` is called, maybe again, once the group has said what it runs,
    or has ended.
    """
    log = paths.group_output
    paths.make(log.parent)
    process = spawn(paths, ["up", "--group", *names], log)
    deadline = time.monotonic() + PATIENCE
    seen: dict[str, MemberState] = {}
    own: set[str] = set()
    progress = _Progress(paths, tell, services)
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        now = _states(paths, names, process.pid)
        seen |= now
        own |= {name for group in read_groups(paths) if group.pid == process.pid for name in group.services}
        if own or ended:
            published()
        if (ended and not now) or (len(seen) == len(names) and not _unsettled(seen)):
            break
        progress.tell(seen)
        time.sleep(_POLL)
    code = process.poll()
    if code is None:
        process.returncode = 0  # it goes on without us: no warning when we forget it
    if code is not None:  # what it ran is over, though that may not have been seen: all of it can take a moment only
        unseen = {name: _last_run(paths, name, process.pid) for name in names if name not in seen}
        seen |= {name: state for name, state in unseen.items() if state is not None}
    if not seen:
        said = log.read_text("utf-8", "replace").strip()[-2000:]
        raise DevproxyError("the services were not started", why=said or "their process said nothing")
    if code is not None:
        was_asked = code == -signal.SIGTERM  # before it could note that
        over: MemberPhase = "ended" if was_asked or not code else "failed"
        why = ASKED_TO_END if was_asked else "its devproxy process has ended"
        left = [name for name in _unsettled(seen) if name in own]
        seen |= {
            name: _last_word(paths, name, process.pid, msgspec.structs.replace(seen[name], state=over, why=why))
            for name in left
        }
    return {name: seen[name] for name in names if name in seen}


def _last_word(paths: Paths, name: str, pid: int, otherwise: MemberState) -> MemberState:
    """How a service ended whose process `pid` is gone, as that has said to everybody; `otherwise` where it has not."""
    found = _last_run(paths, name, pid)
    if found is None:
        return otherwise
    return msgspec.structs.replace(otherwise, state=found.state, why=found.why, code=found.code)


def _last_run(paths: Paths, name: str, pid: int | None = None) -> MemberState | None:
    """What whoever ran a service last, or the process `pid`, has left behind of it: how it ended, None for nothing."""
    record = read_run(paths, name)
    if record is None or record.run.phase not in OVER or pid not in {None, record.pid}:
        return None
    return MemberState(record.run.phase, "", record.run.why, record.run.code)


def wait_settled(
    paths: Paths, before: Mapping[str, int], tell: Callable[[str], None], services: Mapping[str, Service]
) -> dict[str, MemberState]:
    """What becomes of services that an `up` was asked to start once more, within `PATIENCE`.

    `before` is how often each was started until then. Raises nothing.
    """
    deadline, progress = time.monotonic() + PATIENCE, _Progress(paths, tell, services)
    while True:
        found = {name: member for group in read_groups(paths) for name, member in group.services.items()}
        now = {name: found.get(name) or _last_run(paths, name) or MemberState("ended", "") for name in before}
        fresh = all(name not in found or now[name].starts > starts for name, starts in before.items())
        if (fresh and not _unsettled(now)) or time.monotonic() > deadline:
            return now
        progress.tell(now)
        time.sleep(_POLL)


class _Progress:
    """Says what is waited for after `REMIND_AFTER` seconds, and again after twice that, and so on."""

    def __init__(self, paths: Paths, tell: Callable[[str], None], services: Mapping[str, Service]):
        self._paths = paths
        self._tell = tell
        self._services = services
        self._since = time_stamp()  # what stands in a log from before is another run's
        self._pause = REMIND_AFTER
        self._next = time.monotonic() + self._pause

    def tell(self, states: Mapping[str, MemberState]) -> None:
        if time.monotonic() < self._next:
            return
        self._pause *= 2
        self._next = time.monotonic() + self._pause
        for name in _unsettled(states):
            if (service := self._services.get(name)) is not None:
                self._tell(
                    f"`{name}` {waiting_text(service, states[name].state, states[name].why)}{self._printed(name)}"
                )

    def _printed(self, name: str) -> str:
        recent = (entry.text for entry in last(self._paths, name, 20) if entry.time >= self._since)
        return printed_text([text for text in recent if not text.startswith("[devproxy]")])


def _states(paths: Paths, names: list[str], pid: int) -> dict[str, MemberState]:
    """What the group `pid` says, and the others of what they still run: what had ended there before is no news."""
    return {
        name: member
        for group in read_groups(paths)
        for name, member in group.services.items()
        if name in names and (group.pid == pid or member.state not in OVER)
    }


def _unsettled(states: Mapping[str, MemberState]) -> list[str]:
    return [name for name, member in states.items() if member.state in UNSETTLED]
