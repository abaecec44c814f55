"""Each example runs as its README says: the services, the registry, and what a reader then sees.

Lives here: a copy of each folder in which the ports are free ones, so that nothing else on the machine is in the way.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.clients import open_request, read_head
from tests.e2e.processes import ROOT, Program, accepts, running
from tests.e2e.proxy import Devproxy
from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

EXAMPLES = ROOT / "examples"


def copied(name: str, target: Path) -> Path:
    return shutil.copytree(EXAMPLES / name, target, ignore=shutil.ignore_patterns("state", "run", "__pycache__"))


def with_free_ports(file: Path) -> list[int]:
    """Put a free port in place of each that `file` names; returns them in order."""
    ports: list[int] = []

    def fresh(line: re.Match[str]) -> str:
        ports.append(free_port())
        return f"{line[1]}{ports[-1]}"

    file.write_text(re.sub(r"(?m)^((?:port|http) *= *)\d+", fresh, file.read_text("utf-8")), "utf-8")
    return ports


@contextmanager
def services(folder: Path, *commands: tuple[str, ...]) -> Iterator[list[Program]]:
    """`python SCRIPT ARGUMENT` in `folder` for each of `commands`, once it says that it listens."""
    with ExitStack() as stack:
        programs = []
        for script, argument in commands:
            argv = [sys.executable, script, argument]
            programs.append(stack.enter_context(running(argv, folder / f"{script}.log", cwd=folder)))
            programs[-1].wait_output(" on ")
            if argument.isdecimal():
                wait_until(lambda port=argument: accepts(int(port)), f"{script} to listen")  # type: ignore[misc]
            else:
                wait_until((folder / argument).exists, f"{script} to listen")
        yield programs


def test_two_services(tmp_path: Path) -> None:
    folder = copied("two-services", tmp_path / "two-services")
    devproxy = Devproxy(folder)
    devproxy.port, hello, clock = with_free_ports(folder / "config" / "registry.toml")
    with services(folder, ("hello.py", str(hello)), ("clock.py", str(clock))):
        assert devproxy.cli("check").returncode == 0
        devproxy.start()
        try:
            assert (
                devproxy.get("hello.localhost").body
                == b"Hello from hello.localhost:%d, by way of http.\n" % devproxy.port
            )
            assert b"EventSource" in devproxy.get("time.localhost").body
            with open_request(devproxy.port, "GET /ticks HTTP/1.1\nHost: clock.localhost") as stream:
                assert b"text/event-stream" in read_head(stream)
                assert b"data: " in stream.recv(100)
            assert "hello.localhost" in devproxy.cli("ls").stdout
        finally:
            devproxy.stop()


@pytest.fixture
def team(devproxy: Devproxy, tmp_path: Path) -> Iterator[Path]:
    """The project's folder, its services running, linked into the registry of a proxy that runs already."""
    folder = copied("team-project", tmp_path / "team")
    web, _ = with_free_ports(folder / "devproxy.toml")
    (api,) = with_free_ports(folder / "devproxy.local.toml")
    devproxy.write("")
    devproxy.start()
    with services(folder, ("web.py", str(web)), ("api.py", str(api)), ("admin.py", "run/admin.sock")):
        linked = devproxy.cli("link", ".", cwd=folder)
        assert linked.returncode == 0, linked
        wait_until(
            lambda: devproxy.get("web.shop.localhost").status == 200, "the project to be live", log=devproxy.output
        )
        yield folder


def test_team_project(team: Path, devproxy: Devproxy) -> None:
    for files in ([], ["."]):
        checked = devproxy.cli("check", *files, cwd=team)
        assert checked.returncode == 0, checked
    for name in ("shop.localhost", "web.shop.localhost"):
        assert b"<title>Shop</title>" in devproxy.get(name).body
    assert json.loads(devproxy.get("shop.localhost", "/api/items").body) == ["lamp", "table", "chair"]
    assert json.loads(devproxy.get("api.shop.localhost", "/items").body) == ["lamp", "table", "chair"]
    assert devproxy.get("admin.shop.localhost").body == b"Orders today: 3\n"
    # Below the prefix on its boundary alone: /apix is the page's.
    assert b"<title>Shop</title>" in devproxy.get("shop.localhost", "/apix").body


def test_the_prefix_that_was_taken_off_is_told(team: Path, devproxy: Devproxy) -> None:
    where = json.loads(devproxy.get("shop.localhost", "/api/where").body)
    assert where == {"host": f"shop.localhost:{devproxy.port}", "prefix": "/api"}


def test_without_the_override_the_team_file_counts(team: Path, devproxy: Devproxy) -> None:
    """The API's port is the override's; the team's file names another, where nobody listens."""
    listed = {row["name"]: row for row in json.loads(devproxy.cli("ls", "--json").stdout)}
    mine = listed["api"]["upstream"]
    (team / "devproxy.local.toml").unlink()
    wait_until(lambda: devproxy.get("api.shop.localhost", "/items").status == 502, "the team's port to count")
    listed = {row["name"]: row for row in json.loads(devproxy.cli("ls", "--json").stdout)}
    assert listed["api"]["upstream"] != mine


def test_an_unlinked_project_is_gone(team: Path, devproxy: Devproxy) -> None:
    assert devproxy.cli("unlink", "shop").returncode == 0
    wait_until(lambda: devproxy.get("web.shop.localhost").status == 404, "the project to be gone", log=devproxy.output)
