"""What devproxy's own pages may see of the daemon.

Lives here: the one value that `app.build_app` is given, and `status` as JSON.
Not here: the daemon that fills it in (`daemon/main.py`), how it looks (`pages.py`, `api.py`). Read-only.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devproxy import __version__
from devproxy.build import own_build
from devproxy.events import EventLog
from devproxy.health.model import Condition, WaitingRequests
from devproxy.paths import Paths
from devproxy.registry.model import Registry
from devproxy.urls import Ports, control_hosts


async def _seen() -> None:
    """Nothing is looked at: what is known is what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlContext:
    """`registry`, `notices`, `ports`, `conditions` and `waiting` (by service id) return what is in force now; `history`
    what happened to one service or all, oldest first, and blocks (disk); `answers` how many there were since the start,
    by service id (empty for none) and status; `started` is in seconds since 1970. After `look`, `conditions` are no
    older than that: what a command has just said is so for who asks next."""

    registry: Callable[[], Registry]
    notices: Callable[[], Sequence[str]]
    events: EventLog
    paths: Paths
    ports: Callable[[], Ports]
    addresses: tuple[str, ...]
    pid: int
    started: float
    loop: str = "asyncio"
    conditions: Callable[[], Mapping[str, Condition]] = dict
    waiting: Callable[[], Mapping[str, WaitingRequests]] = dict
    answers: Callable[[], Mapping[str, Mapping[int, int]]] = dict
    history: Callable[[str | None], Sequence[Mapping[str, Any]]] = lambda _: ()
    look: Callable[[], Awaitable[None]] = _seen

    def hosts(self) -> frozenset[str]:
        """The names that are devproxy's own."""
        return control_hosts(self.registry().settings.tlds)

    def status(self) -> dict[str, Any]:
        """What `/api/status` answers; times in seconds, `addresses` as `127.0.0.1:80`."""
        registry, conditions, ports = self.registry(), self.conditions().values(), self.ports()
        return {
            "version": __version__,
            "build": own_build(),
            "pid": self.pid,
            "started": self.started,
            "uptime": round(max(0.0, time.time() - self.started), 3),
            "http": ports.http,
            "https": ports.https,
            "url_scheme": ports.scheme,
            "addresses": list(self.addresses),
            "loop": self.loop,
            "config": str(self.paths.config),
            "state": str(self.paths.state),
            "services": len(registry.services),
            "up": sum(condition.state == "up" for condition in conditions),
            "down": sum(condition.word == "down" for condition in conditions),
            "failed": sum(condition.word == "failed" for condition in conditions),
            "exposed": sum(condition.exposure == "exposed" for condition in conditions),
            "waiting": sum(wait.requests for wait in self.waiting().values()),
            "answers": _by_class(self.answers()),
            "problems": len(registry.problems),
            "notices": list(self.notices()),
            "last_event": self.events.last,
        }


def _by_class(answers: Mapping[str, Mapping[int, int]]) -> dict[str, int]:
    """`{"2xx": 10, "4xx": 1}`; `cut` are exchanges that ended without an answer."""
    found: dict[str, int] = {}
    for counts in answers.values():
        for status, count in counts.items():
            name = f"{status // 100}xx" if status else "cut"
            found[name] = found.get(name, 0) + count
    return dict(sorted(found.items()))
