"""The proxy that runs now, as `state/proxy.json` tells it, and what it knows of services, as `state/health.json` does.

Lives here: the types of both files, and reading them so that what a killed proxy left behind is not believed.
Not here: writing them (`main.py`, `health_publisher.py`).
"""

import msgspec

from devproxy.health.model import Condition, ServiceOwner, WaitingRequests
from devproxy.net.endpoints import endpoints, would_take
from devproxy.paths import Paths
from devproxy.problems import Problem
from devproxy.registry.model import Project, ProxySettings, Registry
from devproxy.storage.process_identity import is_same
from devproxy.urls import Ports, url_scheme


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What a running proxy says about itself.

    `started` is the process's start time (seconds since 1970), `http` and `https` the ports it really has; `protocols`
    are the names in ALPN of what it speaks over TLS (RFC 7301); `in_force` is the registry it routes by while a file
    has an error, and the last good content of that file stays; `build` is `compiled` or `interpreted`.
    """

    pid: int
    started: float
    http: int | None = None
    https: int | None = None
    protocols: tuple[str, ...] = ()
    version: str = ""
    build: str = ""
    problems: tuple[Problem, ...] = ()
    in_force: Registry | None = None

    @property
    def own_ports(self) -> tuple[int, ...]:
        return tuple(port for port in (self.http, self.https) if port is not None)


def read_running(paths: Paths) -> Running | None:
    """The proxy that runs on this state folder, or None: no file, an unreadable one, or its process is gone."""
    try:
        running = msgspec.json.decode(paths.proxy.read_bytes(), type=Running, dec_hook=_read_project)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return running if is_same(running.pid, running.started) else None


def ports_for_urls(paths: Paths, running: Running | None, settings: ProxySettings) -> Ports:
    """The ports and the scheme that URLs bear: those of the proxy that runs, or where none does those that it would
    take at this moment."""
    if running is not None and (running.http or running.https):
        return with_scheme(paths, settings, running.http, running.https)
    taken = {endpoint.scheme: would_take(endpoint, _is_free) for endpoint in endpoints(settings)}
    return with_scheme(paths, settings, taken["http"], taken.get("https"))


def _is_free(port: int) -> bool:
    from devproxy.net.loopback import is_free  # sockets, the kernel's table: a set port needs none of it

    return is_free(port)


def with_scheme(paths: Paths, settings: ProxySettings, http: int | None, https: int | None) -> Ports:
    """These ports, with the scheme that URLs bear now. Blocks (disk)."""
    trusted = settings.url_scheme == "auto" and https is not None and _is_trusted(paths, settings)
    return Ports(http, https, url_scheme(settings.url_scheme, https, trusted=trusted))


def _is_trusted(paths: Paths, settings: ProxySettings) -> bool:
    """Whether clients of this machine trust the certificates that names below our top-level domains get."""
    from devproxy.tls.trust_record import is_trusted

    return is_trusted(paths, settings.tlds)


def _read_project(kind: type, text: object) -> Project:
    """A project as the file has it: `shop`, `fix-ui.shop`. Raises ValidationError, as msgspec does."""
    if kind is not Project or not isinstance(text, str):
        raise msgspec.ValidationError(f"Expected `str`, got `{type(text).__name__}`")
    return Project.of(text)


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """`state/health.json`: what the monitor of proxy `pid` knew at `time`, and where it looked; `owners` outlive the
    proxy.
    """

    pid: int
    time: float
    services: dict[str, Condition] = {}
    owners: dict[str, ServiceOwner] = {}
    upstreams: dict[str, str] = {}
    waiting: dict[str, WaitingRequests] = {}


def read_health(paths: Paths) -> HealthReport | None:
    """`state/health.json`, or None where there is none that can be read. Whoever wrote it may have ended since."""
    try:
        return msgspec.json.decode(paths.health.read_bytes(), type=HealthReport)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def watched(paths: Paths, running: Running | None) -> HealthReport | None:
    """What the proxy that runs now knows; None where none runs, or it has not looked yet."""
    return _of(paths, running)


def waiting(paths: Paths, running: Running | None) -> dict[str, WaitingRequests]:
    """By service id, the requests that have waited long, as the proxy that runs now knows them."""
    health = _of(paths, running)
    return {} if health is None else health.waiting


def _of(paths: Paths, running: Running | None) -> HealthReport | None:
    health = read_health(paths) if running is not None else None
    return health if health is not None and running is not None and health.pid == running.pid else None
