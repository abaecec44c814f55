"""`state/up/<pid>.json`: what a `devproxy up` runs, for the next `up`, for `down` and for whoever waits.

Lives here: the file, telling a dead one, and asking an `up` to end some of its services.
Not here: ending them (`group.py`). A file of a killed `up` is removed by whoever reads it.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from devproxy.paths import Paths, ensure_private
from devproxy.storage import files
from devproxy.storage.locks import exclusive
from devproxy.storage.process_identity import is_same, start_time

State = Literal["waiting", "starting", "up", "ended", "failed"]
OVER: frozenset[State] = frozenset({"ended", "failed"})
UNSETTLED: frozenset[State] = frozenset({"waiting", "starting"})


class Part(msgspec.Struct, frozen=True):
    """A service of a crew: its state, and the command that it was started with."""

    state: State
    command: str


class CrewFile(msgspec.Struct, frozen=True, kw_only=True):
    """A running `devproxy up`: its process (pid and start time), and its services by id, in order."""

    pid: int
    started: float
    services: dict[str, Part]


@contextlib.contextmanager
def turn(paths: Paths) -> Iterator[None]:
    """One `up` at a time looks at what runs and publishes what it is going to start. Raises DevproxyError."""
    ensure_private(paths.state)
    ensure_private(paths.state / "up")
    with exclusive(ensure_private(paths.state / "up" / "turn") / "up"):
        yield


def publish(paths: Paths, services: dict[str, Part]) -> None:
    """Say what this process runs. Blocks. Raises DevproxyError."""
    us = os.getpid()
    files.write_json(_file(paths, us), CrewFile(pid=us, started=start_time(us) or 0.0, services=services))


def withdraw(paths: Paths) -> None:
    """This process runs nothing any more."""
    _forget(paths, os.getpid())


def crews(paths: Paths) -> list[CrewFile]:
    """Every `up` that runs, the oldest first."""
    found = []
    for file in sorted((paths.state / "up").glob("*.json")):
        try:
            crew = msgspec.json.decode(file.read_bytes(), type=CrewFile)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if is_same(crew.pid, crew.started):
            found.append(crew)
        else:
            _forget(paths, crew.pid)
    return sorted(found, key=lambda crew: crew.started)


def ask_to_end(paths: Paths, crew: CrewFile, services: list[str]) -> None:
    """Ask an `up` to end `services` of its own; all of them: to end itself. Raises DevproxyError, OSError."""
    if set(services) >= set(crew.services):
        _send(crew, signal.SIGTERM)
        return
    files.update(_wishes(paths, crew.pid), lambda text: text + "".join(f"{name}\n" for name in services))
    _send(crew, signal.SIGUSR1)


def wishes(paths: Paths) -> list[str]:
    """The services that this process was asked to end, since it began."""
    try:
        return _wishes(paths, os.getpid()).read_text("utf-8").split()
    except (OSError, UnicodeDecodeError):
        return []


def _send(crew: CrewFile, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        if is_same(crew.pid, crew.started):
            os.kill(crew.pid, number)


def _file(paths: Paths, pid: int) -> Path:
    return paths.state / "up" / f"{pid}.json"


def _wishes(paths: Paths, pid: int) -> Path:
    return paths.state / "up" / f"{pid}.end"


def _forget(paths: Paths, pid: int) -> None:
    for file in (_file(paths, pid), _wishes(paths, pid)):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
