"""From a hostname and a request target to a route.

Lives here: RouteTable, built once from a registry and frozen; a reload builds a new one.
Not here: parsing a Host field (`authority.py`), what happens when nothing matches (`proxy/decide.py`).

An exact host beats a wildcard, a longer wildcard a shorter one; below a host the longest path prefix that ends on a
segment boundary wins. Prefixes compare with the raw bytes of the target: nothing is decoded, no dot segment removed.
A look-up walks the labels of the name and the segments of the path, so it costs the same with ten services and ten
thousand.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from devproxy.http1.edits import FieldEdit, PathMove, ResponseEdit
from devproxy.registry.model import HeaderEdits, Mount, Project, Registry, Service, Upstream
from devproxy.routing.authority import under
from devproxy.text import WordIndex, host_port
from devproxy.urls import control_hosts


class Route(msgspec.Struct, frozen=True, eq=False):
    """(host, path prefix) → service.

    `prefix` is `b""` for the whole host, else begins with `/` and does not end in one. What the registry changes in
    messages is made ready here, once.
    """

    service: Service
    host: str
    prefix: bytes
    strip: bool
    mount: Mount | None = None
    name: bytes = b""  # the service's id, as it stands in Devproxy-Chain
    as_sent: bool = True  # a client's fields pass unless a standard says otherwise
    request_edit: FieldEdit = FieldEdit()  # what the registry changes, made ready once
    response_edit: ResponseEdit | None = None
    move: PathMove | None = None
    redirects: bool = False  # a request by http is to come again by https

    def __post_init__(self) -> None:
        service, mount = self.service, self.mount
        request, response = _edit(service.request_headers), _edit(service.response_headers)
        move = None
        if mount is not None:
            request = request.then(_edit(mount.request_headers))
            response = response.then(_edit(mount.response_headers))
            move = PathMove(self.host.encode(), self.prefix, _own(service.upstream)) if mount.strip_rewrite else None
        found = {
            "name": service.id.encode(),
            "as_sent": service.host_header == "keep" and move is None and request == _UNEDITED,
            "request_edit": request,
            "response_edit": _response_edit(response, move, _passing(service)),
            "move": move,
            "redirects": service.redirect,
        }
        for name, value in found.items():
            msgspec.structs.force_setattr(self, name, value)

    def target(self, target: bytes) -> bytes:
        """The request target as the service sees it: without the prefix where the mount strips it, at least `/`."""
        if not self.strip:
            return target
        rest = target[len(self.prefix) :]
        return rest if rest.startswith(b"/") else b"/" + rest


_UNEDITED: Final = FieldEdit()


def _response_edit(fields: FieldEdit, move: PathMove | None, passes: frozenset[bytes]) -> ResponseEdit | None:
    return None if fields == _UNEDITED and move is None and not passes else ResponseEdit(fields, move, passes)


def _passing(service: Service) -> frozenset[bytes]:
    policies = ((b"strict-transport-security", service.hsts), (b"alt-svc", service.alt_svc))
    return frozenset(name for name, policy in policies if policy == "pass")


def _edit(edits: HeaderEdits) -> FieldEdit:
    return _UNEDITED if edits == HeaderEdits() else FieldEdit.of(edits.remove, edits.set, edits.add)


def _own(upstream: Upstream | None) -> frozenset[bytes]:
    """The authorities by which a service may name itself."""
    if upstream is None or upstream.path:
        return frozenset()
    return frozenset(host_port(host, upstream.port).encode() for host in ("localhost", *upstream.hosts))


class HostRoutes:
    """The routes below one hostname."""

    __slots__ = ("_mounts", "_segments", "host", "root")

    def __init__(self, host: str):
        self.host = host
        self.root: Route | None = None
        self._mounts: dict[bytes, Route] = {}
        self._segments = 0

    def add(self, route: Route) -> None:
        """Take a route; the first one at a prefix stays (a second is a problem that `registry/merge.py` reports)."""
        if not route.prefix:
            self.root = self.root or route
        else:
            self._mounts.setdefault(route.prefix, route)
            self._segments = max(self._segments, route.prefix.count(b"/"))

    def serves(self, project: Project | None) -> bool:
        """Whether a service of this project answers below the host; None is your own registry."""
        routes = [*self._mounts.values(), *([self.root] if self.root else [])]
        return any(route.service.project == project for route in routes)

    def match(self, target: bytes) -> Route | None:
        """The route for a request target in origin-form, or None."""
        if not self._mounts:
            return self.root
        path = target.partition(b"?")[0]
        parts = path.split(b"/", self._segments + 1)[: self._segments + 1]
        while len(parts) > 1:
            route = self._mounts.get(b"/".join(parts))
            if route is not None:
                return route
            parts.pop()
        return self.root


class RouteTable:
    """Every route. Built by `build`, never changed afterwards."""

    __slots__ = ("_exact", "_index", "_wildcards", "control", "services", "tlds")

    def __init__(self, tlds: tuple[str, ...]):
        self.tlds = tlds
        self.control = control_hosts(tlds)
        self.services: dict[str, Service] = {}
        self._exact: dict[str, HostRoutes] = {}
        self._wildcards: dict[str, HostRoutes] = {}
        self._index: WordIndex | None = None  # of the names, once somebody has mistaken one

    @classmethod
    def build(cls, registry: Registry) -> "RouteTable":
        """A table of all HTTP services of `registry`; TCP services have no routes here."""
        table = cls(registry.settings.tlds)
        for service in registry.services:
            table.services[service.id] = service
            if service.protocol == "http":
                table._add_service(service)
        return table

    def _add_service(self, service: Service) -> None:
        for host in service.hosts:
            self._at(host).add(Route(service, host, b"", False))
        for mount in service.mounts:
            prefix = mount.path.rstrip("/").encode("utf-8")
            self._at(mount.host).add(Route(service, mount.host, prefix, mount.strip, mount))

    def _at(self, host: str) -> HostRoutes:
        table, key = (self._wildcards, host[2:]) if host.startswith("*.") else (self._exact, host)
        routes = table.get(key)
        if routes is None:
            routes = table[key] = HostRoutes(host)
        return routes

    def lookup(self, host: str) -> HostRoutes | None:
        """The routes of a hostname (lower case, no port), or None where it is not registered."""
        routes = self._exact.get(host)
        if routes is None and self._wildcards:
            parent = host
            while routes is None and "." in parent:
                parent = parent.partition(".")[2]
                routes = self._wildcards.get(parent)
        return routes

    def pageless_service(self, host: str) -> Service | None:
        """The service without a web page (TCP, a worker, a task) whose id stands before one of our top-level domains:
        its name, if it had one."""
        for tld in self.tlds:
            service = self.services.get(host.removesuffix(f".{tld}"))
            if service is None or not under(host, (tld,)):
                continue
            if service.protocol == "tcp" or not service.serves:
                return service
        return None

    def covers(self, host: str) -> bool:
        """Whether `host` is a name under one of our top-level domains, registered or not."""
        return under(host, self.tlds)

    def hosts(self) -> Iterable[str]:
        """Every registered hostname, wildcards as `*.x`."""
        yield from self._exact
        for parent in self._wildcards:
            yield f"*.{parent}"

    def near(self, host: str, limit: int = 3) -> list[str]:
        """Registered hostnames that look like `host`, the nearest first."""
        if self._index is None:
            self._index = WordIndex(name for name in self._exact if name not in self.control)
        return self._index.near(host, limit)
