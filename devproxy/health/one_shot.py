"""All services checked now, once, without the proxy: for `devproxy health`.

Scan, probes and proof of one go, put together as the monitor puts them. There are no thresholds: what is said is what
was seen just now. Not here: checking for as long as the proxy runs (`monitor.py`), the socket table alone
(`socket_table.py`).
"""

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence

from msgspec import structs

from devproxy.health import reachability
from devproxy.health.checkouts import checkouts_by_project
from devproxy.health.findings import examine, find_conflicts, scans_by_port
from devproxy.health.model import NOT_TRIED, Check, CommandRun, Condition, Reach, Scan, ServiceOwner
from devproxy.health.probe import probe
from devproxy.health.scanner import Scanner
from devproxy.health.state import condition_of
from devproxy.registry.model import ProxySettings, Registry, Service

MOST_AT_ONCE = 50


async def check_once(
    registry: Registry,
    services: Sequence[Service],
    *,
    own_ports: Collection[int] = (),
    owners: Mapping[str, ServiceOwner] | None = None,
    runs: Mapping[str, CommandRun] | None = None,
) -> dict[str, Condition]:
    """The condition of `services`, by id; `owners` are those that the proxy's monitor knew, `runs` what became of their
    commands."""
    ports = {service.upstream.port for service in services if service.upstream and service.upstream.port}
    scan = await asyncio.to_thread(Scanner().scan, ports)
    checks = await _probe(services, registry.settings)
    reached: dict[int, Reach] = {}
    if reachability.allowed(registry.settings.exposure_proof):
        reached = await asyncio.to_thread(reachability.prove, ports, reachability.addresses(scan.interfaces))
    scans, conflicts = scans_by_port(scan), find_conflicts(registry)
    checkouts = await asyncio.to_thread(checkouts_by_project, registry)
    empty = Scan(interfaces=scan.interfaces, gap=scan.gap)
    found = {}
    for service in services:
        port = service.upstream.port if service.upstream else 0
        exam = examine(
            service,
            scans.get(port, empty),
            reached.get(port, NOT_TRIED),
            (owners or {}).get(service.id),
            own_ports=own_ports,
            conflict=conflicts.get(service.id),
            checkouts=checkouts.get(service.project) if service.project else None,
        )
        found[service.id] = structs.replace(
            condition_of(service, checks[service.id], (runs or {}).get(service.id)),
            since=time.time(),
            exposure=exam.exposure,
            exposure_why=exam.why,
            listeners=exam.listeners,
            findings=exam.findings,
        )
    return found


async def ask_once(
    registry: Registry, services: Sequence[Service], looked: Mapping[str, Condition]
) -> dict[str, Condition]:
    """What the socket table told of `services`, once they have been asked as well."""
    checks = await _probe(services, registry.settings)
    found = {}
    for service in services:
        old = looked[service.id]
        new = condition_of(service, checks[service.id], old.run)
        found[service.id] = structs.replace(old, state=new.state, why=new.why, dormant=new.dormant)
    return found


async def _probe(services: Sequence[Service], settings: ProxySettings) -> dict[str, Check]:
    turns = asyncio.Semaphore(MOST_AT_ONCE)

    async def one(service: Service) -> Check:
        async with turns:
            return await probe(service, settings)

    checks = await asyncio.gather(*(one(service) for service in services))
    return {service.id: check for service, check in zip(services, checks, strict=True)}
