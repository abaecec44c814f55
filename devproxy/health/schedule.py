"""When a service is checked again, and which checks the socket table makes needless.

Not here: asking (`probe.py`), what several checks come to (`board.py`). Pure: times in seconds, on any clock.
"""

from zlib import crc32

from devproxy.health.exposure import listening_host
from devproxy.health.model import Check, Scan
from devproxy.registry.model import Service
from devproxy.text import host_port

CONFIRM = 1.0  # until a service that was up is looked at again
REFUSED_FIRST, REFUSED_MOST = 30.0, 120.0  # where nothing listens: the table tells when something does
UNHEALTHY_MOST = 30.0
BLIND_MOST = 10.0  # where the table is not complete, only asking tells


def check_by_table(service: Service, scan: Scan) -> Check | None:
    """The check that need not be made, since the table says the same; None where somebody has to be asked.

    A listener that takes a loopback address of the service is what a connect would find. Where there is none, somebody
    may still answer: a NAT rule is no listener.
    """
    host = listening_host(service.upstream, scan.listeners) if service.upstream is not None else None
    if host is None or service.health.path is not None:
        return None
    return Check(up=True, why=f"listens on {host_port(host, scan.listeners[0].port)}", host=host, accepted=True)


def next_check(service: Service, check: Check, failures: int, *, doubtful: bool, complete: bool) -> float:
    """Seconds until the next check, after `failures` bad ones in a row; backs off where they stay bad.

    `doubtful`: it still counts as up, or is starting. `complete`: the table tells when something begins to listen.
    Spread a little, so that what was checked together does not stay together.
    """
    interval = service.health.interval
    if check.up:
        delay = interval
    elif doubtful:
        return CONFIRM
    elif check.accepted:
        delay = min(CONFIRM * 2 ** min(failures, 16), max(interval, UNHEALTHY_MOST))
    elif complete and service.upstream is not None and service.upstream.port:
        delay = min(REFUSED_FIRST * 2 ** min(failures - 1, 16), REFUSED_MOST)
    else:
        delay = min(CONFIRM * 2 ** min(failures - 1, 16), max(interval, BLIND_MOST))
    return delay * (0.9 + crc32(service.id.encode()) % 1024 / 5120)
