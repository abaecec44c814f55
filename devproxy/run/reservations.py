"""Ports that running processes of ours have been given: two that ask at one moment never get the same.

Lives here: `state/ports/held.json`, under a lock, and the choice of a port for a service.
Not here: the order in which ports are tried (`ports.py`), leases (`registry/leases.py`).

A port is free for the system until its service binds it, which may take seconds. So it is held here for as long as the
process that asked for it lives (its pid and start time), whatever becomes of the service in between. What a process
held that is gone is forgotten at the next choice: nothing needs to be cleaned up after `kill -9`.
"""

import os
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from devproxy.net.loopback import is_free
from devproxy.paths import Paths, ensure_private
from devproxy.run.ports import allocate
from devproxy.storage import files, locks
from devproxy.storage.process_identity import is_same, start_time


class Held(msgspec.Struct, frozen=True):
    """A port, whom it is for (project, service, checkout), and the process that asked: pid and start time."""

    port: int
    owner: tuple[str, str, str]
    pid: int
    started: float


def reserve(
    paths: Paths,
    project: str | None,
    service: str,
    checkout: str = "",
    *,
    taken: Collection[int],
    low: int,
    high: int,
    free: Callable[[int], bool] = is_free,
) -> int:
    """A port for the service, held for this process until it ends or calls `release`.

    The same process gets the same port for the same service again, even while it is in use. `taken` and the rest
    are as in `ports.allocate`. Blocks (lock, disk). Raises DevproxyError.
    """
    owner = (project or "", service, checkout)
    with locks.exclusive(_lock(paths)):
        held = _living(paths)
        for one in held:
            if one.owner == owner and one.pid == os.getpid() and low <= one.port <= high and one.port not in taken:
                return one.port
        others = {one.port for one in held}
        port = allocate(project, service, checkout, taken={*taken, *others}, low=low, high=high, is_free=free)
        _write(paths, [*held, Held(port, owner, os.getpid(), start_time(os.getpid()) or 0.0)])
    return port


def release(paths: Paths, port: int) -> None:
    """Let go of a port that this process holds. Blocks. Raises DevproxyError."""
    with locks.exclusive(_lock(paths)):
        _write(paths, [one for one in _living(paths) if (one.port, one.pid) != (port, os.getpid())])


def _lock(paths: Paths) -> Path:
    """What is locked is the folder around a file: this one is for the choice, the writer locks the one within."""
    ensure_private(paths.state)
    return ensure_private(paths.state / "ports") / "choice"


def _file(paths: Paths) -> Path:
    return paths.state / "ports" / "held" / "ports.json"


def _living(paths: Paths) -> list[Held]:
    try:
        held = msgspec.json.decode(_file(paths).read_bytes(), type=list[Held])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return []
    return [one for one in held if is_same(one.pid, one.started)]


def _write(paths: Paths, held: list[Held]) -> None:
    files.write_json(_file(paths), held)
