"""Files and leases → one frozen `Registry`; conflicts between them are problems that name both places.

How it works: `merge` goes through the steps in order, each of which has a file: the layers and what they declare
(`layers.py`), who has which name (`claims.py`), what each service says (`resolve.py`), what services say about each
other (`conflicts.py`), and where TCP services are listened for (`listeners.py`). What is wrong with links is found
here, and so is what more can be said of services that are left out for an error: all that needs the settings and
nothing else.

Layers, weakest first: user registry, project file, local file, lease. A conflict never costs more than the name, port
or dependency it is about: the rest of both services works. The problems of the files come along, and all are sorted by
place.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
from msgspec import UNSET, structs

from devproxy.problems import Problem, Wrong
from devproxy.registry import conflicts, hostnames, resolve
from devproxy.registry.addresses import upstream
from devproxy.registry.claims import Claims, divide
from devproxy.registry.decode import Decoded
from devproxy.registry.layers import (
    Declared,
    Linked,
    left_out,
    of_lease,
    of_project,
    of_user,
    own_name,
    problem_at,
    short_named,
)
from devproxy.registry.listeners import listen_addresses
from devproxy.registry.model import Lease, Project, ProxySettings, Registry, Service
from devproxy.registry.schema import UserFile
from devproxy.registry.toml import Path
from devproxy.text import devproxy_command

Table = Mapping[str, Any]


def merge(
    user: Decoded[UserFile] | None,
    projects: Sequence[Linked] = (),
    leases: Iterable[Lease] = (),
    *,
    problems: Iterable[Problem] = (),
    own_ports: Iterable[int] = (),
    without_https: bool = False,
) -> Registry:
    """The registry that these files make together.

    `user` is None where there is no user registry; `projects` are in the order of its [projects]. `problems` are those
    of `loader.py`: unreadable files, and what is wrong with a file whose last good content is passed here. `own_ports`
    are those that the running proxy really has, where known; `without_https` where it has none for https.
    """
    step = _Merge(user, projects, {lease.service: lease for lease in leases})
    step.problems += problems
    step.name()
    step.resolve()
    step.connect(own_ports)
    step.lead_to_https(without_https=without_https)
    return step.registry()


class _Merge:
    """One merge, step by step; `services` fills up from `declared`."""

    def __init__(self, user: Decoded[UserFile] | None, projects: Sequence[Linked], leases: dict[str, Lease]):
        self.problems: list[Problem] = []
        for decoded in (user, *(part for link in projects for part in (link.shared, link.local))):
            self.problems += decoded.problems if decoded is not None else ()
        self.proxy = resolve.settings(user.value.proxy) if user and user.value else ProxySettings()
        links, wrong = _sound_links(projects, user)
        self.problems += wrong
        self.problems += _left_out_problems(user, links, self.proxy.tlds)
        self.leases = leases
        self.file = user
        self.links = {link.project: link for link in links} if user is not None else {}
        self.user = list(of_user(user)) if user else []
        self.projects = {link.project: list(of_project(link)) for link in links}
        self.left_out = {link.project: left_out(link) for link in links}
        self.declared = {declared.id: declared for declared in (*self.user, *chain(*self.projects.values()))}
        self.leased = [of_lease(lease) for name, lease in leases.items() if name not in self.declared]
        self.declared |= {declared.id: declared for declared in self.leased}
        self.services: dict[str, Service] = {}
        self.claims = Claims(self.proxy, self._owners())

    def _owners(self) -> dict[str, Declared | None]:
        bases = (project.base for project in self.projects)
        return dict.fromkeys(bases) | {declared.name: declared for declared in self.user}

    def name(self) -> None:
        """Who has which name."""
        shorts = [
            declared
            for project, services in self.projects.items()
            if (declared := short_named(project, services, self.left_out[project])) is not None
        ]
        divide(self.claims, self.user, [*chain(*self.projects.values())], shorts, self.leased)
        self.problems += self.claims.problems

    def resolve(self) -> None:
        """What each service says, and whether its command is trusted."""
        trusted = {
            project: bool(link.trust) and link.trust == resolve.trust_digest(link.file, self.projects[project])
            for project, link in self.links.items()
        }
        for name, declared in self.declared.items():
            link = self.links.get(declared.project) if declared.project else None
            is_trusted = declared.project is None or (link is not None and trusted[link.project])
            lease = self.leases.get(name)
            self.services[name], problems = resolve.service(declared, self.proxy, lease, trusted=is_trusted)
            self.problems += problems
            if not is_trusted and link is not None:
                self.problems += resolve.untrusted_problems(declared, link)

    def connect(self, own_ports: Iterable[int]) -> None:
        """What services say about ports and about each other."""
        own = conflicts.OwnPorts(self.proxy, own_ports)
        for name, declared in self.declared.items():
            leads_elsewhere, problems = own.check(declared, self.services[name])
            self.problems += problems
            if not leads_elsewhere:
                self.services[name] = structs.replace(self.services[name], upstream=None)
        self.listen, problems = listen_addresses(
            [(declared, self.services[name]) for name, declared in self.declared.items()], self.proxy, own.certain
        )
        self.problems += problems
        self.problems += conflicts.variables_named_twice(self.declared.values())
        self.depends_on = self._dependencies()
        if self.file is not None:
            for index, wrong in conflicts.unguarded(self.proxy.tlds, self.services.values()):
                place = (self.file.file, *self.file.places.at(("proxy", "tlds", index)))
                self.problems.append(problem_at(place, wrong, "warning"))

    def lead_to_https(self, *, without_https: bool) -> None:
        """What leads to https, where there is none."""
        is_off = self.proxy.https == "off"
        if not is_off and not without_https:
            return
        wrong = conflicts.without_https if is_off else conflicts.without_port_for_https
        for declared in self.declared.values():
            if declared.table.redirect is True:
                self.problems.append(declared.problem(("redirect",), wrong("redirect"), "warning"))
        if self.file is not None:
            for name in conflicts.keys_to_https(self.proxy):
                place = (self.file.file, *self.file.places.at(("proxy", name)))
                self.problems.append(problem_at(place, wrong(name), "warning"))

    def _dependencies(self) -> dict[str, tuple[str, ...]]:
        """By id, what is started before; without what is unknown, and without what would go in a circle."""
        found: dict[str, tuple[str, ...]] = {}
        for name, declared in self.declared.items():
            found[name], problems = conflicts.dependencies(declared, self.declared)
            self.problems += problems
            self.problems += conflicts.unfilled(declared, self.declared)
            self.problems += conflicts.unexpanded(declared)
        for circle in conflicts.circles(found):
            self.problems.append(conflicts.circular(circle, self.declared))
            found[circle[-1]] = tuple(name for name in found[circle[-1]] if name != circle[0])
        return found

    def registry(self) -> Registry:
        """What came of it."""
        services = (
            structs.replace(
                service,
                hosts=tuple(self.claims.hosts.get(name, ())),
                mounts=tuple(self.claims.mounts.get(name, ())),
                listen=self.listen.get(name),
                depends_on=self.depends_on[name],
            )
            for name, service in self.services.items()
        )
        return Registry(
            settings=self.proxy,
            services=tuple(sorted(services, key=lambda service: service.id)),
            env_files=tuple(file for link in self.links.values() if (file := resolve.env_file(link)) is not None),
            problems=tuple(sorted(dict.fromkeys(self.problems), key=_order)),
        )


def _order(problem: Problem) -> tuple[str, int, int]:
    return problem.file, problem.line, problem.column


# Links


def _sound_links(links: Sequence[Linked], user: Decoded[UserFile] | None) -> tuple[list[Linked], list[Problem]]:
    """The links, each file once, and what is wrong with the others. A link's key is the project's name in any case."""
    sound: dict[str, Linked] = {}
    problems: list[Problem] = []
    for link in sorted(links, key=_is_misnamed):  # stable: the right name first
        file = link.shared.file if link.shared else f"\0{link.project}"
        first = sound.setdefault(file, link)
        wrong = None
        if first is not link:
            wrong = _linked_twice(link, first, user)
        elif (name := own_name(link.shared, link.local)) is not None and _is_misnamed(link):
            wrong = _misnamed(link, name)
        if wrong is not None:
            problems.append(problem_at(_place_of_link(link, user), wrong))
    kept = {link.project for link in sound.values()}
    return [link for link in links if link.project in kept], problems


def _is_misnamed(link: Linked) -> bool:
    return own_name(link.shared, link.local) != link.project.base


def _place_of_link(link: Linked, user: Decoded[UserFile] | None) -> tuple[str, int, int]:
    if user is not None:
        return user.file, *user.places.at(("projects", str(link.project)))
    return link.file, 1, 1


def _linked_twice(link: Linked, first: Linked, user: Decoded[UserFile] | None) -> Wrong:
    file, line, _ = _place_of_link(first, user)
    return Wrong(
        f"{link.project.header} links a file that is linked already",
        why=f"{first.project.header} ({file}:{line}) links it, too",
        fix=f"remove one of them: {devproxy_command('unlink', str(link.project))}",
        code="duplicate-link",
    )


def _misnamed(link: Linked, name: str) -> Wrong:
    named_by = link.local if link.local and link.local.value and link.local.value.project is not UNSET else link.shared
    assert named_by is not None
    line, _ = named_by.places.at(("project",))
    return Wrong(
        f"{link.project.header} links a project that is called `{name}`",
        why=f"`project` says so ({named_by.file}:{line}); until both agree its hostnames are made of `{link.project}`",
        fix=f"rename it to {Project(name, link.project.label).header}",
        code="project-name",
    )


# Services that are left out


def _left_out_problems(
    user: Decoded[UserFile] | None, links: Iterable[Linked], tlds: tuple[str, ...]
) -> Iterator[Problem]:
    """More problems of the services that have errors in the user registry, a project's file or the one beside it."""
    for name, table in user.left_out.items() if user else ():
        yield from _of_table(user, name, table, tlds)
    for link in links:
        for name in left_out(link):
            own = _own(link, name)
            yield from _of_table(link.local, name, own, tlds)
            if link.shared and name in link.shared.left_out:
                table = link.shared.left_out[name]
                kept = {key: value for key, value in table.items() if key not in _replaced(own)}
                yield from _of_table(link.shared, name, kept, tlds, is_shared=True)


def _own(link: Linked, name: str) -> Table:
    """The service's table in the local file, with an error or without."""
    if link.local is None:
        return {}
    good = link.local.value.services.get(name) if link.local.value else None
    return link.local.left_out.get(name, {}) if good is None else msgspec.to_builtins(good)


def _replaced(own: Table) -> Collection[str]:
    return {*own, "upstream"} if "port" in own else own.keys()


def _of_table(
    decoded: Decoded[Any] | None, name: str, table: Table, tlds: tuple[str, ...], *, is_shared: bool = False
) -> Iterator[Problem]:
    if decoded is None:
        return
    found = [(path, hostnames.misplaced(host.lower(), tlds)) for path, host in _hosts(table)]
    found.append((("upstream",), _socket_fault(table.get("upstream"), decoded.file, is_shared)))
    for path, wrong in found:
        if wrong is not None:
            place = (decoded.file, *decoded.places.at(("services", name, *path)))
            yield problem_at(place, wrong, service=name)


def _hosts(table: Table) -> Iterator[tuple[Path, str]]:
    """The hostnames of a table that are right in themselves, each with its place."""
    hosts, mounts = table.get("hosts"), table.get("mount")
    for index, host in enumerate(hosts if isinstance(hosts, list) else ()):
        if _is_sound(host, hostnames.host_pattern):
            yield ("hosts", index), host
    for index, mount in enumerate(mounts if isinstance(mounts, list) else ()):
        if isinstance(mount, dict) and _is_sound(mount.get("host"), hostnames.host):
            yield ("mount", index, "host"), mount["host"]


def _socket_fault(text: Any, file: str, is_shared: bool) -> Wrong | None:
    if not _is_sound(text, upstream):
        return None
    path = upstream(text).path
    return resolve.socket_fault(path, file, is_shared=is_shared) if path else None


def _is_sound(value: Any, parse: Any) -> bool:
    try:
        return isinstance(value, str) and bool(parse(value))
    except Wrong:
        return False
