"""The services as rows: what `devproxy ls --json` prints and `/api/services` answers (DESIGN §4).

Lives here: the one shape of a row, a service's URL, and which open problems belong to which service.
Not here: how rows look to a person (`cli/`, `control/pages.py`). Nothing heavy is imported: `ls` starts in
milliseconds.
Fields are only ever added: scripts read them.
"""

from bisect import bisect_right
from typing import Any

from devproxy.registry.model import Registry, Service
from devproxy.registry.problems import Problem

STANDARD_HTTP = 80


def service_url(service: Service, http_port: int | None) -> str:
    """The URL that a person opens, without a `/` at its end, so that a script can put a path behind it.

    `http_port` is the port the proxy really has, None while nobody knows.
    A service whose `protocol` is tcp has the address it is forwarded from, `tcp://127.0.0.1:5432`, else its
    upstream's.
    """
    if service.protocol == "tcp":
        if service.listen:
            return f"tcp://127.0.0.1:{service.listen}"
        return service.upstream.text if service.upstream else ""
    host = service.hosts[0] if service.hosts else ""
    if not host:
        return ""
    return f"http://{host}" if http_port in {None, STANDARD_HTTP} else f"http://{host}:{http_port}"


def service_rows(registry: Registry, http_port: int | None) -> list[dict[str, Any]]:
    """One JSON-ready object a service, in the registry's order (sorted by id).

    Without a running proxy (`http_port` None) URLs take the port that `[proxy] http` asks for, else 80.
    """
    port = http_port or registry.settings.http
    owned = _problems_by_service(registry)
    return [service_row(service, port, owned.get(service.id, [])) for service in registry.services]


def service_row(service: Service, http_port: int | None, problems: list[Problem]) -> dict[str, Any]:
    """One row: the keys that DESIGN §4 promises, and `id`, `mounts` and `command` besides."""
    return {
        "id": service.id,
        "name": service.name,
        "project": service.project,
        "hosts": list(service.hosts),
        "mounts": [{"host": m.host, "path": m.path, "strip": m.strip} for m in service.mounts],
        "url": service_url(service, http_port),
        "upstream": service.upstream.text if service.upstream else None,
        "protocol": service.protocol,
        "source": {"file": service.source.file, "line": service.source.line},
        "command": list(service.command) if isinstance(service.command, tuple) else service.command,
        "state": "unknown",
        "exposure": "unknown",
        "listeners": [],
        "problems": [problem_row(problem) for problem in problems],
    }


def problem_row(problem: Problem) -> dict[str, Any]:
    """A problem as JSON: `line` and `column` count from 1 and are 0 where no place is known."""
    return {
        "code": problem.code,
        "severity": problem.severity,
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "why": problem.why,
        "fix": problem.fix,
    }


def _problems_by_service(registry: Registry) -> dict[str, list[Problem]]:
    """The problems that stand between a service's first line and the next service's, by the service's id."""
    if not registry.problems:
        return {}
    starts: dict[str, list[tuple[int, str]]] = {}
    for service in registry.services:
        starts.setdefault(service.source.file, []).append((service.source.line, service.id))
    for places in starts.values():
        places.sort()
    owned: dict[str, list[Problem]] = {}
    for problem in registry.problems:
        places = starts.get(problem.file, [])
        above = bisect_right(places, problem.line, key=lambda place: place[0])
        if above:
            owned.setdefault(places[above - 1][1], []).append(problem)
    return owned
