"""A look at services for one command, without the proxy: what the socket table says, in milliseconds.

Not here: asking the services as well (`one_shot.py`). Nothing heavy is imported: `ls` has no time for it.
"""

from collections.abc import Iterable
from socket import AF_INET6

from devproxy.health.exposure import judge, judge_port, takes
from devproxy.health.model import DORMANT, Condition, JudgedListener, Listener, Scan
from devproxy.net import sockdiag
from devproxy.registry.model import Service

_ASK = "devproxy health asks it"


def from_socket_table(services: Iterable[Service]) -> dict[str, Condition]:
    """By service id; empty where the system's table cannot be read so cheaply (only Linux has one)."""
    try:
        raw = sockdiag.listeners()
    except OSError:
        return {}
    by_port: dict[int, list[Listener]] = {}
    for one in raw:
        by_port.setdefault(one.port, []).append(_listener(one))
    return {service.id: _condition(service, by_port) for service in services}


def _listener(raw: sockdiag.RawListener) -> Listener:
    return Listener(
        address=raw.address,
        port=raw.port,
        family="ipv6" if raw.family == AF_INET6 else "ipv4",
        v6only=raw.v6only,
        device=str(raw.interface) if raw.interface else None,
    )


def _condition(service: Service, by_port: dict[int, list[Listener]]) -> Condition:
    upstream = service.upstream
    if upstream is None and service.starts_on_request:
        return Condition(state="down", why=DORMANT, dormant=True)
    if upstream is None:
        return Condition(why="nothing says which port it has")
    if upstream.path:
        return Condition(why=_ASK, exposure="loopback", exposure_why="a unix socket")
    scan = Scan(listeners=tuple(by_port.get(upstream.port, ())))
    judged = judge_port(upstream.port, scan)
    reached = any(takes(listener, host) for listener in scan.listeners for host in upstream.hosts)
    dormant = not reached and service.starts_on_request
    asleep = dormant and not service.leased
    return Condition(
        state="up" if reached else "starting" if dormant and service.leased else "down",
        why=DORMANT if asleep else f"{'something' if reached else 'nothing'} listens on port {upstream.port}",
        dormant=dormant,
        exposure=judged.verdict,
        exposure_why=judged.why,
        listeners=tuple(_heard(listener) for listener in scan.listeners),
    )


def _heard(listener: Listener) -> JudgedListener:
    found = judge(listener)
    return JudgedListener(
        address=listener.address, port=listener.port, family=listener.family, verdict=found.verdict, why=found.why
    )
