"""A compose file (the Compose Specification): its services that publish a port here, as devproxy starts them.

Lives here: which port of a service is the one that is meant, how it is started so that each checkout has its own, and
what a person is told to change for that, or because others in the network reach it.
Not here: the files and what they come to (`compose_files.py`), an entry of `ports` and its mended text
(`compose_ports.py`), asking a container engine.

Each checkout has a Compose project of its own (`COMPOSE_PROJECT_NAME`), and its port comes in a variable: the one that
the file has for it, or one that a person is told to write there. A database is then found at the port that was
published (`listen`), whichever port its container has; a web service by its name, and its checkout without a label also
at the port that was published. `docker compose up web` would start what `web` depends on as well, without the port
that devproxy gives that: `--no-deps` leaves it to `depends_on`, and what publishes nothing is named with it.
"""

import re
from collections import deque
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from devproxy.detect.compose_files import ComposeProject, ComposeService, load, references
from devproxy.detect.compose_ports import PublishedPort, read_entry
from devproxy.detect.files import remark_missing
from devproxy.detect.model import Candidate, Seen
from devproxy.registry.values import WELL_KNOWN_PORTS
from devproxy.text import shown

_SCHEMES = (
    *("amqp", "amqps", "cassandra", "ftp", "imap", "kafka", "ldap", "memcached", "mongodb", "mqtt", "mysql", "nats"),
    *("pop3", "postgresql", "redis", "smtp", "sqlserver", "ssh"),
)
# What does not speak HTTP, by the port inside the container: the scheme of its URLs, "" where none is in use
SCHEMES_OF_PORTS = {WELL_KNOWN_PORTS[scheme]: scheme for scheme in _SCHEMES} | {
    1025: "smtp",
    1521: "",
    26257: "postgresql",
    33060: "",
}
# The last part of an image's name, where that speaks one protocol alone, whatever its port is
_IMAGES = {
    "postgresql": "postgres postgresql postgis pgvector timescaledb timescaledb-ha",
    "mysql": "mysql mysql-server mariadb percona percona-server",
    "redis": "redis valkey keydb",
    "memcached": "memcached",
    "mongodb": "mongo mongodb mongodb-community-server",
    "cassandra": "cassandra scylla",
}
SCHEMES_OF_IMAGES = {image: scheme for scheme, images in _IMAGES.items() for image in images.split()}
_HTTPS_PORTS = frozenset({443, 8443})  # inside the container
_NATIVE_CLICKHOUSE = 9000  # of this port alone the image tells that it is not the web's
_MOST_NAMED = 50  # services that go with one
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_UP = ("docker", "compose", "up", "--no-log-prefix")


class _Published(NamedTuple):
    """A service with the entries of its `ports`; `main` is the one that devproxy leads to, None where there is none."""

    service: ComposeService
    entries: list[PublishedPort]
    main: PublishedPort | None
    variable: str  # that moves its port
    is_new: bool  # a person has to write it into the file first

    @property
    def is_moved(self) -> bool:
        """Whether devproxy can give it a port."""
        return bool(self.variable)


def look(root: Path) -> Seen:
    """What the compose files in `root` publish."""
    project = load(root)
    if project is None:
        return Seen()
    found: dict[str, _Published] = {}
    remarks = list(dict.fromkeys(project.remarks))
    told: set[object] = set()  # lines that several services have, by `extends`
    for name, service in project.services.items():
        entries, said = _entries(service)
        fault = _fault(project, service, entries)
        published = _published(project, service, entries, has_main=not fault)
        if not fault:
            found[name] = published
        remarks += [*said, *([fault] if fault else ())]
        for entry in entries:
            text = "" if service.is_on_host else _change(project, published, entry)
            if text and entry.place not in told:
                told.add(entry.place)
                remarks.append(text)
        remarks += _shared_name(service) if not fault else ()
    remarks += _volumes(project) if found else ()
    candidates = tuple(_candidate(project, found, published) for published in found.values())
    return Seen(services=candidates, remarks=(*remarks, *(remark_missing("docker") if found else ())))


def _entries(service: ComposeService) -> tuple[list[PublishedPort], list[str]]:
    """What it publishes, and what to say of entries that cannot be read."""
    found, remarks = [], []
    for part in service.ports:
        entry = read_entry(part)
        if entry is not None:
            found.append(entry)
        else:
            text = ", ".join(part.value) if isinstance(part.value, dict) else str(part.value or part.raw)
            remarks.append(f"{part.place}: `{shown(text)}` is not understood as a port that is published")
    return found, remarks


def _fault(project: ComposeProject, service: ComposeService, entries: list[PublishedPort]) -> str:
    """Why a service is left out; "" where it is not."""
    name = service.name
    if not _NAME.fullmatch(name):
        return f"{service.place}: `{shown(name)}` is left out: it is not a name for a service"
    if service.profiles and project.profiles.isdisjoint(service.profiles):
        profiles = ", ".join(f"`{shown(profile)}`" for profile in service.profiles)
        return f"{service.place}: `{name}` is left out: it belongs to {profiles}, which is not switched on"
    if service.is_on_host and service.network_mode is not None:
        return (
            f"{service.network_mode.place}: `{name}` is left out: with `network_mode: host` it listens on the"
            " interfaces of this machine, and `ports` say nothing: remove the line, and publish its port on 127.0.0.1"
        )
    if not any(entry.is_fixed for entry in entries):
        return f"{service.place}: `{name}` is left out: it publishes no port that is fixed"
    return ""


def _published(
    project: ComposeProject, service: ComposeService, entries: list[PublishedPort], *, has_main: bool
) -> _Published:
    fixed = [entry for entry in entries if entry.is_fixed] if has_main else []
    main = next((entry for entry in fixed if not entry.is_range), fixed[0] if fixed else None)
    variable = main.variable(project.variables) if main is not None else ""
    is_new = main is not None and not main.is_range and not variable
    return _Published(service, entries, main, _variable(service.name) if is_new else variable, is_new)


def _variable(name: str) -> str:
    """The variable that a person is told to write: `DB_PORT`."""
    text = re.sub(r"\W", "_", f"{name}_PORT", flags=re.ASCII).upper()
    return f"_{text}" if text[0].isdigit() else text


# What is told


def _change(project: ComposeProject, published: _Published, entry: PublishedPort) -> str:
    """The line that is to be changed, to what, and why; or what cannot be, with its line."""
    is_main = entry is published.main
    variable = published.variable if is_main and published.is_new else ""
    why = [_exposure(entry)] if entry.is_exposed else []
    if variable:
        why.append(f"always at {entry.port}")
    change = f": write {entry.mended(project.variables, variable)} in place of `{shown(entry.text)}`" if why else ""
    text = f"is published {' and '.join(why)}{change}" if why else ""
    only = _only_once(project, published, entry)
    if not text and not only:
        return ""
    return f"{entry.place}: `{shown(published.service.name)}` {'; '.join(part for part in (text, only) if part)}"


def _exposure(entry: PublishedPort) -> str:
    if entry.address.strip("0:.") == "":
        return "on every interface"
    return f"on {shown(entry.address)}, where others reach it,"


def _only_once(project: ComposeProject, published: _Published, entry: PublishedPort) -> str:
    """Why a second checkout cannot publish an entry, where nothing mends that."""
    if not entry.port or (entry is published.main and published.is_moved):
        return ""
    once = "one checkout at a time has it"
    if entry.protocol != "tcp":
        return f"publishes {entry.port}/{shown(entry.protocol)}, and devproxy leads to TCP ports alone: {once}"
    if published.main is None:
        return ""
    if entry.is_range:
        return f"publishes a range of ports, which no other port can stand for: {once}"
    return "" if entry.variable(project.variables) else f"publishes {entry.port} too, which stays as it is: {once}"


def _shared_name(service: ComposeService) -> list[str]:
    """A name that Compose would make of the project's, and that the file has instead."""
    part = service.container_name
    if part is None or references(str(part.raw)):
        return []
    text = f"`container_name: {shown(str(part.raw))}` is one for all checkouts, which cannot run at once"
    return [f"{part.place}: {text}: remove the line"]


def _volumes(project: ComposeProject) -> Iterator[str]:
    """Where the data is, now that each checkout has a Compose project."""
    own = [volume for volume in project.volumes.values() if not volume.is_shared]
    if own:
        names = ", ".join(f"`{shown(volume.name)}`" for volume in own)
        yield (
            f"{own[0].place}: each checkout has volumes of its own now ({names}): what they held for"
            " `docker compose` without COMPOSE_PROJECT_NAME stays in those"
        )
    for volume in project.volumes.values():
        if volume.is_shared:
            yield f"{volume.place}: the volume `{shown(volume.name)}` is one for all checkouts: give each its own"


# What is written


def _candidate(project: ComposeProject, found: dict[str, _Published], published: _Published) -> Candidate:
    service, main = published.service, published.main
    assert main is not None
    scheme = _scheme(service, main.target)
    is_tcp = scheme is not None
    moves = is_tcp and published.is_moved
    needed, started = _needed(project, service, found)
    env = {"COMPOSE_PROJECT_NAME": "{project}-{checkout}"}
    if published.is_moved:
        env[published.variable] = "{port}"
    change = _change(project, published, main)
    return Candidate(
        name=service.name,
        origin=f"{service.place.file}: services.{service.name}",
        notes=(change,) if change else (),
        command=(*_UP, *(("--no-deps", service.name, *started) if needed else (service.name,))),
        port=None if moves else main.port,
        speaks_tls=not is_tcp and main.target in _HTTPS_PORTS,
        listen=main.port if moves else None,
        protocol="tcp" if is_tcp else "http",
        scheme=scheme or "",
        depends_on=tuple(dict.fromkeys((*service.depends_on, *needed))),
        env=env,
    )


def _scheme(service: ComposeService, target: int) -> str | None:
    """The scheme of a service that does not speak HTTP, "" where there is none; None for the web."""
    image = str(service.image.value) if service.image is not None else ""
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0].lower()
    if target in SCHEMES_OF_PORTS:
        return SCHEMES_OF_PORTS[target]
    if target == _NATIVE_CLICKHOUSE and "clickhouse" in name:
        return "clickhouse"
    return SCHEMES_OF_IMAGES.get(name)


def _needed(project: ComposeProject, service: ComposeService, found: Collection[str]) -> tuple[list[str], list[str]]:
    """What a service depends on, through others too: those that devproxy starts, and those that go with it. Where these
    are more than a command can name, Compose has to know itself: none."""
    ours: dict[str, None] = {}
    theirs: dict[str, None] = {service.name: None}
    todo = deque(service.depends_on)
    while todo:
        name = todo.popleft()
        if name in found:
            ours[name] = None
        elif name in project.services and name not in theirs and _NAME.fullmatch(name):
            theirs[name] = None
            todo.extend(project.services[name].depends_on)
        if len(theirs) > _MOST_NAMED:
            return [], []
    return [name for name in ours if name != service.name], [name for name in theirs if name != service.name]
