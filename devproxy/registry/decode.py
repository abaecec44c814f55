"""TOML text → the types of `schema.py`, collecting every problem of a file.

How it works: the text is parsed (`toml.py`), and taken apart into the tables that the file may have, each of which is
read by itself (`validate.py`), so that one fault hides no other. `Decoded` holds the valid parts, everything that is
wrong, in the order of the file, and where each key stands.
Not here: bytes (`storage/files.py`), conflicts with other files (`merge.py`).

A service with an error is left out whole: a line that is ignored may have been the one that protects it. Of `[proxy]`
only the settings that are wrong are left out.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from devproxy.problems import Problem, Wrong, refuse_unseen
from devproxy.registry import hostnames, messages
from devproxy.registry.model import Project
from devproxy.registry.schema import LinkTable, LocalFile, ProjectFile, ProxyTable, ServiceTable, UserFile
from devproxy.registry.toml import Places, parse
from devproxy.registry.validate import Findings, Tables
from devproxy.registry.values import env_file_path
from devproxy.text import shown

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class Decoded(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One file (absolute) as read: its valid parts, every problem, and where its keys stand.

    `value` is None where there are no valid parts: a syntax error, or a project file without a valid name.
    `left_out` are the services that are not in `value` because of errors, by name, as the file spells them.
    """

    file: str
    value: T | None
    problems: tuple[Problem, ...] = ()
    places: Places = Places("")
    left_out: Mapping[str, Mapping[str, Any]] = {}

    @property
    def ok(self) -> bool:
        return not any(problem.severity == "error" for problem in self.problems)


def decode_user(text: str, file: str) -> Decoded[UserFile]:
    """The user registry: `[proxy]`, `[services.*]`, `[projects.*]`."""
    return _decode(text, file, _user)


def decode_project(text: str, file: str) -> Decoded[ProjectFile]:
    """A project file: `project`, `[services.*]`."""
    return _decode(text, file, _project)


def decode_local(text: str, file: str) -> Decoded[LocalFile]:
    """The local file beside a project file: the same keys, each of them optional."""
    return _decode(text, file, _local)


def _decode(text: str, file: str, build: Callable[["_Parts"], T | None]) -> Decoded[T]:
    parsed = parse(text, file)
    if isinstance(parsed, Problem):
        return Decoded(file=file, value=None, problems=(parsed,))
    data, places = parsed
    parts = _Parts(data, Findings(file, places), text)
    value = build(parts)
    return Decoded(
        file=file,
        value=value,
        problems=parts.findings.in_order(),
        places=places,
        left_out=parts.left_out,
    )


def _user(parts: "_Parts") -> UserFile:
    parts.only("proxy", "services", "projects")
    return UserFile(proxy=parts.proxy(), services=parts.services(), projects=parts.projects())


def _project(parts: "_Parts") -> ProjectFile | None:
    parts.only("project", "write_env", "services")
    name, write_env, services = parts.name(required=True), parts.write_env(), parts.services()
    if name is None:
        parts.leave_out(*services)
        return None
    return ProjectFile(project=name, write_env=write_env, services=services)


def _local(parts: "_Parts") -> LocalFile:
    parts.only("project", "write_env", "services")
    name, write_env, services = parts.name(required=False), parts.write_env(), parts.services()
    return LocalFile(project=UNSET if name is None else name, write_env=write_env, services=services)


class _Parts:
    """The tables of one file, taken apart one by one."""

    def __init__(self, data: dict[str, Any], findings: Findings, text: str):
        self.data = data
        self.findings = findings
        self.tables = Tables(findings, suspect="\\" in text or not text.isascii())
        self.left_out: dict[str, dict[str, Any]] = {}

    def only(self, *known: str) -> None:
        """Problems for every other key at the top of the file."""
        for key, value in self.data.items():
            if key not in known:
                self.findings.wrong((key,), _astray(key, value, known))

    def name(self, *, required: bool) -> str | None:
        text = self.data.get("project")
        if text is None and not required:
            return None
        try:
            if text is None:
                raise self._nameless()
            if not isinstance(text, str):
                self.tables.misfit(ProjectFile, "project", text)
                return None
            return hostnames.name(text)
        except Wrong as wrong:
            self.findings.wrong(("project",), wrong)
            return None

    def _nameless(self) -> Wrong:
        folder = re.split(r"[/\\]", self.findings.file)[-2:-1]
        slug = hostnames.slug(folder[0]) if folder else ""
        return Wrong(
            "the file does not say which `project` it is",
            why="the project's name is the middle of its hostnames",
            fix=f'add `project = "{slug or "shop"}"` as the first line',
            code="missing-key",
        )

    def write_env(self) -> str | UnsetType:
        if "write_env" not in self.data:
            return UNSET
        text = self.data["write_env"]
        if not isinstance(text, str) or not text:
            self.tables.misfit(ProjectFile, "write_env", text)
            return UNSET
        try:
            refuse_unseen(text)
            return env_file_path(text)
        except Wrong as wrong:
            said = Wrong(f"`write_env`: {wrong.what}", why=wrong.why, fix=wrong.fix, code=wrong.code)
            self.findings.wrong(("write_env",), said)
            return UNSET

    def proxy(self) -> ProxyTable:
        data = self.data.get("proxy", {})
        if not isinstance(data, dict):
            self.findings.wrong(("proxy",), messages.not_a_table("proxy", data))
            return ProxyTable()
        table = self.tables.read(ProxyTable, data, ("proxy",), lenient=True) or ProxyTable()
        if table.http == table.https and isinstance(table.http, int):
            self.findings.wrong(
                ("proxy", "https"),
                Wrong(
                    "`https` is the same port as `http`",
                    why="a port has one protocol",
                    fix="give each a port of its own, or leave one out",
                    code="duplicate-port",
                ),
            )
            table = msgspec.structs.replace(table, https=msgspec.UNSET)
        for index, tld in enumerate(table.tlds or ()):
            doubt = hostnames.doubt_about_tld(tld.lower())
            if doubt:
                wrong = Wrong(f'"{tld}" is a poor choice', why=doubt[0], fix=doubt[1], code="poor-tld")
                self.findings.wrong(("proxy", "tlds", index), wrong, severity="warning")
        return table

    def services(self) -> dict[str, ServiceTable]:
        services = self._named("services", ServiceTable)
        for name, table in list(services.items()):
            if twice := _said_twice(table):
                self.findings.wrong(("services", name, twice[1]), _both(*twice))
                del services[name]
                self.leave_out(name)
        return services

    def projects(self) -> dict[str, LinkTable]:
        return self._named("projects", LinkTable)

    def _named(self, part: str, kind: type[S]) -> dict[str, S]:
        """The tables `[part.NAME]`, without those that have errors."""
        data = self.data.get(part, {})
        if not isinstance(data, dict):
            self.findings.wrong((part,), messages.not_a_table(part, data))
            return {}
        found: dict[str, S] = {}
        for name, table in data.items():
            value = self._one(kind, (part, name), table)
            if value is not None:
                found[name] = value
            elif part == "services":
                self.leave_out(name)
        return found

    def leave_out(self, *names: str) -> None:
        """Keep these services out of the value, and as they are spelt."""
        for name in names:
            table = self.data["services"][name]
            self.left_out[name] = table if isinstance(table, dict) else {}

    def _one(self, kind: type[S], path: tuple[str, str], data: Any) -> S | None:
        value, (part, name) = None, path
        if isinstance(data, dict):
            value = self.tables.read(kind, data, path)
        else:
            self.findings.wrong(path, messages.not_a_table(f"{part}.{name}", data))
        try:
            (Project.parse if part == "projects" else hostnames.name)(name)
        except Wrong as wrong:
            self.findings.wrong(path, wrong)
            return None
        return value


def _said_twice(table: ServiceTable) -> tuple[str, str] | None:
    """Two keys of which each says where the service is."""
    given = {name for name in ("port", "upstream") if getattr(table, name) is not msgspec.UNSET}
    if isinstance(table.listens, int) or ("upstream" in given and table.listens is not msgspec.UNSET):
        given.add("listens")
    pairs = (("port", "upstream"), ("port", "listens"), ("upstream", "listens"))
    return next((pair for pair in pairs if given.issuperset(pair)), None)


def _both(one: str, other: str) -> Wrong:
    return Wrong(
        f"`{one}` and `{other}` are both given",
        why="each of them says where the service is",
        fix="remove one of them",
        code="port-and-upstream",
    )


def _astray(key: str, value: Any, known: tuple[str, ...]) -> Wrong:
    """A key at the top of a file that has no place there."""
    if key in ("proxy", "projects"):
        return Wrong(
            f"[{key}] has no place in a project's file",
            why="a file that a team shares does not change the proxy of the person who links it",
            fix=f"move [{key}] to your own registry.toml",
            code="misplaced-key",
        )
    if key in ("project", "write_env"):
        return Wrong(
            f"`{key}` has no place in the user registry",
            why="services here belong to no project",
            fix="put it into the project's own devproxy.toml and link that: devproxy link",
            code="misplaced-key",
        )
    if (
        isinstance(value, dict)
        and set(value) & set(ServiceTable.__struct_fields__)
        and messages.near(key, known) is None
    ):
        fits = hostnames.slug(key) or "web"
        fix = f"write [services.{fits}]"
        return Wrong(f"unknown key `{shown(key)}`", why="services stand below `services`", fix=fix, code="unknown-key")
    return messages.unknown_key(key, known)
