"""What devproxy's own pages show in the tests: a registry, and a ControlContext whose answers a test can change.

How they are served: `conftest.py`.
"""

from dataclasses import dataclass, field
from pathlib import Path

from devproxy.control.context import ControlContext
from devproxy.events import EventLog
from devproxy.health.model import Condition
from devproxy.paths import Paths
from devproxy.problems import Problem
from devproxy.registry.model import ListenAddress, Mount, Project, Registry, Scheme, Service, Source, Upstream
from devproxy.urls import Ports

HOST = "devproxy.localhost"


def service(name: str, project: str | None = None, port: int | None = 3000, line: int = 1, **more: object) -> Service:
    id_ = f"{name}.{project}" if project else name
    scheme: Scheme = "tcp" if more.get("protocol") == "tcp" else "http"
    upstream = Upstream(scheme, ("127.0.0.1", "::1"), port) if port else None
    fields: dict[str, object] = {
        "hosts": (f"{id_}.localhost",),
        "upstream": upstream,
        "source": Source(f"/home/me/{project or 'x'}.toml", line),
    }
    return Service(id=id_, name=name, project=Project.of(project) if project else None, **{**fields, **more})  # type: ignore[arg-type]


def example() -> Registry:
    """Two projects' worth of what can be shown."""
    return Registry(
        services=(
            service("api", "shop", 8000, 5, mounts=(Mount("shop.localhost", "/api", True),)),
            service("app", None, None, 2),
            service("db", "shop", 54321, 9, protocol="tcp", listen=ListenAddress(("127.0.0.1", "::1"), 5432)),
            service("web", "shop", 5173, 1, hosts=("web.shop.localhost", "shop.localhost", "*.shop.localhost")),
        ),
        problems=(
            Problem(
                code="unknown-key",
                message="unknown key `prot`, did you mean `port`?",
                file="/home/me/shop.toml",
                line=6,
                column=1,
                why="a misspelt key would be ignored silently",
                fix="port = 8000",
            ),
        ),
    )


@dataclass
class Pages:
    """The state that the pages show; what is changed while they are served shows at the next request."""

    registry: Registry = field(default_factory=example)
    notices: list[str] = field(default_factory=list)
    events: EventLog = field(default_factory=lambda: EventLog(lambda: 1_700_000_000.0))
    conditions: dict[str, Condition] = field(default_factory=dict)
    history: list[dict[str, object]] = field(default_factory=list)

    def view(self) -> ControlContext:
        return ControlContext(
            registry=lambda: self.registry,
            notices=lambda: self.notices,
            events=self.events,
            paths=Paths(Path("/c"), Path("/s")),
            ports=lambda: Ports(7080),
            addresses=("127.0.0.1:7080", "[::1]:7080"),
            pid=42,
            started=1_700_000_000.0,
            conditions=lambda: self.conditions,
            history=lambda service: [row for row in self.history if service in {None, row.get("service")}],
        )
