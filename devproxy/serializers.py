"""The services as rows: what `devproxy ls --json` prints and `/api/services` answers.

Lives here: the one shape of a row, a service's URL, and which open problems belong to which service.
Not here: how rows look to a person (`cli/`, `control/pages.py`). Nothing heavy is imported: `ls` starts in
milliseconds.
Fields are only ever added: scripts read them.
"""

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from devproxy.health.model import Condition, WaitingRequests
from devproxy.paths import project_file
from devproxy.problems import Problem
from devproxy.registry.model import Mount, Registry, Service
from devproxy.urls import Ports, service_url

UNKNOWN = Condition()


def service_rows(
    registry: Registry,
    ports: Ports,
    conditions: Mapping[str, Condition] = MappingProxyType({}),
    waiting: Mapping[str, WaitingRequests] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """One JSON-ready object a service, in the registry's order (by id); `conditions` and `waiting` by service id."""
    owned = _problems_by_service(registry)
    return [
        service_row(
            service, ports, owned.get(service.id, []), conditions.get(service.id, UNKNOWN), waiting.get(service.id)
        )
        for service in registry.services
    ]


def service_row(
    service: Service,
    ports: Ports,
    problems: list[Problem],
    condition: Condition = UNKNOWN,
    waiting: WaitingRequests | None = None,
) -> dict[str, Any]:
    """One row: every key that scripts may rely on."""
    return {
        "id": service.id,
        "name": service.name,
        "project": service.project.base if service.project else None,
        "worktree": (service.project.label or None) if service.project else None,
        "hosts": list(service.hosts),
        "mounts": [{"host": m.host, "path": m.path, "strip": m.strip} for m in service.mounts],
        "url": service_url(service, ports),
        "upstream": service.upstream.text if service.upstream else None,
        "changes": field_changes(service),
        "kind": service.kind,
        "protocol": service.protocol,
        "listen": service.listen.places if service.listen else [],
        "source": {"file": service.source.file, "line": service.source.line},
        "command": list(service.command) if isinstance(service.command, tuple) else service.command,
        **condition_row(condition),
        "waiting": None if waiting is None else waiting_row(waiting),
        "problems": [problem_row(problem) for problem in problems],
    }


def field_changes(service: Service) -> list[str]:
    """The fields that the registry changes on the way to a service and back, one line a direction."""
    own = service.host_header == "upstream"
    tables: list[Service | Mount] = [service, *service.mounts]
    up = ["Host"] * own + ["Origin", "Referer"] * (own and service.origin_header == "upstream")
    up += [name for table in tables for name in table.request_headers.names]
    down = [name for table in tables for name in table.response_headers.names]
    if any(mount.strip_rewrite for mount in service.mounts):
        up.append("Destination")
        down += ["Location", "Content-Location", "Set-Cookie"]
    ways = (("request", up), ("response", down))
    return [f"changes in the {way}: {', '.join(dict.fromkeys(names))}" for way, names in ways if names]


def condition_row(condition: Condition) -> dict[str, Any]:
    """State, exposure, listeners and findings as JSON; `since` in seconds since 1970, 0 where it was never checked."""
    row: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(condition))
    return row


def waiting_row(waiting: WaitingRequests) -> dict[str, Any]:
    """How many requests have waited long for an answer, the oldest for how long, and why where that is known."""
    return {"requests": waiting.requests, "seconds": round(waiting.seconds(time.time()), 1), "why": waiting.why}


def problem_row(problem: Problem) -> dict[str, Any]:
    """A problem as JSON: `line` and `column` count from 1 and are 0 where no place is known.

    `service` is a name as the file has it, empty where the problem is about no service.
    """
    return {
        "code": problem.code,
        "severity": problem.severity,
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
        "why": problem.why,
        "fix": problem.fix,
        "service": problem.service,
    }


def _problems_by_service(registry: Registry) -> dict[str, list[Problem]]:
    """The problems of each service, by its id: those that name it, in its file or in the local file beside it."""
    owners = {_place(service.source.file, service.name): service.id for service in registry.services}
    owned: dict[str, list[Problem]] = {}
    for problem in registry.problems:
        owner = owners.get(_place(problem.file, problem.service)) if problem.service else None
        if owner is not None:
            owned.setdefault(owner, []).append(problem)
    return owned


def _place(file: str, name: str) -> tuple[str, str]:
    """A project's file and the local file beside it are one place."""
    return str(project_file(file)), name
