"""All services checked now, once, without the proxy: for `devproxy health`.

Lives here: scan, connects and proof of one go, put together as the monitor puts them.
Not here: the look that goes on (`monitor.py`). There are no thresholds: what is said is what was seen just now.
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence

from msgspec import structs

from devproxy.health import reachability
from devproxy.health.checkouts import checkouts
from devproxy.health.findings import NOTHING, by_port, examine, port_conflicts
from devproxy.health.model import DORMANT, Check, Condition, Reach, Scan, ServiceOwner, State
from devproxy.health.probe import probe
from devproxy.health.scanner import Scanner
from devproxy.registry.model import Registry, Service

MOST_AT_ONCE = 50


async def check_once(
    registry: Registry,
    services: Sequence[Service],
    *,
    own_ports: Collection[int] = (),
    owners: Mapping[str, ServiceOwner] | None = None,
) -> dict[str, Condition]:
    """The condition of `services`, by id; `owners` are those that the proxy's monitor knew."""
    ports = {service.upstream.port for service in services if service.upstream and service.upstream.port}
    scan = await asyncio.to_thread(Scanner().scan, ports)
    checks = await _probe(services)
    reached: dict[int, Reach] = {}
    if reachability.allowed(registry.settings.exposure_proof):
        reached = await asyncio.to_thread(reachability.prove, ports, reachability.addresses(scan.interfaces))
    scans, shared, twins = by_port(scan), port_conflicts(registry), await asyncio.to_thread(checkouts, registry)
    empty = Scan(interfaces=scan.interfaces, gap=scan.gap)
    found = {}
    for service in services:
        port = service.upstream.port if service.upstream else 0
        exam = examine(
            service,
            scans.get(port, empty),
            reached.get(port, NOTHING),
            (owners or {}).get(service.id),
            own_ports=own_ports,
            conflict=shared.get(service.id),
            checkouts=twins.get(service.project) if service.project else None,
        )
        found[service.id] = structs.replace(
            _state(service, checks[service.id]),
            since=time.time(),
            exposure=exam.exposure,
            exposure_why=exam.why,
            listeners=exam.listeners,
            findings=exam.findings,
        )
    return found


def _state(service: Service, check: Check) -> Condition:
    if service.starts_on_request and not check.accepted:
        if service.leased:
            return Condition(state="starting", why=check.why, dormant=True)
        return Condition(state="down", why=DORMANT, dormant=True)
    down: State = "down" if service.upstream is not None else "unknown"
    return Condition(state="up" if check.up else down, why=check.why)


async def _probe(services: Sequence[Service]) -> dict[str, Check]:
    turns = asyncio.Semaphore(MOST_AT_ONCE)

    async def one(service: Service) -> Check:
        async with turns:
            return await probe(service)

    checks = await asyncio.gather(*(one(service) for service in services))
    return {service.id: check for service, check in zip(services, checks, strict=True)}
