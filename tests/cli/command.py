"""Running the real command, with a home of its own.

Lives here: `python -m devproxy …` in a process and what it printed; files for it to read.
Not here: expectations.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from devproxy.build import own_build
from tests.waiting import PROGRAM_DEADLINE

ROOT = Path(__file__).parents[2]


class Result(NamedTuple):
    """Exit code and both streams of a command that ended."""

    code: int
    out: str
    err: str


class Home:
    """A DEVPROXY_HOME in `folder`, commands that run on it, and the user registry in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.registry = folder / "config" / "registry.toml"
        self.state = folder / "state"

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEVPROXY", "_DEVPROXY"))}
        kept["DEVPROXY_NO_PROOF"] = "1"  # what it would connect to is no business of a test
        return {**kept, "DEVPROXY_HOME": str(self.folder), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **extra}

    def run(self, *argv: str, cwd: Path | None = None, stdin: str = "", **extra: str) -> Result:
        """Run `devproxy *argv`; `extra` are environment variables."""
        done = subprocess.run(
            [sys.executable, "-m", "devproxy", *argv],
            cwd=cwd or self.folder,
            env=self.environment(**extra),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=PROGRAM_DEADLINE,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def write(self, text: str) -> None:
        """Make `text` the user registry."""
        self.registry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.registry.write_text(text, "utf-8")


REGISTRY = """\
[services.web]
port = 5173
hosts = ["*.web.localhost"]

[services.admin]
upstream = "unix:/run/admin.sock"

[projects.shop]
path = "{shop}"
"""


SHOP = """\
project = "shop"

[services.web]
port = 3000

[services.api]
upstream = "http://127.0.0.1:9000"

[[services.api.mount]]
host = "web.shop.localhost"
path = "/api"
strip = true

[services.db]
protocol = "tcp"
port = 54321
listen = 5432
"""


def write_all(home: Home) -> Path:
    shop = home.folder / "shop" / "devproxy.toml"
    shop.parent.mkdir()
    shop.write_text(SHOP, "utf-8")
    home.write(REGISTRY.replace("{shop}", str(shop)))
    return shop


def pretend_running(home: Home, http: int, **more: Any) -> None:
    """A state/proxy.json whose process is this one."""
    home.state.mkdir(mode=0o700, exist_ok=True)
    state = {"pid": os.getpid(), "started": psutil.Process().create_time(), "http": http, "version": "0.1.0"}
    state["build"] = own_build()
    (home.state / "proxy.json").write_text(json.dumps({**state, "https": None, "problems": [], **more}))


def write_health(home: Home, conditions: dict[str, dict[str, Any]], **more: Any) -> None:
    """A state/health.json of the proxy that `pretend_running` pretends."""
    health = {"pid": os.getpid(), "time": 1.0, "services": conditions, **more}
    (home.state / "health.json").write_text(json.dumps(health), "utf-8")


def services(home: Home) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(home.registry.read_text("utf-8"))["services"]
    return table


PROJECT = 'project = "shop"\n\n[services.web]\nport = 5173\n\n[services.api]\nport = 8000\n'


def write_project(home: Home, name: str, text: str = PROJECT) -> Path:
    file = home.folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def links(home: Home) -> dict[str, str]:
    if not home.registry.exists():
        return {}
    projects = tomllib.loads(home.registry.read_text("utf-8")).get("projects", {})
    return {name: link["path"] for name, link in projects.items()}
