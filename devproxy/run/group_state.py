"""`state/up/<pid>.json`: what a `devproxy up` runs, for the next `up`, for `down` and for whoever waits.

Lives here: the file, telling a dead one, and asking an `up` to end some of its services (`<pid>.end`).
Not here: ending them (`group.py`). A file of a killed `up` is removed by whoever reads it.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Literal

import msgspec

from devproxy.paths import Paths
from devproxy.storage import files
from devproxy.storage.locks import exclusive
from devproxy.storage.process_identity import is_same, start_time

MemberPhase = Literal["waiting", "starting", "up", "ended", "failed"]
OVER: frozenset[MemberPhase] = frozenset({"ended", "failed"})
UNSETTLED: frozenset[MemberPhase] = frozenset({"waiting", "starting"})


class MemberState(msgspec.Struct, frozen=True):
    """A service of a group: its state, and the command that it was started with."""

    state: MemberPhase
    command: str


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


def ask_to_end(paths: Paths, group: GroupFile, services: list[str]) -> None:
    """Ask an `up` to end `services` of its own; all of them: to end itself. Raises DevproxyError, OSError."""
    if set(services) >= set(group.services):
        _send(group, signal.SIGTERM)
        return
    files.update(paths.end_requests(group.pid), lambda text: text + "".join(f"{name}\n" for name in services))
    _send(group, signal.SIGUSR1)


def read_end_requests(paths: Paths) -> list[str]:
    """The services that this process was asked to end, since it began."""
    try:
        return paths.end_requests(os.getpid()).read_text("utf-8").split()
    except (OSError, UnicodeDecodeError):
        return []


def _send(group: GroupFile, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if is_same(group.pid, group.started):
            os.kill(group.pid, number)


def _remove(paths: Paths, pid: int) -> None:
    for file in (paths.group(pid), paths.end_requests(pid)):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
