"""The merged registry: what the rest of devproxy sees, all of it frozen.

Lives here: plain values with every default filled in and every spelling resolved (seconds, bytes, absolute paths,
lower-case hostnames).
Not here: what a file may say (`schema.py`), how files become this (`decode.py`, `merge.py`).
"""

import re
import sys
from typing import Final, Literal

import msgspec

from devproxy.addresses import LOOPBACKS
from devproxy.problems import Problem
from devproxy.registry import hostnames
from devproxy.text import host_port
from devproxy.urls import UrlScheme, url

Scheme = Literal["http", "https", "h2c", "tcp"]
Protocol = Literal["http", "tcp"]
HostHeader = Literal["keep", "upstream"]
CrossSite = Literal["refuse", "allow"] | tuple[str, ...]  # or the origins that may use the service
ExposurePolicy = Literal["warn", "refuse", "allow"]
OtherUserPolicy = Literal["refuse", "allow"]
PinPolicy = Literal["drop", "pass"]
CrossProtocolPolicy = Literal["refuse", "allow"]
AddressKind = Literal["shared", "own"]
StartPolicy = Literal["manual", "on-request"]
RestartPolicy = Literal["never", "on-failure", "always"]
ServiceKind = Literal["server", "worker", "task"]
HttpsPort = int | Literal["off"] | None
StopSignal = Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGKILL"]

# Seconds that nothing waits for: `never`. Not infinity, which JSON does not have: registries are written and read back.
NO_TIME_LIMIT: Final = sys.float_info.max

MAIN_CHECKOUT: Final = "main"  # what `{checkout}` is for a checkout without a label


class Project:
    """A project as it is linked: the name that its file gives it, and the label of a checkout beside another one.

    The label stands before the name everywhere: `fix-ui.shop` is the key of the link, `web.fix-ui.shop` the id of a
    service, and hostnames are made likewise. What `shop` and `fix-ui.shop` are called never meets: a host that the file
    names is moved below the label as well, or both checkouts would claim it. In order, the checkouts of a project stand
    together, the one without a label first. In JSON it is its text (`storage/files.py`, `daemon/runtime.py`).
    """

    __slots__ = ("base", "label")

    base: Final[str]
    label: Final[str]

    def __init__(self, base: str, label: str = ""):
        self.base = base
        self.label = label

    @classmethod
    def of(cls, text: str) -> "Project":
        """The project that is written `shop` or `fix-ui.shop`; the reverse of `str`."""
        label, _, base = text.rpartition(".")
        return cls(base, label)

    @classmethod
    def parse(cls, text: str) -> "Project":
        """As `of`. Raises Wrong where `text` cannot be the name of a project or of a checkout."""
        project = cls.of(text)
        hostnames.name(project.base)
        if "." in text:
            hostnames.name(project.label)
        return project

    def __str__(self) -> str:
        return f"{self.label}.{self.base}" if self.label else self.base

    def __repr__(self) -> str:
        return f"Project({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Project) and (self.base, self.label) == (other.base, other.label)

    def __lt__(self, other: "Project") -> bool:
        return (self.base, self.label) < (other.base, other.label)

    def __hash__(self) -> int:
        return hash((self.base, self.label))

    @property
    def checkout(self) -> str:
        """Its label, or `main`: lower-case letters, digits, `-` and `_`, and no two checkouts have the same. It is a
        name that Compose takes, and a label that is `main` itself has something that no label can have behind it."""
        if not self.label:
            return MAIN_CHECKOUT
        return self.label if self.label != MAIN_CHECKOUT else f"{self.label}_worktree"

    @property
    def header(self) -> str:
        """The header of its link in the user registry."""
        return f'[projects."{self}"]' if self.label else f"[projects.{self}]"

    def host(self, service: str, template: str, tld: str) -> str:
        """The hostname that a service of it has by its names (`host_template`)."""
        base = self.base
        if "{worktree}" not in template:
            base = str(self)
        elif not self.label:
            template = re.sub(r"\{worktree\}[.-]?", "", re.sub(r"[.-]\{worktree\}", "", template))
        filled = template.replace("{worktree}", self.label).replace("{service}", service).replace("{project}", base)
        return filled.replace("{tld}", tld)

    def moved(self, host: str, tlds: tuple[str, ...]) -> str:
        """A hostname of its file (in lower case, maybe a wildcard) as this checkout has it: `shop.localhost` is
        `fix-ui.shop.localhost`. The label stands right before the last label in front of the TLD."""
        tld = hostnames.under(host, tlds)
        if not self.label or tld is None:
            return host
        front, dot, last = host.removesuffix(f".{tld}").rpartition(".")
        return f"{front}{dot}{self.label}.{last}.{tld}" if last != "*" else f"{front}{dot}{last}.{self.label}.{tld}"


def service_id(name: str, project: Project | None) -> str:
    """`web.shop`, or `web` without a project: unique in a registry, since a name has no dot in it."""
    return name if project is None else f"{name}.{project}"


def split_id(text: str) -> tuple[str, Project | None]:
    """The name and the project of the service with this id; the reverse of `service_id`."""
    name, dot, project = text.partition(".")
    return name, Project.of(project) if dot else None


def parse_id(text: str) -> tuple[str, Project | None]:
    """As `split_id`. Raises Wrong where `text` cannot be the id of a service."""
    name, dot, project = text.partition(".")
    return hostnames.name(name), Project.parse(project) if dot else None


class Source(msgspec.Struct, frozen=True):
    """Where a service is declared: an absolute file name and a line that counts from 1."""

    file: str
    line: int

    @property
    def where(self) -> str:
        """`file:line`, empty where no file declares it."""
        return f"{self.file}:{self.line}" if self.file else ""


class Upstream(msgspec.Struct, frozen=True, cache_hash=True):
    """The address a service is reached at: loopback literals and a TCP port, or the path of a unix socket.

    `hosts` holds the literals to try, in order (`127.0.0.1`, `::1`), and is empty for a unix socket, whose `port` is 0.
    `any_user`: whoever listens there is dialled, also another user of this machine.
    Hashable: everything that outlives a reload (connections, health, counters) is keyed by it.
    """

    scheme: Scheme
    hosts: tuple[str, ...] = ()
    port: int = 0
    path: str = ""
    any_user: bool = False

    @property
    def text(self) -> str:
        """As a person would write it: `http://127.0.0.1:9000`, `unix:/run/app.sock`; both loopbacks are `localhost`."""
        return f"unix:{self.path}" if self.path else url(self.scheme, self.authority)

    @property
    def authority(self) -> str:
        """The Host that means this address: `localhost:5173`, `[::1]:9443`; `localhost` for a unix socket."""
        if self.path:
            return "localhost"
        return host_port(self.hosts[0] if len(self.hosts) == 1 else "localhost", self.port)

    def place(self, host: str) -> str:
        """Where a connection goes: one of `hosts` with the port, or the socket's path."""
        return self.path or host_port(host, self.port)


class ListenAddress(msgspec.Struct, frozen=True):
    """Where the proxy listens for a TCP service: loopback literals, and one port on all of them."""

    hosts: tuple[str, ...]
    port: int

    @property
    def own(self) -> str:
        """The address that no other service has; "" where it is those that all share."""
        return "" if self.hosts[0] in LOOPBACKS else self.hosts[0]

    @property
    def places(self) -> list[str]:
        """Every address with the port: `127.0.0.1:5432`, `[::1]:5432`."""
        return [host_port(host, self.port) for host in self.hosts]


class HeaderEdits(msgspec.Struct, frozen=True):
    """What is changed in the fields of a message: removed first, then set, then added."""

    remove: tuple[str, ...] = ()
    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields that it is about."""
        return tuple(dict.fromkeys((*self.remove, *(name for name, _ in (*self.set, *self.add)))))


class Mount(msgspec.Struct, frozen=True):
    """A path prefix below a hostname at which a service also answers; `path` begins with `/`, and does not end so.

    `strip_rewrite`: paths that the service answers with are moved below the prefix. The edits come after the service's.
    """

    host: str
    path: str
    strip: bool = False
    strip_rewrite: bool = False
    request_headers: HeaderEdits = HeaderEdits()
    response_headers: HeaderEdits = HeaderEdits()


class Health(msgspec.Struct, frozen=True):
    """How a service is probed: `path` None is a TCP connect; `interval` and `timeout` in seconds."""

    path: str | None = None
    status: str = "2xx"
    interval: float = 10.0
    timeout: float = 2.0


class EnvNames(msgspec.Struct, frozen=True, kw_only=True):
    """More names of variables for a service's URL, host and port; "" is none."""

    url: str = ""
    host: str = ""
    port: str = ""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One service with everything resolved.

    `id` is unique in a registry: `web.shop` in project `shop`, `app` without one. `hosts` are lower-case names without
    a port, wildcards as `*.shop.localhost`; the first is the one that URLs are made of; none are left where others hold
    them all. `upstream` is None while nothing says which port it has. `listen` is where the proxy takes connections for
    a TCP service, whose URL has `scheme` and `path`; `cross_protocol` says whether it may be sent HTTP requests.
    `listens` is the port that the command listens on by itself, or the text of its log that names it. `mounts` is empty
    for `protocol` tcp, whose `hosts` are names to show, not routes. `cwd` and each of `env_file` are absolute.
    `idle_stop` None is never. `trusted`: its command may be run without a person asking for it each time; `leased`: it
    runs now, or is about to.
    Times in seconds.
    """

    id: str
    name: str
    project: Project | None
    hosts: tuple[str, ...]
    mounts: tuple[Mount, ...] = ()
    upstream: Upstream | None = None
    kind: ServiceKind = "server"
    protocol: Protocol = "http"
    listen: ListenAddress | None = None
    scheme: str = ""
    path: str = ""
    cross_protocol: CrossProtocolPolicy = "refuse"
    listens: int | str | None = None
    host_header: HostHeader = "keep"
    origin_header: HostHeader = "keep"
    request_headers: HeaderEdits = HeaderEdits()
    response_headers: HeaderEdits = HeaderEdits()
    response_timeout: float = NO_TIME_LIMIT
    hold: float = 3.0
    cross_site: CrossSite = "refuse"
    exposure: ExposurePolicy = "warn"
    other_user: OtherUserPolicy = "refuse"
    redirect: bool = False
    hsts: PinPolicy = "drop"
    alt_svc: PinPolicy = "drop"
    health: Health = Health()
    command: str | tuple[str, ...] | None = None
    cwd: str = ""
    env: tuple[tuple[str, str], ...] = ()
    env_file: tuple[str, ...] = ()
    env_names: EnvNames = EnvNames()
    ca_bundle: bool = True
    depends_on: tuple[str, ...] = ()
    start: StartPolicy = "manual"
    restart: RestartPolicy = "on-failure"
    stop_signal: StopSignal = "SIGTERM"
    stop_grace: float = 10.0
    idle_stop: float | None = None
    trusted: bool = False
    leased: bool = False
    source: Source

    @property
    def command_line(self) -> str:
        """The command as a person would type it, "" where there is none."""
        import shlex

        return shlex.join(self.command) if isinstance(self.command, tuple) else self.command or ""

    @property
    def serves(self) -> bool:
        """Whether it listens on a port, and so has an address and names; a worker and a task do not."""
        return self.kind == "server"

    @property
    def awaits_requests(self) -> bool:
        """Whether its first request, or connection, is to start it, once its command is trusted."""
        return self.start == "on-request" and self.command is not None and self.serves and self.is_reached

    @property
    def first(self) -> str:
        """What starts it, in words."""
        return "first request" if self.protocol == "http" else "first connection"

    @property
    def is_reached(self) -> bool:
        """Whether clients reach it through the proxy."""
        return self.protocol == "http" or self.listen is not None

    @property
    def starts_on_request(self) -> bool:
        """Whether its first request, or connection, starts it."""
        return self.trusted and self.awaits_requests


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True):
    """`[proxy]` with defaults. Times in seconds, sizes in bytes.

    `http` and `https` None mean "the standard port, else 7080 / 7443", and `https` "off" none at all. `max_connections`
    None means as many as the descriptor limit bears. `ports` is the first and the last port that `run` allocates from,
    `listen_ports` those that `listen = "auto"` is one of.
    """

    http: int | None = None
    https: HttpsPort = None
    url_scheme: UrlScheme = "auto"
    redirect: bool = False
    hsts: PinPolicy = "drop"
    alt_svc: PinPolicy = "drop"
    tlds: tuple[str, ...] = ("localhost",)
    host_template: str = "{service}.{project}.{tld}"
    hold: float = 3.0
    response_timeout: float = NO_TIME_LIMIT
    header_timeout: float = 10.0
    idle_timeout: float = 75.0
    grace: float = 10.0
    max_header: int = 65536
    max_response_header: int = 262144
    max_headers: int = 256
    max_connections: int | None = None
    cross_site: CrossSite = "refuse"
    exposure: ExposurePolicy = "warn"
    other_user: OtherUserPolicy = "refuse"
    exposure_header: bool = True
    exposure_proof: bool = True
    ports: tuple[int, int] = (20000, 29999)
    listen_ports: tuple[int, int] = (10000, 19999)
    autostart: bool = True
    ca_bundle: bool = True
    access_log: bool = False
    trusted_forwarded: bool = False


class EnvFile(msgspec.Struct, frozen=True):
    """The file in which a project has its variables kept current (`write_env`): its path, absolute, and the folder of
    the project, which it is below."""

    project: Project
    path: str
    folder: str
    source: Source


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the files say, merged: settings, services sorted by id, files of variables, and every open problem."""

    settings: ProxySettings = ProxySettings()
    services: tuple[Service, ...] = ()
    env_files: tuple[EnvFile, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def has_errors(self) -> bool:
        """Whether a file could not be taken as it stands."""
        return any(problem.severity == "error" for problem in self.problems)


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """What a service that `devproxy run` started has right now: its id, TCP port and process.

    It holds as long as process `pid`, which started at `started` (seconds since 1970), runs. `port` is 0 where it
    listens nowhere. `hosts` are more names for it, `checkout` the folder that it was started from, `group` the process
    group of its command and `group_started` the start time of that group's leader. `file` (absolute) is where the lease
    is kept. A lease of an id that no file declares declares it.
    """

    service: str
    port: int = 0
    pid: int
    started: float = 0.0
    hosts: tuple[str, ...] = ()
    checkout: str = ""
    group: int = 0
    group_started: float = 0.0
    file: str = ""
