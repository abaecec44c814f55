"""Which services nobody asks for any more: `idle_stop`.

Lives here: the look at what is in use, and who is due.
Not here: ending (`activation.py`). Time is the loop's clock.

A service is in use while an exchange with it is under way or a tunnel to it is open; between that, its last answer
counts. After a start of the proxy time begins anew. One that another running service depends on is left alone: that one
may use it without us. What a crew does not run (`devproxy run`, a terminal) is its owner's to end.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from devproxy.daemon.activation import OnDemand
from devproxy.paths import Paths
from devproxy.proxy.gates import Dormant
from devproxy.proxy.server import Proxy
from devproxy.registry.model import Service, Upstream
from devproxy.run.group_state import OVER, CrewFile, crews
from devproxy.run.order import in_order

_SLOWEST, _QUICKEST = 5.0, 0.05  # seconds between two looks
_SHARE = 10  # looks during the shortest idle_stop

_log = logging.getLogger(__name__)


class IdleWatch:
    """One for a run of the proxy; `run` until it is cancelled. `answered` is when an upstream last answered."""

    def __init__(self, paths: Paths, proxy: Proxy, ondemand: OnDemand, answered: Callable[[Upstream], float]):
        self._paths = paths
        self._proxy = proxy
        self._ondemand = ondemand
        self._answered = answered
        self._active: dict[str, float] = {}  # when a service was last seen to be used, or to have come

    async def run(self) -> None:
        """Never returns; nothing that goes wrong in one look ends it."""
        table, services = None, []
        while True:
            if table is not self._proxy.snapshot.table:
                table = self._proxy.snapshot.table
                services = watched(table.services.values())
            await asyncio.sleep(pause(services))
            self._ondemand.reap()
            try:
                await self.look(services)
            except Exception:
                _log.exception("idle services could not be looked for; trying on")

    async def look(self, services: Sequence[Service]) -> None:
        """End those of `services` that are due."""
        due = self._due(services)
        if not due:
            return
        known = await asyncio.to_thread(crews, self._paths)
        due = self._due(services)  # somebody may have asked meanwhile
        now = self._proxy.loop.time()
        for identity, crew in endable(due, known, list(self._proxy.snapshot.table.services.values())).items():
            self._ondemand.end(due[identity], crew, now - self._active[identity])

    def _due(self, services: Sequence[Service]) -> dict[str, Service]:
        gates = self._proxy.gates
        running = [service for service in services if not isinstance(gates.get(service.id), Dormant)]
        now, used = self._proxy.loop.time(), in_use(self._proxy, running) if running else ()
        self._active = {one.id: self._last(one, one.id in used, now) for one in running}
        return {one.id: one for one in running if now - self._active[one.id] >= (one.idle_stop or now)}

    def _last(self, service: Service, is_used: bool, now: float) -> float:
        assert service.upstream is not None
        return now if is_used else max(self._active.get(service.id, now), self._answered(service.upstream))


def watched(services: Iterable[Service]) -> list[Service]:
    """Those that may become idle."""
    return [one for one in services if one.idle_stop is not None and one.upstream is not None and one.starts_on_request]


def pause(services: Sequence[Service]) -> float:
    """Seconds until the next look at these."""
    shortest = min((one.idle_stop for one in services if one.idle_stop is not None), default=_SLOWEST * _SHARE)
    return min(_SLOWEST, max(_QUICKEST, shortest / _SHARE))


def in_use(proxy: Proxy, services: Sequence[Service]) -> set[str]:
    """The ids of those that something is under way with."""
    at = {service.upstream: service.id for service in services}
    used = {c.exchange.route.service.id for c in proxy.connections if c.exchange is not None}
    return used | {at[end.upstream] for end in proxy.tunnels if end.upstream in at}


def endable(due: Collection[str], known: Sequence[CrewFile], services: Sequence[Service]) -> Mapping[str, CrewFile]:
    """The crew of each of `due` that one runs and that no running service depends on."""
    running = {name: crew for crew in known for name, part in crew.services.items() if part.state not in OVER}
    needed = {other.id for name in running for other in in_order(services, [name]) if other.id != name}
    return {name: running[name] for name in due if name in running and name not in needed}
