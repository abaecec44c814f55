"""What is said besides of services that are left out for an error: all that needs the settings and nothing else.

Lives here: endings of hostnames, and sockets, of tables as a file spells them, so that mending one line of a service
does not bring up the next problem.
Not here: the error itself (`validate.py`), what depends on other services (`claims.py`, `conflicts.py`): who would have
which name is not known while a service is out.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from devproxy.problems import Problem
from devproxy.registry import hostnames, sockets
from devproxy.registry.addresses import upstream
from devproxy.registry.decode import Decoded
from devproxy.registry.layers import Linked, left_out, problem_at
from devproxy.registry.schema import UserFile
from devproxy.registry.toml import Path
from devproxy.registry.wrong import Wrong

Table = Mapping[str, Any]


def problems(user: Decoded[UserFile] | None, links: Iterable[Linked], tlds: tuple[str, ...]) -> Iterator[Problem]:
    """More problems of the services that have errors in the user registry, a project's file or the one beside it."""
    for name, table in user.left_out.items() if user else ():
        yield from _of_table(user, name, table, tlds)
    for link in links:
        for name in left_out(link):
            own = _own(link, name)
            yield from _of_table(link.local, name, own, tlds)
            if link.project and name in link.project.left_out:
                table = link.project.left_out[name]
                kept = {key: value for key, value in table.items() if key not in _replaced(own)}
                yield from _of_table(link.project, name, kept, tlds, is_shared=True)


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
    return sockets.fault(path, file, is_shared=is_shared) if path else None


def _is_sound(value: Any, parse: Any) -> bool:
    try:
        return isinstance(value, str) and bool(parse(value))
    except Wrong:
        return False
