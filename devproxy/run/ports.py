"""Which port a service gets when nobody has chosen one.

Lives here: the order in which ports are tried, and the first that will do. Pure: whether one is free is asked through a
function.
Not here: asking the system (`net/loopback.py`), keeping a port until its service has bound it (`reservations.py`).

A hash of project, service and checkout picks where to begin, so that a service has the same port after a reboot, and
on every machine where that port is free. Python's own `hash` differs in each process; SHA-256 does not.
"""

from collections.abc import Callable, Collection
from hashlib import sha256

from devproxy.errors import DevproxyError
from devproxy.registry.checks import BLOCKED_PORTS
from devproxy.registry.model import Registry


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
    """A port from `low` to `high` that is free, not in `taken`, and that browsers open.

    `checkout` tells two checkouts of one repository apart: empty for the main one, the branch's label for a linked
    worktree; a path would differ between machines. Raises DevproxyError where the whole range is used up.
    """
    span = high - low + 1
    start = _start(project, service, checkout, span)
    for step in range(span):
        port = low + (start + step) % span
        if port not in taken and port not in BLOCKED_PORTS and is_free(port):
            return port
    raise DevproxyError(
        f"no port is free between {low} and {high}",
        why="every one of them is declared by a service, in use, or one that browsers refuse to open",
        fix='widen the range in registry.toml: [proxy] ports = "20000-39999"',
    )


def declared(registry: Registry, besides: str = "") -> frozenset[int]:
    """Every port that a service of the registry says it has, or listens on; not those of the service `besides`."""
    others = [service for service in registry.services if service.id != besides]
    upstreams = {service.upstream.port for service in others if service.upstream is not None}
    listens = {service.listen for service in registry.services if service.listen is not None}
    own = {port for port in (registry.settings.http, registry.settings.https) if port is not None}
    return frozenset((upstreams | listens | own) - {0})


def _start(project: str | None, service: str, checkout: str, span: int) -> int:
    digest = sha256("\0".join((project or "", service, checkout)).encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") % span
