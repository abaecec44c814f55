"""Real programs, started as `devproxy run` starts them: each takes the port it is given, on loopback alone, and answers
under a name that it does not know.

Not here: the whole of `devproxy run` (`test_run.py`), command lines without their programs (`tests/run/`).
"""

import http.client
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from devproxy.addresses import is_loopback
from devproxy.registry.model import Project, Registry, Service, Source
from devproxy.run.command import prepare
from devproxy.urls import Ports
from tests import require
from tests.e2e.processes import Program, running
from tests.health.packages import node_modules
from tests.ports import free_port
from tests.waiting import PROGRAM_DEADLINE, wait_until

pytestmark = pytest.mark.e2e

WSGI = "def app(environ, start):\n    start('200 OK', [])\n    return [b'hello']\n"
FLASK = "from flask import Flask\napp = Flask(__name__)\n@app.get('/')\ndef hello() -> str:\n    return 'hello'\n"
ASGI = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
def hello() -> str:
    return "hello"
"""
DJANGO = """
import sys
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path
settings.configure(DEBUG=True, SECRET_KEY="x", ROOT_URLCONF=__name__)
urlpatterns = [path("", lambda request: HttpResponse("hello"))]
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""
PAGE = "<!doctype html><title>hello</title>"
WEBPACK = 'module.exports = { mode: "development", entry: "./main.js", devServer: { static: "." } };'


def scripts(**found: str) -> str:
    return json.dumps({"name": "web", "private": True, "scripts": found})


PYTHON: list[tuple[str, str, dict[str, str]]] = [
    ("django", "python manage.py runserver --noreload", {"manage.py": DJANGO}),
    ("flask", "flask --app web run", {"web.py": FLASK}),
    ("flask", "python -m flask --app web run --port 5000", {"web.py": FLASK}),
    ("uvicorn", "uvicorn web:app", {"web.py": ASGI}),
    ("gunicorn", "exec gunicorn web:app", {"web.py": WSGI}),
    ("hypercorn", "hypercorn web:app", {"web.py": ASGI}),
    ("waitress", "waitress-serve web:app", {"web.py": WSGI}),
    ("http.server", "python -m http.server", {"index.html": PAGE}),
]
NODE: list[tuple[str, dict[str, str]]] = [
    ("npm run dev", {"package.json": scripts(dev="vite"), "index.html": PAGE}),
    ("npm run outer", {"package.json": scripts(outer="npm run dev", dev="vite --port 3000"), "index.html": PAGE}),
    (
        "npm run dev",
        {"package.json": scripts(dev="webpack serve"), "webpack.config.js": WEBPACK, "main.js": "", "index.html": PAGE},
    ),
    ("npx serve", {"index.html": PAGE}),
    ("npx http-server -c-1 .", {"index.html": PAGE}),
    (
        "npm run dev",
        {"package.json": scripts(dev="next dev --webpack"), "pages/index.js": "export default () => <p>hello</p>"},
    ),
]


@pytest.mark.parametrize(("module", "command", "files"), PYTHON)
def test_python(module: str, command: str, files: dict[str, str], tmp_path: Path) -> None:
    require.module(module)
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(tmp_path)}
    answers_on_its_port(command, files, tmp_path, "web.shop.localhost", path)


@pytest.mark.parametrize(("command", "files"), NODE)
def test_node(command: str, files: dict[str, str], tmp_path: Path) -> None:
    # a name that none of them lets in by itself, where they check names at all
    (tmp_path / "node_modules").symlink_to(node_modules())
    answers_on_its_port(command, files, tmp_path, "web.shop.test", {"NEXT_TELEMETRY_DISABLED": "1", "CI": "1"})


def answers_on_its_port(
    command: str, files: Mapping[str, str], folder: Path, host: str, environment: Mapping[str, str]
) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    service = Service(
        id="web.shop", name="web", project=Project("shop"), hosts=(host,), cwd=str(folder), source=Source("/a", 1)
    )
    service = replace(service, command=command)
    port = free_port()
    found = prepare(service, port=port, registry=Registry(services=(service,)), ports=Ports(80))
    assert found.port == port
    with running(found.argv, folder / "log", cwd=folder, env={**environment, **found.env}) as program:
        wait_until(
            lambda: listens(program, port), f"{found.argv} to listen", seconds=PROGRAM_DEADLINE, log=program.output
        )
        assert all(is_loopback(address) for address, _ in listeners(program)), listeners(program)
        answer = http.client.HTTPConnection("127.0.0.1", port, timeout=PROGRAM_DEADLINE)
        answer.request("GET", "/", headers={"Host": host})
        response = answer.getresponse()
        assert (response.status, b"hello" in response.read()) == (200, True)
        answer.close()


def listens(program: Program, port: int) -> bool:
    assert program.popen.poll() is None, program.output()
    return any(one == port for _, one in listeners(program))


def listeners(program: Program) -> set[tuple[str, int]]:
    """Every address that the program or what it started listens on."""
    found = set()
    for process in (root := psutil.Process(program.pid), *root.children(recursive=True)):
        try:
            connections = process.net_connections("tcp")
        except psutil.Error:
            continue
        found |= {(one.laddr.ip, one.laddr.port) for one in connections if one.status == psutil.CONN_LISTEN}
    return found
