"""URLs: the one place that makes them.

Lives here: how scheme, host, port and path become a URL (RFC 3986), which scheme a person is told, what a service is
reached at, and where devproxy's own pages are. All of them are without a `/` at their end, so that a script can put a
path behind it.
"""

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from devproxy.text import bracketed, host_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devproxy.registry.model import Mount, Service

STANDARD_PORTS: Final = {"http": 80, "https": 443}
CONTROL_LABEL: Final = "devproxy"  # the name of our own pages below each top-level domain


def url(scheme: str, authority: str, path: str = "") -> str:
    """The parts in their order; an empty scheme is the one of the page that the URL stands on (RFC 3986 §4.2)."""
    return f"{scheme}://{authority}{path}" if scheme else f"//{authority}{path}"


def host_url(scheme: str, host: str, port: int | None, path: str = "") -> str:
    """The URL of a host: its port is left out where it is the scheme's own, or not known (None)."""
    known = port is None or port == STANDARD_PORTS.get(scheme)
    return url(scheme, bracketed(host) if known or port is None else host_port(host, port), path)


WebScheme = Literal["http", "https"]
UrlScheme = Literal["auto", "http", "https"]


class Ports(NamedTuple):
    """The ports that the proxy has, one a scheme; None where it has none, or nobody knows. `scheme` is the one that
    URLs bear (`url_scheme`)."""

    http: int | None = None
    https: int | None = None
    scheme: WebScheme = "http"

    @property
    def known(self) -> tuple[int, ...]:
        return tuple(port for port in (self.http, self.https) if port is not None)

    @property
    def port(self) -> int | None:
        """The port of URLs."""
        return self.https if self.scheme == "https" else self.http

    def url(self, host: str, path: str = "") -> str:
        """The URL that a person opens to reach `host`."""
        return host_url(self.scheme, host, self.port, path)


def url_scheme(wanted: UrlScheme, https: int | None, *, trusted: bool) -> WebScheme:
    """The scheme of URLs, by `[proxy] url_scheme`; `trusted`: no client of this machine would warn of https."""
    if wanted != "auto":
        return wanted
    return "https" if https is not None and trusted else "http"


def service_url(service: "Service", ports: Ports) -> str:
    """The URL that a person opens, empty where there is none.

    A service whose `protocol` is tcp has `listen`, or where it has none the address where it is itself, with its own
    scheme and path: `postgresql://127.0.0.1:5432/shop`.
    """
    if service.protocol == "tcp":
        host, port = client_place(service)
        if not host:
            return service.upstream.text if service.upstream else ""
        return url(service.scheme or "tcp", host_port(host, port), service.path)
    return ports.url(service.hosts[0]) if service.hosts else ""


def client_place(service: "Service") -> tuple[str, int]:
    """The host and port at which a client finds a service that it does not know by a name: where the proxy listens for
    it, else where it is itself. "" and 0 where it is a unix socket, or nothing says where it is."""
    place = service.listen or service.upstream
    return (place.hosts[0], place.port) if place is not None and place.hosts else ("", 0)


class ClientAddress(NamedTuple):
    """What a client of a service connects to: a host and a port ("" and 0 where it is a unix socket), and its URL."""

    host: str
    port: int
    url: str


def client_address(service: "Service", ports: Ports) -> ClientAddress | None:
    """Where a client finds a service, by the same rule as its URL: a web service at its name and the proxy's port, a
    TCP service where the proxy listens for it, else where it is itself. None where it has no address."""
    found = service_url(service, ports)
    if not found:
        return None
    if service.protocol == "http":
        return ClientAddress(service.hosts[0], ports.port or STANDARD_PORTS[ports.scheme], found)
    return ClientAddress(*client_place(service), found)


def mount_url(mount: "Mount", ports: Ports) -> str:
    """The URL of a path below another service's host."""
    return ports.url(mount.host, mount.path)


def control_hosts(tlds: "Sequence[str]") -> frozenset[str]:
    """The names of devproxy's own pages."""
    return frozenset(f"{CONTROL_LABEL}.{tld}" for tld in tlds)


def control_link(tlds: "Sequence[str]", port: int | None) -> str:
    """The same for a page that a browser has got at `port`, whose scheme it keeps."""
    return host_url("", f"{CONTROL_LABEL}.{tlds[0]}", port, "/")


def control_url(tlds: "Sequence[str]", ports: Ports) -> str:
    """Where devproxy's own pages are: `http://devproxy.localhost:7080`."""
    return ports.url(f"{CONTROL_LABEL}.{tlds[0]}")
