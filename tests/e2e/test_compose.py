"""What `init` writes from a compose file, started: two checkouts at once, each with a Compose project of its own.

No container engine is needed: `docker` on PATH is a program of the test's, which tells what it was started with, and
publishes on loopback what the compose file would have it publish, variables filled in by its own environment alone.
"""

import json
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import require
from tests.e2e.project import Project, project_in
from tests.ports import free_port, port_range
from tests.repository import repository, worktree
from tests.waiting import DEADLINE

pytestmark = pytest.mark.e2e

COMPOSE = """\
services:
  db:
    image: mysql:8
    ports:
      - "{db}:3306"
  queue:
    image: redis
    ports:
      - target: 6379
        published: {queue}
  web:
    build: .
    ports: ["127.0.0.1:${{WEB:-{web}}}:80"]
    depends_on: [db, helper]
  helper:
    image: busybox
"""
DOCKER = """\
#!{python}
import http.server, json, os, socketserver, sys
VARIABLES = {{"db": "DB_PORT", "queue": "QUEUE_PORT", "web": "WEB"}}
name = next(word for word in sys.argv if word in VARIABLES)
port = int(os.environ[VARIABLES[name]])
project = os.environ["COMPOSE_PROJECT_NAME"]
given = sorted({{*VARIABLES.values()}} & {{*os.environ}})
record = {{"argv": sys.argv[1:], "name": name, "project": project, "port": port, "variables": given}}
with open({log!r}, "a") as log:
    log.write(json.dumps(record | {{"folder": os.path.basename(os.getcwd())}}) + chr(10))
said = f"{{name}} of {{project}}".encode()
class Banner(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(said)
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said)
socketserver.ThreadingTCPServer.allow_reuse_address = True
kind = Page if name == "web" else Banner
socketserver.ThreadingTCPServer(("127.0.0.1", port), kind).serve_forever()
"""


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "docker.log"


@pytest.fixture
def project(tmp_path: Path, records: Path) -> Iterator[Project]:
    require.linux()
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER.format(python=sys.executable, log=str(records)), "utf-8")
    docker.chmod(0o755)
    with project_in(tmp_path, {"PATH": f"{docker.parent}{os.pathsep}{os.environ['PATH']}"}) as made:
        made.settings += f'\nlisten_ports = "{port_range()}"'
        made.write("")
        yield made


@pytest.fixture
def ports() -> dict[str, int]:
    return {name: free_port() for name in ("db", "queue", "web")}


@pytest.fixture
def main(tmp_path: Path, ports: dict[str, int]) -> Path:
    """A repository with a compose file in which two ports are fixed."""
    return repository(tmp_path / "shop", {"compose.yaml": COMPOSE.format(**ports)})


def mend(file: Path, said: str) -> None:
    """Do what is said for each line of a compose file, as a person does it."""
    lines = file.read_text("utf-8").splitlines()
    for number, text in re.findall(r"^note: compose\.yaml:(\d+):\d+: .*: write (.*) in place of `", said, re.MULTILINE):
        at = int(number) - 1
        indent = re.match(r"[ -]*", lines[at])
        assert indent is not None
        if text.startswith('"'):
            lines[at] = f"{indent[0]}{text}"
        else:
            more = re.findall("`(.*?)`", text)
            lines[at] = "\n".join(indent[0].replace("-", " ") + part for part in more)
    file.write_text("\n".join([*lines, ""]), "utf-8")


def written(records: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """What `docker` was started with, by folder and service."""
    lines = records.read_text("utf-8").splitlines() if records.exists() else []
    found = [json.loads(line) for line in lines]
    return {(one["folder"], one["name"]): one for one in found}


def banner(port: int) -> bytes:
    """All that a server says of its own accord."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as stream:
        return b"".join(iter(lambda: stream.recv(100), b""))


def test_both_checkouts_run_at_once(
    project: Project, main: Path, tmp_path: Path, ports: dict[str, int], records: Path
) -> None:
    said = project.cli("init", cwd=main).stderr
    mend(main / "compose.yaml", said)
    again = project.cli("init", "--dry-run", cwd=main)
    assert "in place of" not in again.stderr
    fix = worktree(main, tmp_path / "shop-fix", "fix-ui")
    for name in ("compose.yaml", "devproxy.toml"):
        (fix / name).write_text((main / name).read_text("utf-8"), "utf-8")
    for checkout in (main, fix):
        assert project.cli("check", "devproxy.toml", cwd=checkout).returncode == 0
        done = project.cli("up", "--detach", cwd=checkout)
        assert done.returncode == 0, done.stdout + done.stderr + project.logged()

    found = written(records)
    assert {key: one["project"] for key, one in found.items()} == {
        (folder, name): label
        for folder, label in (("shop", "shop-main"), ("shop-fix", "shop-fix-ui"))
        for name in ("db", "queue", "web")
    }
    up = ["compose", "up", "--no-log-prefix"]
    assert found["shop", "db"]["argv"] == [*up, "db"]
    assert found["shop", "web"]["argv"] == [*up, "--no-deps", "web", "helper"]
    assert len({one["port"] for one in found.values()}) == 6
    assert found["shop", "web"]["port"] == ports["web"]  # where it was published, its clients go on
    given = {name: found["shop-fix", name]["variables"] for name in ("db", "queue", "web")}
    assert given == {"db": ["DB_PORT"], "queue": ["QUEUE_PORT"], "web": ["WEB"]}

    assert banner(ports["db"]) == b"db of shop-main"
    assert banner(ports["queue"]) == b"queue of shop-main"
    for name, scheme in (("db", "mysql"), ("queue", "redis")):
        url = urlsplit(project.cli("url", name, cwd=fix).stdout.strip())
        assert url.scheme == scheme
        assert banner(url.port or 0) == f"{name} of shop-fix-ui".encode()
    assert project.get("web.shop.localhost").body == b"web of shop-main"
    assert project.get("web.fix-ui.shop.localhost").body == b"web of shop-fix-ui"
    for checkout in (main, fix):
        assert project.cli("down", cwd=checkout).returncode == 0
