"""The layers: which files declare which services, and what a local file changes.

Lives here: the input of a merge (a linked project, a lease), and a service as it is declared once the local file lies
over the project file, with the place of each of its keys.
Not here: values (`resolve.py`), who gets a name (`claims.py`).

In the local file tables merge, arrays and mounts replace. `port`, `upstream` and a number in `listens` say the same
thing, so one of them in the local file replaces the others in the project file.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import PurePath

import msgspec
from msgspec import UNSET

from devproxy.problems import Problem, Severity, Wrong
from devproxy.registry.decode import Decoded
from devproxy.registry.model import Lease, Project, service_id, split_id
from devproxy.registry.schema import LocalFile, ProjectFile, ServiceTable, UserFile
from devproxy.registry.toml import Path

_TABLES = ("env", "env_names", "health", "request_headers", "response_headers")


class Linked(msgspec.Struct, frozen=True):
    """A linked project, its file (None: nothing usable yet), and the local file beside it.

    `trust` is the digest of the commands that were trusted, "" where none were.
    """

    project: Project
    shared: Decoded[ProjectFile] | None
    local: Decoded[LocalFile] | None = None
    trust: str = ""

    @property
    def file(self) -> str:
        """The project's file, "" where nothing of it is usable."""
        return self.shared.file if self.shared else ""


class Declared(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A service as its files declare it. `changed` are the keys that stand in the local file (`over`)."""

    name: str
    project: Project | None
    table: ServiceTable
    base: Decoded[UserFile] | Decoded[ProjectFile] | Decoded[LocalFile]
    over: Decoded[LocalFile] | None = None
    changed: frozenset[Path] = frozenset()

    @property
    def id(self) -> str:
        return service_id(self.name, self.project)

    def place(self, path: Path = ()) -> tuple[str, int, int]:
        """File, line and column of a key of its table; of its header without one."""
        decoded = self._file(path)
        return decoded.file, *decoded.places.at(("services", self.name, *path))

    @property
    def serves(self) -> bool:
        """Whether it listens on a port, and so has names."""
        return self.table.kind in (UNSET, "server")

    @property
    def address_key(self) -> str:
        """The key that says where it is."""
        given = (name for name in ("upstream", "port", "listens") if getattr(self.table, name) is not UNSET)
        return next(given, "port")

    @property
    def label(self) -> str:
        """The label of its checkout, "" where it has none."""
        return self.project.label if self.project else ""

    def is_shared(self, path: Path) -> bool:
        """Whether a key of its table stands in a project's own file, which comes from someone else."""
        return isinstance(self._file(path).value, ProjectFile)

    def _file(self, path: Path) -> "Decoded[UserFile] | Decoded[ProjectFile] | Decoded[LocalFile]":
        is_over = path[:1] in self.changed or path[:2] in self.changed
        return self.over if is_over and self.over is not None else self.base

    def cite(self, path: Path = ()) -> str:
        """`web.shop` and where it says so, for the second place of a conflict."""
        file, line, _ = self.place(path)
        return f"`{self.id}` ({file}:{line})"

    def problem(self, path: Path, wrong: Wrong, severity: Severity = "error") -> Problem:
        """What is wrong, at the place of a key."""
        return problem_at(self.place(path), wrong, severity, self.name)


def problem_at(place: tuple[str, int, int], wrong: Wrong, severity: Severity = "error", service: str = "") -> Problem:
    """What is wrong, at a file, line and column."""
    file, line, column = place
    return Problem(
        code=wrong.code,
        message=wrong.what,
        file=file,
        line=line,
        column=column,
        why=wrong.why,
        fix=wrong.fix,
        severity=severity,
        service=service,
    )


def beside(file: str, path: str) -> str:
    """`path` as it is written in `file`, made absolute (`..` is left to the operating system, because of symlinks)."""
    return _folder(file) if path == "." else str(PurePath(file).parent / path)


@lru_cache(maxsize=64)
def _folder(file: str) -> str:
    return str(PurePath(file).parent)


def of_user(user: Decoded[UserFile]) -> Iterator[Declared]:
    """The services of the user registry."""
    for name, table in (user.value.services if user.value else {}).items():
        yield Declared(name=name, project=None, table=table, base=user)


def of_project(link: Linked) -> Iterator[Declared]:
    """The services of a project, under the name it is linked by, with the local file laid over them."""
    if link.shared is None or link.shared.value is None:
        return
    local = link.local.value.services if link.local and link.local.value else {}
    for name, table in link.shared.value.services.items():
        if name in local:
            merged, changed = override(table, local[name])
            base, over = link.shared, link.local
            yield Declared(name=name, project=link.project, table=merged, base=base, over=over, changed=changed)
        else:
            yield Declared(name=name, project=link.project, table=table, base=link.shared)
    for name, table in local.items():
        if name not in link.shared.value.services and name not in link.shared.left_out and link.local is not None:
            yield Declared(name=name, project=link.project, table=table, base=link.local)


def of_lease(lease: Lease) -> Declared:
    """The service that nothing but a lease declares."""
    name, project = split_id(lease.service)
    hosts = list(lease.hosts) if lease.hosts else UNSET
    base = Decoded[LocalFile](file=lease.file, value=None)
    table = ServiceTable(port=lease.port, hosts=hosts) if lease.port else ServiceTable(kind="worker")
    return Declared(name=name, project=project, table=table, base=base)


def own_name(shared: Decoded[ProjectFile] | None, local: Decoded[LocalFile] | None) -> str | None:
    """The name that a project gives itself, in the local file before its own; None while nothing says it."""
    for decoded in (local, shared):
        if decoded is not None and decoded.value is not None and decoded.value.project is not UNSET:
            return decoded.value.project
    return None


def left_out(link: Linked) -> frozenset[str]:
    """The services of a project that its files have, but with errors."""
    files = (link.shared, link.local)
    return frozenset().union(*(decoded.left_out for decoded in files if decoded is not None))


def short_named(project: Project, services: Sequence[Declared], missing: frozenset[str]) -> Declared | None:
    """The service that also answers at `<project>.<tld>`: the one that is named like it, or its only one.

    TCP services, workers and tasks have no say. Those in error (`missing`) do: mending one must not take the name from
    another.
    """
    web = [declared for declared in services if declared.table.protocol != "tcp" and declared.serves]
    for declared in web:
        if declared.name == project.base:
            return declared
    names = {declared.name for declared in web} | missing
    return web[0] if len(web) == len(names) == 1 else None


def override(table: ServiceTable, local: ServiceTable) -> tuple[ServiceTable, frozenset[Path]]:
    """`table` with the keys that `local` has, and which keys those are."""
    values = {name: value for name in table.__struct_fields__ if (value := getattr(table, name)) is not UNSET}
    changed: set[Path] = set()
    for name in local.__struct_fields__:
        value = getattr(local, name)
        if value is UNSET:
            continue
        if name in _TABLES and name in values:
            inner = _as_dict(value)
            values[name] = _merged(values[name], inner)
            changed |= {(name, key) for key in inner}
        else:
            values[name] = value
            changed.add((name,))
            for other in _displaced(name, value, values.get("listens")):
                values.pop(other, None)
    return ServiceTable(**values), frozenset(changed)


def _displaced(name: str, value: object, listens: object) -> tuple[str, ...]:
    """The other keys that say where the service is, whose place this one takes."""
    if name == "upstream":
        return ("port", "listens")
    if name == "port":
        return ("upstream", "listens") if isinstance(listens, int) else ("upstream",)
    if name == "listens":
        return ("upstream", "port") if isinstance(value, int) else ("upstream",)
    return ()


def _as_dict(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    assert isinstance(value, msgspec.Struct)
    return {name: part for name in value.__struct_fields__ if (part := getattr(value, name)) is not UNSET}


def _merged(table: object, changes: dict[str, object]) -> object:
    return table | changes if isinstance(table, dict) else msgspec.structs.replace(table, **changes)  # type: ignore[type-var]
