"""Short ways to write what the proxy's functions take: field sections, services, registries, readings.

Lives here: values for the tests of this folder; pure.
Not here: tests, sockets (`daemon/runtime.py`).
"""

from typing import Any

from devproxy.http1.fields import Section, section
from devproxy.http1.grammar import Fault
from devproxy.proxy.decide import Reading, read
from devproxy.proxy.forward import Peer
from devproxy.registry.model import ProxySettings, Registry, Service, Source, Upstream
from devproxy.routing.table import Route, RouteTable

LOCAL = Upstream("http", ("127.0.0.1", "::1"), 5173)
CLIENT = Peer(b"127.0.0.1", b"http", b"80")


def lines(*fields: bytes) -> bytes:
    """Field lines, each ended by CR LF."""
    return b"".join(field + b"\r\n" for field in fields)


def fields(*each: bytes) -> Section:
    """A section of these field lines."""
    found = section(b"\r\n".join(each), 1000)
    assert isinstance(found, Section), found
    return found


def service(name: str = "web", **options: Any) -> Service:
    """A service at `<name>.localhost`."""
    values: dict[str, Any] = {
        "id": name,
        "name": name.partition(".")[0],
        "project": name.partition(".")[2] or None,
        "hosts": (f"{name}.localhost",),
        "upstream": LOCAL,
        "source": Source("/team/devproxy.toml", 7),
        **options,
    }
    return Service(**values)


def table(*services: Service, **settings: Any) -> RouteTable:
    """A table of these services; of `web` alone where there are none."""
    return RouteTable.build(Registry(settings=ProxySettings(**settings), services=services or (service(),)))


def route(prefix: bytes = b"", *, strip: bool = False, **options: Any) -> Route:
    """A route to `web` at its own name."""
    return Route(service(**options), "web.localhost", prefix, strip)


def reading(*each: bytes, routes: RouteTable | None = None, minor: int = 1, authority: bytes | None = None) -> Reading:
    """What the section of these fields means; it must be a good one."""
    found = read(fields(*each), minor, routes or table(), authority)
    assert isinstance(found, Reading), found
    return found


def fault(found: object) -> Fault:
    """`found`, which must be a fault."""
    assert isinstance(found, Fault), found
    return found
