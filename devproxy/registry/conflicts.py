"""What services say about ports and about each other, checked against all of them.

Lives here: addresses that lead back to the proxy, dependencies and placeholders, endings of names below which the
first request must not be trusted to start a service, and what leads to https where there is none.
Not here: names (`claims.py`), ports that two want to be reached at (`listeners.py`), what one service says in itself
(`resolve.py`).
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import UNSET

from devproxy.addresses import LOOPBACKS
from devproxy.problems import NO_HTTPS, Problem, Wrong
from devproxy.registry import hostnames
from devproxy.registry.layers import Declared
from devproxy.registry.model import ProxySettings, Service, service_id
from devproxy.registry.toml import Path
from devproxy.registry.values import PROJECT_PLACEHOLDERS, placeholders
from devproxy.text import devproxy_command, nearest_word

STANDARD = {"http": (80, 7080), "https": (443, 7443)}  # the ports that the proxy takes where none is set
NO_PROJECT = Wrong(
    "`{project}` stands for nothing here",
    why="the service is in no project",
    fix="write the name itself, or move the service into a project's devproxy.toml",
    code="does-not-apply",
)


class OwnPorts:
    """The ports of the proxy itself: those that it certainly has, and those it may have."""

    def __init__(self, proxy: ProxySettings, real: Iterable[int]):
        chosen = {"http": proxy.http, "https": proxy.https}
        self.certain = frozenset([*real, *(port for port in chosen.values() if isinstance(port, int))])
        self.likely = frozenset(port for key, ports in STANDARD.items() if chosen[key] is None for port in ports)

    def check(self, declared: Declared, service: Service) -> tuple[bool, list[Problem]]:
        """Whether the service's address leads elsewhere than to the proxy, and what to say about it."""
        address = service.upstream
        if address is None or not address.port or set(LOOPBACKS).isdisjoint(address.hosts):
            return True, []
        path = (declared.address_key,)
        if address.port in self.certain:
            wrong = Wrong(
                f"port {address.port} is the proxy's own",
                why="every request to the service would come back to devproxy",
                fix="name the port that the service itself listens on",
                code="own-port",
            )
            return False, [declared.problem(path, wrong)]
        if address.port in self.likely:
            wrong = Wrong(
                f"port {address.port} is one that the proxy itself takes if it is free",
                why="no `http` or `https` is set in [proxy]",
                fix="let the service listen on another port, or set the proxy's in registry.toml",
                code="own-port",
            )
            return True, [declared.problem(path, wrong, "warning")]
        return True, []


def unguarded(tlds: Iterable[str], services: Iterable[Service]) -> Iterator[tuple[int, Wrong]]:
    """By its place among `tlds`, an ending below which the guard knows less of a request that starts a service."""
    waiting = sorted(one.id for one in services if one.awaits_requests and one.protocol == "http")
    if not waiting:
        return
    for index, tld in enumerate(tlds):
        if not hostnames.tells_where_from(tld):
            first, more = waiting[0], len(waiting) - 1
            shown = f"`{first}`" + (f" and {more} more" if more else "")
            yield (
                index,
                Wrong(
                    f'"{tld}" has a weaker cross-site guard, and the first request starts {shown}',
                    why="browsers say where a request comes from (Sec-Fetch-*) over https or to names below .localhost",
                    fix='use "localhost", or let a person start it: start = "manual"',
                    code="unguarded-tld",
                ),
            )


def keys_to_https(proxy: ProxySettings) -> Iterator[str]:
    """The keys of [proxy] that lead clients to https."""
    for name, value in (("redirect", True), ("url_scheme", "https")):
        if getattr(proxy, name) == value:
            yield name


def without_https(name: str) -> Wrong:
    """A key that leads to https, which the registry switches off."""
    fix = 'remove it, or `https = "off"` in registry.toml'
    return Wrong(f"`{name}` does nothing here", why="https is off", fix=fix, code="does-not-apply")


def without_port_for_https(name: str) -> Wrong:
    """A key that leads to https, for which the running proxy has no port."""
    return Wrong(
        f"`{name}` does nothing here",
        why="the proxy that runs has no port for https",
        fix=f"remove it, or give https a port (https = 8443 under [proxy]): {devproxy_command('restart')}",
        code=NO_HTTPS,
    )


def find(name: str, asker: Declared | Service, services: Mapping[str, object]) -> str | None:
    """The id of the service that `asker` calls `name`: one of its own checkout first, then any by its id."""
    if asker.project is None:
        return name if name in services else None
    base, label = asker.project.base, asker.project.label
    own = service_id(name, asker.project)
    full = f"{name.removesuffix(base)}{asker.project}" if label and name.endswith(f".{base}") else ""
    return next((one for one in (own, full, name) if one in services), None)


def dependencies(declared: Declared, services: Mapping[str, Declared]) -> tuple[tuple[str, ...], list[Problem]]:
    """The ids of what `depends_on` names, and a problem for each name that nobody has."""
    found, problems = [], []
    for index, name in enumerate(declared.table.depends_on or ()):
        identity = find(name, declared, services)
        if identity is None:
            problems.append(_unknown(declared, ("depends_on", index), name, services))
        else:
            found.append(identity)
    return tuple(dict.fromkeys(found)), problems


def unfilled(declared: Declared, services: Mapping[str, Declared]) -> list[Problem]:
    """A problem for each placeholder that names a service nobody has, or a project where there is none."""
    found = []
    for path, text in _texts(declared):
        for kind, name in placeholders(text):
            if name and find(name, declared, services) is None:
                found.append(_unknown(declared, path, name, services))
            elif kind == "project" and declared.project is None:
                found.append(declared.problem(path, NO_PROJECT))
    return found


def unexpanded(declared: Declared) -> list[Problem]:
    """A warning for each `${port}` where no shell reads it: in a command that is a list, and in `env`. So for
    `${project}` and its kin."""
    command = declared.table.command
    has_shell = isinstance(command, list) and "-c" in command
    return [
        declared.problem(path, _unexpanded(name), "warning")
        for path, text in _texts(declared)
        if path != ("command",) and not (has_shell and path[0] == "command")
        for name in ("port", *PROJECT_PLACEHOLDERS)
        if f"${{{name}}}" in text
    ]


def _unexpanded(name: str) -> Wrong:
    return Wrong(
        f"`${{{name}}}` stays as it is written",
        why="`$` is for a shell, and none reads this",
        fix=f"write `{{{name}}}`, which is filled in",
        code="does-not-apply",
    )


def variables_named_twice(services: Iterable[Declared]) -> Iterator[Problem]:
    """A problem for each name in `env_names` that another value of the same checkout has already."""
    first: dict[tuple[str, str], tuple[Declared, Path]] = {}
    for declared in services:
        table = declared.table.env_names
        for part in table.__struct_fields__ if table is not UNSET else ():
            name, path = getattr(table, part), ("env_names", part)
            if name is UNSET:
                continue
            holder, there = first.setdefault((str(declared.project), name), (declared, path))
            if (holder, there) != (declared, path):
                wrong = Wrong(
                    f"`{name}` is the name of two variables",
                    why=f"{holder.cite(there)} has it for its {there[1]}",
                    fix="choose another name",
                    code="duplicate-variable",
                )
                yield declared.problem(path, wrong)


def circles(graph: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """The circles of a graph, one for each edge that closes one, as the ids along it; linear in the graph."""
    done: set[str] = set()
    found: list[list[str]] = []
    for root in graph:
        if root in done:
            continue
        trail = {root: iter(graph[root])}  # the way from the root to here, in order
        while trail:
            here, rest = next(reversed(trail.items()))
            there = next(rest, None)
            if there is None:
                done.add(here)
                del trail[here]
            elif there in trail:
                way = list(trail)
                found.append(way[way.index(there) :])
            elif there not in done:
                trail[there] = iter(graph.get(there, ()))
    return found


def circular(circle: list[str], services: Mapping[str, Declared]) -> Problem:
    """The problem of a circle, at the `depends_on` that closes it."""
    declared = services[circle[-1]]
    way = [*circle, circle[0]] if len(circle) < 12 else [*circle[:5], "…", *circle[-5:], circle[0]]
    wrong = Wrong(
        f"`depends_on` goes in a circle: {' → '.join(way)}",
        why="none of them could be started first"
        + (f"; it begins at {services[circle[0]].cite(('depends_on',))}" if len(circle) > 1 else ""),
        fix=f"remove `{circle[0]}` here",
        code="circular-dependency",
    )
    return declared.problem(("depends_on",), wrong)


def _texts(declared: Declared) -> list[tuple[Path, str]]:
    """What placeholders are filled in of, each with its place."""
    table = declared.table
    command = [] if table.command is UNSET else table.command
    texts: list[tuple[Path, str]] = [(("command",), command)] if isinstance(command, str) else []
    if isinstance(command, list):
        texts += [(("command", index), text) for index, text in enumerate(command)]
    texts += [(("env", key), text) for key, text in (table.env or {}).items()]
    if table.path is not UNSET:
        texts.append((("path",), table.path))
    if table.health is not UNSET and table.health.path is not UNSET:
        texts.append((("health", "path"), table.health.path))
    return texts


def _unknown(declared: Declared, path: Path, name: str, services: Mapping[str, Declared]) -> Problem:
    suffix = f".{declared.project}"
    known = [identity.removesuffix(suffix) for identity in services if identity != declared.id]
    meant = nearest_word(name, known)
    wrong = Wrong(
        f"there is no service `{name}`" + (f", did you mean `{meant}`?" if meant else ""),
        why="a service is `api` in the same project and `api.shop` from elsewhere",
        fix=f"write `{meant}`" if meant else "declare it, or remove it here",
        code="unknown-service",
    )
    return declared.problem(path, wrong)
