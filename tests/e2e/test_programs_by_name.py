"""One `devproxy up --detach`, a project file with nothing but each program's usual command, and the page by its name.

Lives here: real programs through the whole of devproxy: port, lease, group, proxy, name; and what they make of the
name.
Not here: their command lines (`tests/run/`), which ports they bind (`test_frameworks.py`), Vite in a browser
(`test_vite.py`).
"""

import contextlib
import json
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import require
from tests.e2e.clients import Answer, request
from tests.e2e.project import Project, project_in
from tests.health.packages import node_modules
from tests.waiting import DEADLINE, PROGRAM_DEADLINE, wait_until

pytestmark = pytest.mark.e2e

HOST = "web.shop.localhost"
VITE = Path(__file__).parent / "vite"
FLASK = """
from flask import Flask, redirect, url_for
app = Flask(__name__)
@app.get("/")
def page() -> str:
    return "flask at " + url_for("page", _external=True)
@app.get("/old")
def old():
    return redirect(url_for("page", _external=True))
"""
FASTAPI = """
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
app = FastAPI()
@app.get("/", response_class=PlainTextResponse)
def page(request: Request) -> str:
    return f"fastapi at {request.url}"
@app.get("/items/")
def items() -> list[str]:
    return ["lamp"]
"""
URLS = """
from django.contrib import admin
from django.http import HttpResponseRedirect
from django.urls import path
urlpatterns = [
    path("admin/", admin.site.urls),
    path("old/", lambda request: HttpResponseRedirect(request.build_absolute_uri("/admin/"))),
]
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    require.linux()
    with project_in(
        tmp_path, {"NEXT_TELEMETRY_DISABLED": "1", "CI": "1", "npm_config_update_notifier": "false"}
    ) as made:
        yield made


def up(project: Project, command: str, more: str = "") -> str:
    """Start `web` with nothing but its command; what a person is shown."""
    toml = f'project = "shop"\n\n[services.web]\ncommand = "{command}"\n{more}'
    project.put({"devproxy.toml": toml})
    shown = project.do("up", "--detach")
    assert re.search(rf"^web\.shop +up +http://{HOST}:{project.port}$", shown, re.M), shown
    return shown


def page(project: Project, path: str = "/", **headers: str) -> Answer:
    """A GET by the name, as a browser sends it."""
    return request(project.port, HOST, path, headers=headers)


def down(project: Project) -> None:
    assert "`web.shop` has ended\n" in project.do("down")
    project.wait_nothing_left()
    assert page(project).status == 502


def test_http_server(project: Project) -> None:
    project.put({"index.html": "a file"})
    up(project, "python -m http.server")
    assert page(project).body == b"a file"
    down(project)


def test_django_with_its_admin(project: Project) -> None:
    require.module("django")
    done = project.run_program("django-admin", "startproject", "backend", ".")
    assert done == 0
    project.put({"backend/urls.py": URLS})
    migrate = '[services.migrate]\nkind = "task"\ncommand = "python manage.py migrate"\n'
    up(project, "python manage.py runserver", f'depends_on = ["migrate"]\n\n{migrate}')

    assert page(project, "/old/").header("Location") == f"{project.url(HOST, '/admin/')}"
    assert page(project, "/admin/").header("Location") == "/admin/login/?next=/admin/"
    login = page(project, "/admin/login/")
    cookie = (login.header("Set-Cookie") or "").partition(";")[0]
    token = re.search(rb'name="csrfmiddlewaretoken" value="(\w+)"', login.body)
    assert token is not None
    body = f"csrfmiddlewaretoken={token[1].decode()}&username=anna&password=wrong".encode()
    fields = {"Cookie": cookie, "Origin": f"http://{HOST}:{project.port}"}
    fields["Content-Type"] = "application/x-www-form-urlencoded"
    refused = request(project.port, HOST, "/admin/login/", method="POST", body=body, headers=fields)
    assert (refused.status, b"enter the correct username" in refused.body) == (200, True)
    down(project)


def test_flask(project: Project) -> None:
    require.module("flask")
    project.put({"shop.py": FLASK})
    up(project, "flask --app shop run --debug")
    assert page(project).body.decode() == f"flask at {project.url(HOST)}"
    assert page(project, "/old").header("Location") == project.url(HOST)
    down(project)


@pytest.mark.parametrize("command", ["fastapi dev shop.py", "uvicorn shop:app --reload"])
def test_fastapi(project: Project, command: str) -> None:
    require.module("fastapi_cli" if command.startswith("fastapi") else "uvicorn")
    project.put({"shop.py": FASTAPI})
    up(project, command)
    assert page(project).body.decode() == f"fastapi at {project.url(HOST)}"
    assert page(project, "/items").header("Location") == f"{project.url(HOST, '/items/')}"
    down(project)


def test_vite_changes_the_page_over_its_socket(project: Project) -> None:
    with_npm(project, dev="vite")
    shutil.copytree(VITE, project.folder, dirs_exist_ok=True)
    up(project, "npm run dev")
    assert b'id="message"' in page(project).body
    for module in ("/main.js", "/message.js"):  # as a page loads them: a change of anything else is nobody's
        assert page(project, module).status == 200
    token = re.search(rb'wsToken = "([\w-]+)"', page(project, "/@vite/client").body)
    assert token is not None
    with websocket(project, f"/?token={token[1].decode()}", "vite-hmr") as hot:
        assert json.loads(hot.recv(30)) == {"type": "connected"}
        (project.folder / "message.js").write_text("export const message = 'after'\n")
        changed: dict[str, Any] = {"type": ""}
        while changed["type"] != "update":
            changed = json.loads(hot.recv(60))
    assert [update["path"] for update in changed["updates"]] == ["/main.js"]
    assert b"'after'" in page(project, "/message.js").body
    down(project)


def test_next(project: Project) -> None:
    with_npm(project, dev="next dev --webpack")
    project.put({"pages/index.js": "export default () => <p>hello from next</p>"})
    up(project, "npm run dev")

    def compiled() -> bool:
        with contextlib.suppress(TimeoutError):
            return b"hello from next" in page(project).body
        return False

    wait_until(compiled, "the page", seconds=PROGRAM_DEADLINE, log=project.logged)
    with websocket(project, "/_next/hmr?id=1") as hot:
        assert hot.recv(60)
    down(project)


def with_npm(project: Project, **scripts: str) -> None:
    """A package with these scripts, and what the tests have from npm."""
    (project.folder / "node_modules").symlink_to(node_modules())
    project.put({"package.json": json.dumps({"name": "shop", "private": True, "scripts": scripts})})


def websocket(project: Project, path: str, protocol: str | None = None) -> Any:
    """A WebSocket as a page of ours opens it."""
    client = require.module("websockets.sync.client")
    return client.connect(
        f"ws://{HOST}:{project.port}{path}",
        sock=socket.create_connection(("127.0.0.1", project.port), timeout=DEADLINE),
        subprotocols=[protocol] if protocol else None,
        origin=f"http://{HOST}:{project.port}",
        proxy=None,
        open_timeout=PROGRAM_DEADLINE,
    )
