"""The condition of services for one command, without the proxy: what the socket table says, in milliseconds.

Not here: asking the services as well (`one_shot.py`), the processes behind the sockets (`scanner.py`). Nothing heavy is
imported: `ls` has no time for it.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import structs

from devproxy.health.exposure import judge_port, judged_listener, listening_host, other_user_listening
from devproxy.health.model import NO_PORT, Check, CommandRun, Condition, Listener, Scan
from devproxy.health.state import condition_of
from devproxy.net import sockdiag
from devproxy.net.users import is_other_user
from devproxy.registry.model import Service


def from_socket_table(
    services: Iterable[Service], runs: Mapping[str, CommandRun] = MappingProxyType({})
) -> dict[str, Condition]:
    """By service id; `runs` is what became of their commands.

    Empty where the system's table cannot be read so cheaply (only Linux has one).
    """
    try:
        raw = sockdiag.listeners()
    except OSError:
        return {}
    by_port: dict[int, list[Listener]] = {}
    for one in raw:
        by_port.setdefault(one.port, []).append(_listener(one))
    return {service.id: _condition(service, by_port, runs.get(service.id)) for service in services}


def _listener(raw: sockdiag.RawListener) -> Listener:
    return Listener(
        address=raw.address,
        port=raw.port,
        family="ipv6" if ":" in raw.address else "ipv4",
        v6only=raw.v6only,
        device=raw.device,
        is_other_user=is_other_user(raw.uid),
    )


def _condition(service: Service, by_port: dict[int, list[Listener]], run: CommandRun | None) -> Condition:
    upstream = service.upstream
    if upstream is None:
        return condition_of(service, Check(up=False, why=NO_PORT), run)
    if upstream.path:
        return Condition(why="devproxy health asks it", exposure="loopback", exposure_why="a unix socket", run=run)
    listeners = tuple(by_port.get(upstream.port, ()))
    judged = judge_port(upstream.port, Scan(listeners=listeners))
    host, other = listening_host(upstream, listeners), other_user_listening(upstream, listeners)
    reached = host is not None
    who = "something" if reached else "nothing" if other is None else "another user of this machine"
    why = f"{who} listens on port {upstream.port}"
    return structs.replace(
        condition_of(service, Check(up=reached, why=why, accepted=reached), run),
        exposure=judged.verdict,
        exposure_why=judged.why,
        listeners=tuple(judged_listener(listener) for listener in listeners),
    )
