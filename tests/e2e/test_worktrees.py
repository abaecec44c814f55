"""Two checkouts of one repository at once, with real servers: each under its own names and on its own ports."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import require
from tests.e2e.processes import running
from tests.e2e.run import Folder, folder_in
from tests.ports import free_port
from tests.repository import git, repository, worktree

pytestmark = pytest.mark.e2e

PROJECT = """\
project = "shop"

[services.web]
port = {port}
hosts = ["shop.localhost"]
command = "{python} -m http.server -d web"
depends_on = ["api"]
env = {{ API = "{{url.api}}" }}

[services.api]
command = "{python} -u api.py"
[[services.api.mount]]
host = "shop.localhost"
path = "/api"
"""
API = """\
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"api of " + os.path.basename(os.getcwd()).encode())
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    require.linux()
    with folder_in(tmp_path) as made:
        yield made


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def main(folder: Folder, port: int) -> Path:
    files = {
        "devproxy.toml": PROJECT.format(port=port, python=sys.executable),
        "api.py": API,
        "web/index.html": "the main one",
    }
    return repository(folder.folder / "shop", files)


@pytest.fixture
def fix(folder: Folder, main: Path) -> Path:
    place = worktree(main, folder.folder / "shop-fix", "fix/ui")
    (place / "web" / "index.html").write_text("the fix")
    return place


def test_both_run_at_once_each_under_its_own_names(folder: Folder, main: Path, fix: Path, port: int) -> None:
    for checkout in (main, fix):
        done = folder.cli("up", "--detach", cwd=checkout)
        assert done.returncode == 0, done.stderr + done.stdout
    for host in ("web.shop.localhost", "shop.localhost"):
        folder.wait_answer(host, body=b"the main one")
    for host in ("web.fix-ui.shop.localhost", "fix-ui.shop.localhost"):
        folder.wait_answer(host, body=b"the fix")
    folder.wait_answer("shop.localhost", "/api", body=b"api of shop")
    folder.wait_answer("fix-ui.shop.localhost", "/api", body=b"api of shop-fix")

    rows = {row["id"]: row for row in json.loads(folder.cli("ls", "--json").stdout)}
    assert sorted(rows) == ["api.fix-ui.shop", "api.shop", "web.fix-ui.shop", "web.shop"]
    assert {(row["project"], row["worktree"]) for row in rows.values()} == {("shop", None), ("shop", "fix-ui")}
    assert rows["web.shop"]["upstream"] == f"http://localhost:{port}"
    assert len({row["upstream"] for row in rows.values()}) == 4

    assert folder.cli("down", cwd=main).returncode == 0
    assert folder.get("web.shop.localhost").status == 502
    assert folder.get("web.fix-ui.shop.localhost").body == b"the fix"
    assert folder.cli("down", cwd=fix).returncode == 0
    folder.wait_nothing_left()
    assert folder.get("web.fix-ui.shop.localhost").status == 502


def test_run_in_a_worktree_takes_its_names(folder: Folder, fix: Path, main: Path) -> None:
    assert folder.cli("link", cwd=main).returncode == 0
    script = ["-u", "-c", "import os; print('at', os.environ['DEVPROXY_URL'])"]
    done = folder.cli("run", "new", "--", sys.executable, *script, cwd=fix)
    assert done.stdout == f"at http://new.fix-ui.shop.localhost:{folder.port}\n"
    done = folder.cli("run", "web", cwd=fix)  # not linked: nothing of its file is run
    assert done.returncode == 2
    assert f"devproxy link {fix / 'devproxy.toml'}" in done.stderr


def test_a_worktree_that_is_removed_leaves_a_warning_and_nothing_else(folder: Folder, main: Path, fix: Path) -> None:
    for checkout in (main, fix):
        assert folder.cli("link", cwd=checkout).returncode == 0
    git(main, "worktree", "remove", "--force", str(fix))
    done = folder.cli("check")
    assert done.returncode == 0
    assert "devproxy unlink fix-ui.shop" in done.stdout
    assert folder.cli("unlink", "fix-ui.shop").returncode == 0
    assert folder.cli("check").stdout == ""


def test_a_port_that_the_other_checkout_holds_shows_a_page_and_not_the_wrong_program(
    folder: Folder, main: Path, fix: Path, port: int
) -> None:
    """Somebody starts the server by hand, in a worktree that is not even linked."""
    assert folder.cli("link", cwd=main).returncode == 0
    folder.cli("start")
    argv = [sys.executable, "-m", "http.server", "-d", "web", "--bind", "127.0.0.1", str(port)]
    with running(argv, folder.home.parent / "by-hand.log", cwd=fix, env=folder.env):
        folder.wait_status("web.shop.localhost", status=503)
        answer = folder.get("web.shop.localhost", Accept="text/html")
        assert answer.header("Devproxy-Error") == "other-checkout"
        assert str(fix) in answer.body.decode()
        assert folder.cli("health", "web.shop").returncode == 1
    with running(argv, folder.home.parent / "by-hand.log", cwd=main, env=folder.env):
        folder.wait_answer("web.shop.localhost", body=b"the main one")
