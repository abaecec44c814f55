"""The rows that `devproxy ls --json` and `/api/services` have in common."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from devproxy.daemon.runtime import ports_for_urls
from devproxy.paths import Paths
from devproxy.problems import Problem
from devproxy.registry.model import (
    HeaderEdits,
    ListenAddress,
    Mount,
    Project,
    ProxySettings,
    Registry,
    Service,
    Source,
    Upstream,
)
from devproxy.serializers import problem_row, service_rows
from devproxy.urls import Ports, service_url


def service(name: str = "web", project: str | None = "shop", file: str = "/r/devproxy.toml", **more: object) -> Service:
    fields: dict[str, object] = {
        "hosts": (f"{name}.{project}.localhost" if project else f"{name}.localhost",),
        "upstream": Upstream("http", ("127.0.0.1", "::1"), 5173),
        "source": Source(file, 3),
    }
    id_ = f"{name}.{project}" if project else name
    return Service(id=id_, name=name, project=Project.of(project) if project else None, **{**fields, **more})  # type: ignore[arg-type]


def problem(file: str, name: str = "web") -> Problem:
    return Problem(code="unknown-key", message="m", file=file, line=4, column=1, service=name)


def test_a_row_has_what_is_promised() -> None:
    made = service(mounts=(Mount("shop.localhost", "/api", True),), command=("npm", "start"))
    (row,) = service_rows(Registry(services=(made,), problems=(problem("/r/devproxy.toml"),)), Ports(7080))
    assert json.loads(json.dumps(row)) == {
        "id": "web.shop",
        "name": "web",
        "project": "shop",
        "worktree": None,
        "hosts": ["web.shop.localhost"],
        "mounts": [{"host": "shop.localhost", "path": "/api", "strip": True}],
        "changes": [],
        "url": "http://web.shop.localhost:7080",
        "upstream": "http://localhost:5173",
        "kind": "server",
        "protocol": "http",
        "listen": [],
        "source": {"file": "/r/devproxy.toml", "line": 3},
        "command": ["npm", "start"],
        "state": "unknown",
        "since": 0.0,
        "why": "not checked yet",
        "exposure": "unknown",
        "exposure_why": "not checked yet",
        "listeners": [],
        "findings": [],
        "dormant": False,
        "run": None,
        "waiting": None,
        "problems": [problem_row(problem("/r/devproxy.toml"))],
    }


def test_a_row_tells_which_fields_the_registry_changes() -> None:
    edits = HeaderEdits(remove=("Cookie",), set=(("X-A", "1"),))
    mount = Mount("shop.localhost", "/api", True, True, HeaderEdits(add=(("X-A", "2"), ("X-B", "3"))), edits)
    made = service(host_header="upstream", origin_header="upstream", request_headers=edits, mounts=(mount,))
    (row,) = service_rows(Registry(services=(made,)), Ports(7080))
    assert row["changes"] == [
        "changes in the request: Host, Origin, Referer, Cookie, X-A, X-B, Destination",
        "changes in the response: Cookie, X-A, Location, Content-Location, Set-Cookie",
    ]
    (row,) = service_rows(Registry(services=(service(origin_header="upstream"),)), Ports(7080))
    assert row["changes"] == []


def test_a_problem_row_has_what_is_promised() -> None:
    promised = {"code", "severity", "file", "line", "column", "message", "why", "fix"}
    assert promised < problem_row(problem("/f")).keys()


@pytest.mark.parametrize(
    ("port", "url"), [(80, "http://web.localhost"), (None, "http://web.localhost"), (7080, "http://web.localhost:7080")]
)
def test_a_url_has_the_port_unless_it_is_the_standard_one(port: int | None, url: str) -> None:
    assert service_url(service(project=None), Ports(port)) == url


@pytest.mark.parametrize(
    ("upstream", "url"),
    [
        (Upstream("tcp", ("127.0.0.1", "::1"), 54321), "tcp://127.0.0.1:54321"),
        (Upstream("tcp", ("::1",), 54321), "tcp://[::1]:54321"),
        (Upstream("tcp", path="/run/db.sock"), "unix:/run/db.sock"),
    ],
)
def test_a_url_of_a_tcp_service_is_where_it_is_unless_the_proxy_listens_for_it(upstream: Upstream, url: str) -> None:
    assert service_url(service(protocol="tcp", upstream=upstream), Ports(80)) == url
    assert service_url(service(protocol="tcp", upstream=None), Ports(80)) == ""
    shared, own = ListenAddress(("127.0.0.1", "::1"), 5432), ListenAddress(("127.77.1.2",), 5432)
    for address, where in ((shared, "127.0.0.1:5432"), (own, "127.77.1.2:5432")):
        db = service(protocol="tcp", upstream=upstream, listen=address)
        assert service_url(db, Ports(80)) == f"tcp://{where}"
        db = service(protocol="tcp", listen=address, scheme="postgresql", path="/shop")
        assert service_url(db, Ports(80)) == f"postgresql://{where}/shop"


def test_urls_have_the_port_that_is_given(tmp_path: Path) -> None:
    registry = Registry(settings=ProxySettings(http=8080), services=(service(),))
    ports = ports_for_urls(Paths(tmp_path, tmp_path), None, registry.settings)
    assert service_rows(registry, ports)[0]["url"].endswith(":8080")
    assert service_rows(registry, Ports(7080))[0]["url"].endswith(":7080")


def test_a_service_has_the_problems_that_name_it_in_its_place() -> None:
    services = (service(), service(project="blog", file="/b/devproxy.toml"), service("api"))
    problems = (
        problem("/r/devproxy.toml"),
        problem("/r/devproxy.local.toml"),
        problem("/r/devproxy.toml", "left-out"),
        problem("/elsewhere/devproxy.toml"),
        problem("/r/devproxy.toml", ""),
    )
    rows = service_rows(Registry(services=services, problems=problems), Ports(80))
    files = {row["id"]: [found["file"] for found in row["problems"]] for row in rows}
    assert files == {
        "web.shop": ["/r/devproxy.toml", "/r/devproxy.local.toml"],
        "web.blog": [],
        "api.shop": [],
    }


def test_nothing_heavy_is_imported() -> None:
    heavy = "('aiohttp', 'psutil', 'rich', 'asyncio')"
    code = f"import sys, devproxy.serializers; print([m for m in {heavy} if m in sys.modules])"
    root = str(Path(__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
