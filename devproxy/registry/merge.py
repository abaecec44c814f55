"""Files and leases → one frozen `Registry`; conflicts between them are problems that name both places.

Signatures (fixed; `load.py` builds on them):

    merge(
        user: Decoded[UserFile] | None,          # None: no user registry
        projects: Sequence[Linked] = (),         # in the order of [projects] of the user registry
        leases: Iterable[Lease] = (),
        *,
        problems: Iterable[Problem] = (),        # of `load.py`: unreadable files, and what is wrong with a file whose
                                                 # last good content is passed here
        own_ports: Iterable[int] = (),           # the ports that the running proxy really has, where known
    ) -> Registry

    Linked(name, project: Decoded[ProjectFile] | None, local: Decoded[LocalFile] | None)
    Lease(service, port, pid, …)
    beside(file: str, path: str) -> str          # `path` as written in `file`, made absolute (no `~`)

The `problems` of the Decoded values are taken over into `Registry.problems`.
"""

from collections.abc import Iterable, Sequence
from pathlib import PurePath

import msgspec
from msgspec import UNSET

from devproxy.registry.decode import Decoded
from devproxy.registry.model import ProxySettings, Registry, Service, Source, Upstream
from devproxy.registry.problems import Problem
from devproxy.registry.schema import LocalFile, ProjectFile, ServiceTable, UserFile


class Linked(msgspec.Struct, frozen=True):
    """A linked project: its key in `[projects]`, its file (None: nothing usable yet), and the local file beside it."""

    name: str
    project: Decoded[ProjectFile] | None
    local: Decoded[LocalFile] | None = None


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """What a service that `devproxy run` started has right now: its id, TCP port and process."""

    service: str
    port: int
    pid: int
    hosts: tuple[str, ...] = ()


def beside(file: str, path: str) -> str:
    """`path` as it is written in `file`, made absolute."""
    return str(PurePath(file).parent / path)


def merge(
    user: Decoded[UserFile] | None,
    projects: Sequence[Linked] = (),
    leases: Iterable[Lease] = (),
    *,
    problems: Iterable[Problem] = (),
    own_ports: Iterable[int] = (),
) -> Registry:
    """The registry that these files make together."""
    services: list[Service] = []
    found = list(problems)
    if user is not None:
        found += user.problems
        if user.value is not None:
            services += [_service(name, None, table, user.file) for name, table in user.value.services.items()]
    for link in projects:
        for part in (link.project, link.local):
            if part is not None:
                found += part.problems
        if link.project is not None and link.project.value is not None:
            tables = link.project.value.services
            services += [_service(name, link.name, table, link.project.file) for name, table in tables.items()]
    return Registry(
        settings=ProxySettings(),
        services=tuple(sorted(services, key=lambda service: service.id)),
        problems=tuple(found),
    )


def _service(name: str, project: str | None, table: ServiceTable, file: str) -> Service:
    identity = f"{name}.{project}" if project else name
    port = table.port
    return Service(
        id=identity,
        name=name,
        project=project,
        hosts=(f"{identity}.localhost",),
        upstream=Upstream("http", ("127.0.0.1", "::1"), port) if port is not UNSET else None,
        source=Source(file, 1),
    )
