"""`state/up/<pid>.json`: what a `devproxy up` runs, for the next `up`, for `down` and for whoever waits.

Lives here: the file, telling a dead one, and asking an `up` to do something with its services
(`<pid>.requests`, then SIGUSR1). A file of a killed `up` is removed by whoever reads it.
Not here: doing it (`group.py`).
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from typing import Literal

import msgspec

from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.storage import files
from devproxy.storage.locks import exclusive
from devproxy.storage.process_identity import is_same, start_time

MemberPhase = Literal["waiting", "starting", "running", "up", "done", "ending", "ended", "failed"]
OVER: frozenset[MemberPhase] = frozenset({"done", "ended", "failed"})
UNSETTLED: frozenset[MemberPhase] = frozenset({"waiting", "starting", "running", "ending"})
Request = Literal["end", "rest", "start", "restart", "attach", "resize"]
ASKED_TO_END = "it was asked to end"  # why a service is over, where nobody says more
AT_REST = "nobody asked for it, and whoever does starts it again"  # why a service is over that was asked to `rest`


class MemberState(msgspec.Struct, frozen=True):
    """A service of a group: its state, and the command that it was started with.

    `running` is a task that has yet to end, `done` one that has ended well. `why` says what it waits for, or why it is
    over; `code` is the last exit code, 128 + N after signal N; `starts` and `ends` count how often it was started, and
    has ended; `failures`, how often in a row since somebody asked for a start, and `restarts`, how often it was started
    again by itself since then. `by` is what was typed for that start, "" where that is what the whole `up` was.
    """

    state: MemberPhase
    command: str
    why: str = ""
    code: int | None = None
    starts: int = 0
    ends: int = 0
    failures: int = 0
    restarts: int = 0
    by: str = ""


class GroupFile(msgspec.Struct, frozen=True, kw_only=True):
    """A running `devproxy up`: its process (pid and start time), and its services by id, in order."""

    pid: int
    started: float
    services: dict[str, MemberState]


@contextlib.contextmanager
def start_lock(paths: Paths) -> Iterator[None]:
    """One `up` at a time reads what runs and publishes what it is going to start. Raises DevproxyError."""
    paths.make(paths.group_turn.parent)
    with exclusive(paths.group_turn):
        yield


def expect_requests(paths: Paths) -> None:
    """From now on a request is no end of this process: it is kept until it is taken. For the main thread.

    Called before anybody can know of us: what is there was for another process, whose number we have. A handler, since
    what is ignored stays so over execve(2).
    """
    with contextlib.suppress(OSError):
        paths.group_requests(os.getpid()).unlink(missing_ok=True)
    if sys.platform != "win32":
        signal.signal(signal.SIGUSR1, lambda *_: None)


def publish(paths: Paths, services: dict[str, MemberState]) -> None:
    """Say what this process runs. Blocks. Raises DevproxyError."""
    us = os.getpid()
    files.write_json(paths.group(us), GroupFile(pid=us, started=start_time(us) or 0.0, services=services))


def withdraw(paths: Paths) -> None:
    """This process runs nothing any more."""
    _remove(paths, os.getpid())


def read_groups(paths: Paths) -> list[GroupFile]:
    """Every `up` that runs, the oldest first."""
    found = []
    for file in sorted(paths.groups.glob("*.json")):
        try:
            group = msgspec.json.decode(file.read_bytes(), type=GroupFile)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if is_same(group.pid, group.started):
            found.append(group)
        else:
            _remove(paths, group.pid)
    return sorted(found, key=lambda group: group.started)


def group_of(paths: Paths, service: str) -> GroupFile | None:
    """The `up` that runs a service now; the last one that did, if it is over in all; None where none has it."""
    found = [group for group in read_groups(paths) if service in group.services]
    return next((group for group in found if group.services[service].state not in OVER), found[-1] if found else None)


def state_elsewhere(paths: Paths, service: str) -> MemberPhase | None:
    """The state of a service in the `up` that `group_of` tells of."""
    group = group_of(paths, service)
    return None if group is None else group.services[service].state


def ask_to_end(paths: Paths, group: GroupFile, services: list[str]) -> None:
    """Ask an `up` to end `services` of its own; all of them: to end itself. Raises DevproxyError, OSError."""
    if set(services) >= set(group.services):
        _send(group, signal.SIGTERM)
    else:
        ask(paths, group, "end", services)


def ask(paths: Paths, group: GroupFile, request: Request, services: list[str], text: str = "") -> None:
    """Ask an `up` to do something with `services` of its own; `text` says more. Raises DevproxyError, OSError."""
    more = "".join(f"{request} {name} {json.dumps(text)}\n" for name in services)
    files.update(paths.group_requests(group.pid), lambda before: before + more)
    _send(group, signal.SIGUSR1)


def take_requests(paths: Paths) -> list[tuple[str, str, str]]:
    """What this process was asked to do since the last call: request, service and text. Raises nothing."""
    taken: list[str] = []

    def edit(text: str) -> str:
        taken.extend(text.splitlines())
        return ""

    file = paths.group_requests(os.getpid())
    with contextlib.suppress(OSError, DevproxyError):
        if file.exists():
            files.update(file, edit)
    found = []
    for line in taken:
        request, _, rest = line.partition(" ")
        service, _, text = rest.partition(" ")
        with contextlib.suppress(ValueError):
            found.append((request, service, str(json.loads(text))))
    return found


def _send(group: GroupFile, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if is_same(group.pid, group.started):
            os.kill(group.pid, number)


def _remove(paths: Paths, pid: int) -> None:
    for file in (paths.group(pid), paths.group_requests(pid)):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
