"""Which port a service gets when nobody has chosen one, so that two that ask at one moment never get the same.

How it works: a hash of project, service and checkout picks where to begin, so that a service has the same port after a
reboot, and on every machine where that port is free. (The hash: `registry/listeners.py`.)
A port is free for the system until its service binds it, which may take seconds. So it is reserved, in a file, for as
long as the process that asked for it lives (its pid and start time), whatever becomes of the service in between. What a
process held that is gone is forgotten at the next choice: nothing needs to be cleaned up after `kill -9`.
Not here: asking the system whether one is free (`net/loopback.py`).
"""

import os
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

import msgspec

from devproxy.errors import DevproxyError
from devproxy.net.loopback import is_free
from devproxy.paths import Paths
from devproxy.registry.listeners import hashed
from devproxy.registry.model import Registry
from devproxy.registry.validate import BLOCKED_PORTS
from devproxy.storage import files, locks
from devproxy.storage.process_identity import is_same, start_time


class Reservation(msgspec.Struct, frozen=True):
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
    are as in `allocate`. Blocks (lock, disk). Raises DevproxyError.
    """
    owner = (project or "", service, checkout)
    with _choosing(paths):
        held = _living(paths)
        for one in held:
            if one.owner == owner and one.pid == os.getpid() and low <= one.port <= high and one.port not in taken:
                return one.port
        others = {one.port for one in held}
        port = allocate(project, service, checkout, taken={*taken, *others}, low=low, high=high, is_free=free)
        _write(paths, [*held, Reservation(port, owner, os.getpid(), start_time(os.getpid()) or 0.0)])
    return port


def release(paths: Paths, port: int) -> None:
    """Let go of a port that this process holds. Blocks. Raises DevproxyError."""
    with _choosing(paths):
        _write(paths, [one for one in _living(paths) if (one.port, one.pid) != (port, os.getpid())])


def allocate(
    project: str | None,
    service: str,
    checkout: str,
    *,
    taken: Collection[int],
    low: int,
    high: int,
    is_free: Callable[[int], bool],
) -> int:
    """A port from `low` to `high` that is free, not in `taken`, and that browsers open. Pure but for `is_free`.

    `checkout` tells two checkouts of one repository apart: empty for the main one, the branch's label for a linked
    worktree; a path would differ between machines. Raises DevproxyError where the whole range is used up.
    """
    span = high - low + 1
    start = hashed(project or "", service, checkout, span=span)
    for step in range(span):
        port = low + (start + step) % span
        if port not in taken and port not in BLOCKED_PORTS and is_free(port):
            return port
    raise DevproxyError(
        f"no port is free between {low} and {high}",
        why="every one of them is declared by a service, in use, or one that browsers refuse to open",
        fix='widen the range in registry.toml: [proxy] ports = "20000-39999"',
    )


def declared_ports(registry: Registry, except_for: str = "") -> frozenset[int]:
    """Every port that a service of the registry says it has, or listens on; not those of the service `except_for`."""
    others = [service for service in registry.services if service.id != except_for]
    upstreams = {service.upstream.port for service in others if service.upstream is not None}
    forwarded = {service.listen.port for service in registry.services if service.listen is not None}
    fixed = {service.listens for service in registry.services if isinstance(service.listens, int)}
    own = {port for port in (registry.settings.http, registry.settings.https) if isinstance(port, int)}
    return frozenset((upstreams | forwarded | fixed | own) - {0})


def _choosing(paths: Paths) -> AbstractContextManager[None]:
    """The lock of the choice; the file of ports has one of its own, which its writer takes."""
    paths.make(paths.port_choice.parent)
    return locks.exclusive(paths.port_choice)


def _living(paths: Paths) -> list[Reservation]:
    try:
        held = msgspec.json.decode(paths.reserved_ports.read_bytes(), type=list[Reservation])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return []
    return [one for one in held if is_same(one.pid, one.started)]


def _write(paths: Paths, held: list[Reservation]) -> None:
    files.write_json(paths.reserved_ports, held)
