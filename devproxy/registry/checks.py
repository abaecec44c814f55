"""Which key has which parser: the rules of the files that a type cannot say, as a table.

Lives here: per table of `schema.py`, the parser of each key that has one.
Not here: the parsers (`values.py`, `hostnames.py`, `addresses.py`), rules between keys or files (`decode.py`, `merge.py`).

A parser takes one value and raises Wrong; `EACH` wraps one that is for the elements of a list. What a parser returns is
ignored here and used in `resolve.py`, so that both agree.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from devproxy.registry import schema
from devproxy.registry.addresses import upstream
from devproxy.registry.hostnames import host, host_pattern, service_name, tld
from devproxy.registry.values import (
    digest,
    duration,
    host_template,
    mount_path,
    origin,
    plain_path,
    port_range,
    probe_path,
    size,
    some_time,
    status_set,
)
from devproxy.registry.wrong import Wrong

# Ports that no browser opens: https://fetch.spec.whatwg.org/#port-blocking
# fmt: off
BLOCKED_PORTS = frozenset((
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190,
    5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
))
# fmt: on


class EACH(msgspec.Struct, frozen=True):
    """A parser for the elements of a list; a value that is no list passes."""

    parse: Callable[[Any], object]


def browser_port(port: int) -> int:
    """A port that browsers open. Raises Wrong."""
    if port in BLOCKED_PORTS:
        raise Wrong(
            f"browsers refuse to open port {port}",
            why="it is on the Fetch standard's list of blocked ports",
            fix="choose another port, or leave the key out",
            code="blocked-port",
        )
    return port


CHECKS: dict[type[msgspec.Struct], dict[str, Callable[[Any], object] | EACH]] = {
    schema.ServiceTable: {
        "upstream": upstream,
        "hosts": EACH(host_pattern),
        "response_timeout": some_time,
        "hold": duration,
        "cross_site": EACH(origin),
        "cwd": plain_path,
        "depends_on": EACH(service_name),
        "idle_stop": some_time,
    },
    schema.MountTable: {"host": host, "path": mount_path},
    schema.HealthTable: {
        "path": probe_path,
        "status": status_set,
        "interval": some_time,
        "timeout": some_time,
    },
    schema.ProxyTable: {
        "http": browser_port,
        "https": browser_port,
        "tlds": EACH(tld),
        "host_template": host_template,
        "hold": duration,
        "response_timeout": some_time,
        "header_timeout": some_time,
        "idle_timeout": some_time,
        "grace": duration,
        "max_header": size,
        "cross_site": EACH(origin),
        "ports": port_range,
    },
    schema.LinkTable: {"trust": digest},
}
