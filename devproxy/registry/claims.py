"""Who holds which name: each (hostname, path) has one service, and the later one is told.

Lives here: the hostnames of a service, the order in which names are given away, mounts.
Not here: which request goes where (`routing/table.py`), ports and dependencies (`conflicts.py`).

The order, and so who keeps a name that two want (none is ever taken over silently):
1. the user registry, as its file is ordered: it is the user's own word;
2. every project's `<service>.<project>.<tld>`, projects in the order of their links;
3. the `hosts` of projects, in that order;
4. `<project>.<tld>` for a service that is named like its project, or is its only one;
5. what only leases name;
6. mounts, in the same order of files. They are paths of a host, so a host itself is never theirs.

A checkout that has a label gets names below it alone (`model.py`: Project), so two checkouts of one project share none.

A project file comes from someone else. Beyond exact duplicates it gets no name or mount below another project's name
or below a service of the user registry, its name or its `hosts`, whatever the project is called: such a name could set
and read their cookies (RFC 6265 §5.2.3), or be taken for them. That holds for the names that are made of its own, too.
"""

from collections.abc import Iterable, Sequence

from msgspec import UNSET

from devproxy.problems import Problem, ProblemCode, Severity, Wrong
from devproxy.registry import hostnames
from devproxy.registry.layers import Declared
from devproxy.registry.model import Mount, ProxySettings
from devproxy.registry.resolve import header_edits
from devproxy.registry.schema import MountTable
from devproxy.registry.toml import Path
from devproxy.text import nearest_word, shown


class Claims:
    """The names given away so far.

    `owners`: the name before the TLD → the service of the user registry that has it; None if it is a project's.
    """

    def __init__(self, proxy: ProxySettings, owners: dict[str, Declared | None]):
        self.proxy = proxy
        self.owners = owners
        self.problems: list[Problem] = []
        self.holders: dict[tuple[str, str], tuple[Declared, Path]] = {}
        self.hosts: dict[str, list[str]] = {}
        self.mounts: dict[str, list[Mount]] = {}

    def own_names(self, declared: Declared) -> None:
        """`<service>.<project>.<tld>`, or `<service>.<tld>` without a project."""
        for tld in self.proxy.tlds:
            project = declared.project
            host = project.host(declared.name, self.proxy.host_template, tld) if project else f"{declared.name}.{tld}"
            above = self._users_above(declared, host)
            if above is not None:
                self.problems.append(declared.problem((), _below(host, above)))
            else:
                self.host(declared, host, ())

    def more_hosts(self, declared: Declared) -> None:
        """The `hosts` of its file."""
        for index, host in enumerate(declared.table.hosts or ()):
            path = ("hosts", index)
            name = self._moved(declared, host)
            wrong = self._fault(declared, name)
            if wrong is not None:
                self.problems.append(declared.problem(path, wrong))
            else:
                self.host(declared, name, path)

    def short_names(self, declared: Declared) -> None:
        """`<project>.<tld>`, unless a service of the same project asked for it by `hosts`."""
        for tld in self.proxy.tlds:
            host = f"{declared.project}.{tld}"
            holder = self.holders.get((host, "/"))
            if holder is None or holder[0].project != declared.project:
                self.host(declared, host, (), "warning")

    def host(self, declared: Declared, host: str, path: Path, severity: Severity = "error") -> None:
        """Give `host` to a service unless somebody has it."""
        if not _is_possible(host):
            self.problems.append(declared.problem(path, _impossible(host)))
            return
        holder = self.holders.setdefault((host, "/"), (declared, path))
        if holder[0] is not declared:
            fix = "choose another name, or remove one of the two"
            if severity == "warning":
                fix = "use the longer name" if holder[0].project else _RENAME
            self.problems.append(declared.problem(path, _taken(host, holder, fix, "duplicate-host"), severity))
        elif host not in (own := self.hosts.setdefault(declared.id, [])):
            own.append(host)

    def mount(self, declared: Declared, index: int, table: MountTable) -> None:
        """Give a path of a host to a service unless somebody has it."""
        path: Path = ("mount", index)
        host = self._moved(declared, table.host)
        wrong = self._fault(declared, host) or self._foreign_host(declared, host)
        if wrong is not None:
            self.problems.append(declared.problem((*path, "host"), wrong))
            return
        holder = self.holders.setdefault((host, table.path), (declared, path))
        if holder != (declared, path):
            wrong = _taken(
                host + table.path, holder, "choose another path, or remove one of the two", "duplicate-mount"
            )
            self.problems.append(declared.problem((*path, "path"), wrong))
            return
        mount = Mount(
            host,
            table.path,
            table.strip is True,
            table.strip is True and table.strip_rewrite is True,
            header_edits(table.request_headers),
            header_edits(table.response_headers),
        )
        self.mounts.setdefault(declared.id, []).append(mount)
        if not self._is_answered(host) and host not in self._short_names(declared):
            self.problems.append(declared.problem((*path, "host"), self._lonely(host), "warning"))

    def _moved(self, declared: Declared, host: str) -> str:
        """A hostname that a file spells, as the service's checkout has it."""
        lower = host.lower()
        return declared.project.moved(lower, self.proxy.tlds) if declared.project else lower

    def _fault(self, declared: Declared, host: str) -> Wrong | None:
        """Why no file may name this host, or not this file."""
        wrong = hostnames.misplaced(host, self.proxy.tlds)
        if wrong is not None:
            return wrong
        tld = hostnames.under(host, self.proxy.tlds)
        label = host.removesuffix(f".{tld}").rpartition(".")[2]
        owner = self.owners.get(label)
        own = declared.project is None or (declared.project.base == label and owner is None)
        if label not in self.owners or own:
            above = self._users_above(declared, host)
            return None if above is None else _below(host, above)
        whose = f"the project `{label}`" if owner is None else owner.cite()
        return Wrong(
            f'"{host}" belongs to {whose}',
            why="a project names hosts of its own, so that it cannot pose as another one",
            fix=f'write "{declared.project}.{tld}" or something below it',
            code="foreign-name",
        )

    def _users_above(self, declared: Declared, host: str) -> tuple[Declared, Path] | None:
        """The service of the user registry below whose name, or wildcard, a project's service would have `host`."""
        if declared.project is None:
            return None
        above = host.removeprefix("*.")
        names = [above] if above != host else []
        while "." in above:
            above = above.partition(".")[2]
            names += [above, f"*.{above}"]
        for name in names:
            holder = self.holders.get((name, "/"))
            if holder is not None and holder[0].project is None:
                return holder
        return None

    def _foreign_host(self, declared: Declared, host: str) -> Wrong | None:
        """Why a project may not mount below a host that somebody else has."""
        holder = self.holders.get((host, "/"))
        if declared.project is None or holder is None or holder[0].project == declared.project:
            return None
        return Wrong(
            f'"{host}" belongs to {holder[0].cite(holder[1])}',
            why="a project mounts below hosts of its own, so that it cannot answer for another one",
            fix="mount it in your own registry.toml, where every host is yours to divide",
            code="foreign-name",
        )

    def _is_answered(self, host: str) -> bool:
        """Whether somebody has the host, by its name or by a wildcard above it."""
        parts = host.split(".")
        above = ("*." + ".".join(parts[index:]) for index in range(1, len(parts)))
        return any((name, "/") in self.holders for name in (host, *above))

    def _short_names(self, declared: Declared) -> list[str]:
        return [f"{declared.project}.{tld}" for tld in self.proxy.tlds]

    def _lonely(self, host: str) -> Wrong:
        tld = hostnames.under(host, self.proxy.tlds) or ""
        known = [name.removesuffix(f".{tld}") for name, path in self.holders if path == "/" and name.endswith(tld)]
        near = nearest_word(host.removesuffix(f".{tld}"), known)
        meant = f"{near}.{tld}"
        return Wrong(
            f'no service answers at "{host}"' + (f', did you mean "{meant}"?' if near else ""),
            why="everything beside the mounted path is not found there",
            fix=f'write "{meant}"' if near else f'add "{host}" to the `hosts` of a service',
            code="unknown-host",
        )


def divide(
    claims: Claims,
    user: Sequence[Declared],
    projects: Sequence[Declared],
    shorts: Iterable[Declared],
    leased: Iterable[Declared],
) -> None:
    """Give all names away, in the order that the head of this file states. What listens nowhere gets none."""
    user, projects, leased = ([one for one in some if one.serves] for some in (user, projects, leased))
    for declared in user:
        claims.own_names(declared)
    for declared in user:
        claims.more_hosts(declared)
    for declared in projects:
        claims.own_names(declared)
    for declared in projects:
        claims.more_hosts(declared)
    for declared in shorts:
        claims.short_names(declared)
    for declared in leased:
        claims.own_names(declared)
        claims.more_hosts(declared)
    for declared in (*user, *projects):
        if declared.table.protocol != "tcp" and declared.table.mount is not UNSET:
            for index, table in enumerate(declared.table.mount):
                claims.mount(declared, index, table)


_RENAME = "rename one of the two: the service, or the project (`project` in its devproxy.local.toml)"


def _below(host: str, above: tuple[Declared, Path]) -> Wrong:
    return Wrong(
        f'"{host}" lies below {above[0].cite(above[1])}',
        why="a project gets no name below a service of your own: it could set and read that one's cookies",
        fix=_RENAME,
        code="foreign-name",
    )


def _is_possible(host: str) -> bool:
    try:
        hostnames.host_pattern(host)
    except Wrong:
        return False
    return True


def _impossible(host: str) -> Wrong:
    return Wrong(
        f'"{shown(host)}" is too long for a hostname',
        why=f"between dots there are at most 63 characters, and {hostnames.LONGEST} in all",
        fix="shorten a name, or `host_template` in [proxy]",
        code="bad-host",
    )


def _taken(name: str, holder: tuple[Declared, Path], fix: str, code: ProblemCode) -> Wrong:
    why = f"{holder[0].cite(holder[1])} has it"
    return Wrong(f'"{name}" is taken already', why=why, fix=fix, code=code)
