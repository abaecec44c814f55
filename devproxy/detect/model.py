"""What a survey finds: services as a project file would declare them, and what was seen and left out.

How it works: each source gives a `Seen`; `gather` puts them together, and makes names valid and unique. Pure.
Not here: looking (`project.py` and one file for each kind of thing that is read), the text of the file (`render.py`).
"""

from collections.abc import Iterable, Sequence

import msgspec

from devproxy.registry.hostnames import RESERVED, slug
from devproxy.registry.model import HostHeader, ServiceKind


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A service: its keys of a `[services.NAME]` table, and where it was seen (`package.json: scripts.dev`).

    `notes`: what its owner reads above its keys. `starts_others`: its command starts several things, which may have
    been found one by one.
    """

    name: str
    origin: str
    command: str | tuple[str, ...] | None = None
    cwd: str = "."
    kind: ServiceKind = "server"
    port: int | None = None
    speaks_tls: bool = False  # at `port`
    listen: int | None = None
    protocol: str = "http"
    scheme: str = ""
    host_header: HostHeader = "keep"
    depends_on: tuple[str, ...] = ()
    env: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    starts_others: bool = False

    @property
    def serves(self) -> bool:
        return self.kind == "server"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What one source says; `project` is the name that it gives the whole. `remarks` are for a person."""

    services: tuple[Candidate, ...] = ()
    project: str = ""
    remarks: tuple[str, ...] = ()


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder says, with names that are valid and unique."""

    project: str
    services: tuple[Candidate, ...] = ()
    remarks: tuple[str, ...] = ()


def gather(seen: Iterable[Seen], folder_name: str, name: str = "") -> Survey:
    """All of it together; the first source that has a name for a service or the project, or a service that has a port,
    wins."""
    seen = list(seen)
    project = name or next((each.project for each in seen if slug(each.project)), folder_name)
    taken: dict[str, Candidate] = {}
    holders: dict[int, str] = {}
    shared: list[str] = []
    for source in seen:
        names = {service.name: _free(slug(service.name) or "app", taken) for service in source.services}
        for service in source.services:
            depends_on = tuple(names[other] for other in service.depends_on if other in names)
            named = names[service.name]
            if named in taken:
                named = _free(slug(service.name) or "app", taken)
            taken[named] = msgspec.structs.replace(service, name=named, depends_on=depends_on)
            port = service.port or service.listen
            if port is not None and holders.setdefault(port, named) != named:
                shared.append(f"{service.origin}: port {port} is that of `{holders[port]}`: it gets a free one")
                taken[named] = msgspec.structs.replace(taken[named], port=None, listen=None)
    remarks = (*(remark for source in seen for remark in source.remarks), *shared)
    return Survey(project=_free(slug(project) or "app", ()), services=tuple(taken.values()), remarks=remarks)


def _free(name: str, taken: "dict[str, Candidate] | Sequence[str]") -> str:
    name = name if name != RESERVED else f"{RESERVED}-app"
    free, number = name, 2
    while free in taken:
        free, number = f"{name[:59]}-{number}", number + 1
    return free
