"""`examples/postgres` as its README says, with a real PostgreSQL: a database for each of two checkouts, both running.

PostgreSQL refuses to run as root. Where the tests do, its programs are started in a user namespace in which root is
somebody else (user_namespaces(7)); to the rest of the system they are root's as before.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devproxy.registry.decode import decode_project
from tests import require
from tests.e2e.clients import Answer, request
from tests.e2e.processes import ROOT, clean_environment
from tests.e2e.project import Project, project_in
from tests.health.servers import postgres
from tests.ports import port_range
from tests.repository import git, repository, worktree
from tests.waiting import PROGRAM_DEADLINE

pytestmark = pytest.mark.e2e

EXAMPLE = ROOT / "examples" / "postgres"
MIGRATION = "ALTER TABLE items ADD COLUMN price int NOT NULL DEFAULT 7;\n"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A devproxy of the test's own; `python` and PostgreSQL's programs are on PATH."""
    require.linux()
    require.program("psql")
    path = (as_anybody(tmp_path / "bin"), Path(sys.executable).parent, os.environ["PATH"])
    with project_in(tmp_path, {"PATH": os.pathsep.join(map(str, path))}) as made:
        made.settings += f'\nlisten_ports = "{port_range()}"'
        made.write("")
        yield made


def as_anybody(folder: Path) -> Path:
    """A folder with the server's programs, as somebody who is not root."""
    folder.mkdir()
    become = "" if os.geteuid() else f"{require.program('unshare')} --user --map-user=65534 --map-group=65534 "
    for name in ("initdb", "postgres"):
        file = folder / name
        file.write_text(f'#!/bin/sh\nexec {become}{postgres()}/{name} "$@"\n', "utf-8")
        file.chmod(0o755)
    return folder


@pytest.fixture
def main(project: Project, tmp_path: Path) -> Path:
    files = {str(file.relative_to(EXAMPLE)): file.read_text("utf-8") for file in sources(EXAMPLE)}
    assert {"devproxy.toml", "db.py", ".gitignore", "migrations/001_items.sql"} <= set(files)
    return repository(tmp_path / "shop", files)


def sources(folder: Path) -> list[Path]:
    left_out = {"data", "data.new", "__pycache__"}
    return [file for file in folder.rglob("*") if file.is_file() and left_out.isdisjoint(file.parts)]


@pytest.fixture
def fix(main: Path, tmp_path: Path) -> Path:
    place = worktree(main, tmp_path / "shop-fix", "fix-ui")
    (place / "migrations" / "002_price.sql").write_text(MIGRATION, "utf-8")
    return place


def psql(url: str, sql: str) -> str:
    """What the database at `url` says, asked by a program that devproxy does not start."""
    argv = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", url, "-c", sql]
    done = subprocess.run(
        argv, env=clean_environment({}), capture_output=True, text=True, timeout=PROGRAM_DEADLINE, check=False
    )
    return (done.stdout + done.stderr).strip()


def items(project: Project, host: str) -> list[str]:
    found: list[str] = json.loads(project.get(host, "/items").body)
    return found


def up(project: Project, checkout: Path) -> str:
    """Take it up; the URL of its database."""
    done = project.cli("up", "--detach", cwd=checkout)
    assert done.returncode == 0, done.stdout + done.stderr + project.logged()
    return project.cli("url", "db", cwd=checkout).stdout.strip()


def post(project: Project, host: str, name: str) -> Answer:
    headers = {"Content-Length": str(len(name)), "Content-Type": "text/plain"}
    return request(project.port, host, "/items", method="POST", headers=headers, body=name.encode())


def test_each_checkout_has_its_own_database_and_migrations(project: Project, main: Path, fix: Path) -> None:
    urls = [up(project, checkout) for checkout in (main, fix)]
    assert all(re.fullmatch(r"postgresql://127\.0\.0\.1:\d+/shop", url) for url in urls), urls
    assert len(set(urls)) == 2

    hosts = ("api.shop.localhost", "api.fix-ui.shop.localhost")
    assert [items(project, host) for host in hosts] == [["lamp", "table"]] * 2
    assert post(project, hosts[1], "chair").status == 201
    assert [items(project, host) for host in hosts] == [["lamp", "table"], ["chair", "lamp", "table"]]

    migrated = "SELECT string_agg(name, ' ' ORDER BY name) FROM migrations"
    assert [psql(url, migrated) for url in urls] == ["001_items.sql", "001_items.sql 002_price.sql"]
    assert psql(urls[1], "SELECT sum(price) FROM items") == "21"
    assert 'column "price" does not exist' in psql(urls[0], "SELECT sum(price) FROM items")
    git(main, "diff", "--exit-code")
    assert (main / "data").is_dir()

    variables = json.loads(project.cli("env", "--format", "json", cwd=fix).stdout)
    assert (variables["DATABASE_URL"], variables["DB_URL"]) == (urls[1], urls[1])
    assert project.cli("down", cwd=main).returncode == 0
    assert psql(urls[0], "SELECT 1") != "1"
    assert items(project, hosts[1]) == ["chair", "lamp", "table"]
    assert project.cli("down", cwd=fix).returncode == 0


def test_the_address_and_the_data_stay_when_it_is_taken_down(project: Project, main: Path) -> None:
    url = up(project, main)
    assert post(project, "api.shop.localhost", "chair").status == 201
    assert project.cli("down", cwd=main).returncode == 0
    assert up(project, main) == url
    assert psql(url, "SELECT count(*) FROM items") == "3"
    assert project.cli("down", cwd=main).returncode == 0


def test_the_table_for_compose_in_its_readme_is_valid(tmp_path: Path) -> None:
    (table,) = re.findall(r"```toml\n(.*?)```", (EXAMPLE / "README.md").read_text("utf-8"), re.DOTALL)
    decoded = decode_project(f'project = "shop"\n{table}', str(tmp_path / "devproxy.toml"))
    assert decoded.ok
    assert not decoded.problems
