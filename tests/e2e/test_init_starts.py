"""Every file that `init` writes starts as it stands: projects as people have them, from `init` to an answer.

Lives here: one small project a shape, each with real programs. Not here: what is found in which file (`tests/detect/`).

The programs of npm are installed once a checkout (`shapes/package-lock.json`), those of Python are the ones that the
tests run with: a project's `.venv` is a link to them, or has a part of them. Neither is on PATH: a command that starts
has found the project's own.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import npm, require
from tests.e2e.processes import CACHE, clean_environment
from tests.e2e.project import Project, project_in
from tests.waiting import PROGRAM_DEADLINE

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FASTAPI = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
def hello() -> str:
    return "hello"
"""
FLASK = """
from flask import Flask
app = Flask(__name__)
@app.get("/")
def hello() -> str:
    return "hello"
"""
MADE = """
import {module}
def create_app():
    app = {module}.{kind}({given})
    app.get("/")(lambda: "hello")
    return app
"""
DJANGO = """
import sys
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpResponse
from django.urls import path
database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
settings.configure(DEBUG=True, SECRET_KEY="x", ROOT_URLCONF=__name__, DATABASES={"default": database})
urlpatterns = [path("", lambda request: HttpResponse("hello"))]
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""
SERVER = """
const { createServer } = require("node:http")
createServer((_, response) => response.end("hello")).listen(process.env.PORT, process.env.HOST)
"""
DENO = 'export default { fetch: () => new Response("hello") }\n'
SERVING_DENO = 'Deno.serve(() => new Response("hello"))\n'
PAGE = "<!doctype html><title>hello</title><p>hello\n"


def package(**keys: object) -> str:
    return json.dumps({"private": True, **keys})


VITE = package(scripts={"dev": "vite"})
NODE = package(scripts={"dev": "node server.js"})


# What a project has installed


def node(project: Project) -> None:
    """`node_modules` at the root, as an installation leaves it."""
    source = Path(__file__).parent / "shapes"
    # Not `npm ci`: that fails where a registry lacks the optional binaries of systems that this one is not.
    command = ("install", "--no-audit", "--no-fund", "--ignore-scripts")
    env = clean_environment({})
    modules = npm.node_modules(source, CACHE / "shapes", command, seconds=PROGRAM_DEADLINE, env=env)
    (project.folder / "node_modules").symlink_to(modules)


def venv(project: Project) -> None:
    """`.venv` with all that the tests have."""
    (project.folder / ".venv").symlink_to(sys.prefix)


def venv_without_cli(project: Project) -> None:
    """`.venv` with FastAPI and uvicorn, and without what `fastapi dev` needs."""
    place = project.folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True, timeout=PROGRAM_DEADLINE)
    (site,) = place.glob("lib/python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("fastapi_cli", "fastapi_cloud", "__pycache__")):
            (site / entry.name).symlink_to(entry)
    script = place / "bin" / "uvicorn"
    text = "import uvicorn\nif __name__ == '__main__':\n    uvicorn.main()\n"
    script.write_text(f"#!{place}/bin/python\n{text}", "utf-8")
    script.chmod(0o755)


def uv(project: Project) -> None:
    tool("uv")
    venv(project)


def poetry(project: Project) -> None:
    tool("poetry")
    venv(project)


class Shape(NamedTuple):
    """A project's files, what it has installed, and the services that `init` finds: their names, and a command.

    `portless`: those that listen nowhere, which are up as long as they run, or done.
    """

    files: Mapping[str, str]
    install: tuple[Callable[[Project], None], ...]
    services: Mapping[str, str]
    portless: Mapping[str, str] = {}


SHAPES: dict[str, Shape] = {
    "a package of npm": Shape({"package.json": VITE, "index.html": PAGE}, (node,), {"web": "npm run dev"}),
    "workspaces of npm": Shape(
        {
            "package.json": package(workspaces=["{apps,packages}/*"], scripts={"dev": "turbo dev"}),
            "apps/web/package.json": VITE,
            "apps/web/index.html": PAGE,
            "packages/api/package.json": NODE,
            "packages/api/server.js": SERVER,
            "packages/ui/package.json": package(scripts={"dev": "vite build --watch"}),
            "packages/ui/index.html": PAGE,
        },
        (node,),
        {"web": "npm run dev", "api": "npm run dev"},
        {"ui": "npm run dev"},
    ),
    "workspaces of pnpm": Shape(
        {
            "package.json": package(name="shop"),
            "pnpm-workspace.yaml": "packages: ['@(apps|libs)/*', '!libs/old']\n",
            "apps/web/package.json": VITE,
            "apps/web/index.html": PAGE,
            "libs/old/package.json": VITE,
        },
        (node,),
        {"web": "pnpm run dev"},
    ),
    "a package of yarn": Shape(
        {"package.json": VITE, "yarn.lock": "", "index.html": PAGE}, (node,), {"web": "yarn run dev"}
    ),
    "projects of Nx": Shape(
        {
            "package.json": package(name="shop"),
            "nx.json": '{"analytics": false}',
            "apps/web/project.json": json.dumps(
                {
                    "name": "web",
                    "targets": {"serve": {"executor": "nx:run-commands", "options": {"command": "vite apps/web"}}},
                }
            ),
            "apps/web/index.html": PAGE,
        },
        (node,),
        {"web": "npx nx serve web"},
    ),
    "tasks of Deno": Shape(
        {
            "deno.jsonc": '{ // ours\n "tasks": { "dev": "deno serve -A main.ts", }, }',
            "main.ts": DENO,
        },
        (node,),
        {"web": "deno task dev"},
    ),
    "a server of Deno that names no port": Shape(
        {"deno.json": '{"tasks": {"dev": "deno run -A main.ts"}}', "main.ts": SERVING_DENO},
        (node,),
        {"web": "deno task dev"},
    ),
    "a site of Eleventy": Shape(
        {"package.json": package(scripts={"start": "eleventy --serve"}), "index.html": PAGE},
        (node,),
        {"web": "npm run start"},
    ),
    "a frontend and a backend": Shape(
        {
            "package.json": package(scripts={"dev": "concurrently npm:a npm:b"}),
            "frontend/package.json": VITE,
            "frontend/index.html": PAGE,
            "backend/requirements.txt": "fastapi\nuvicorn\n",
            "backend/main.py": FASTAPI,
        },
        (node, venv_without_cli),
        {"frontend": "npm run dev", "backend": "uvicorn main:app --reload --port {port}"},
    ),
    "FastAPI with its own command": Shape(
        {"requirements.txt": "fastapi[standard]\n", "main.py": FASTAPI},
        (venv,),
        {"api": "fastapi dev main.py --port {port}"},
    ),
    "FastAPI with uvicorn alone": Shape(
        {"requirements.txt": "fastapi[standard]\n", "app/__init__.py": "", "app/main.py": FASTAPI},
        (venv_without_cli,),
        {"api": "uvicorn app.main:app --reload --port {port}"},
    ),
    "several of FastAPI": Shape(
        {"requirements.txt": "fastapi\nuvicorn\n", "users/main.py": FASTAPI, "orders.py": FASTAPI},
        (venv_without_cli,),
        {"users": "uvicorn main:app --reload --port {port}", "orders": "uvicorn orders:app --reload --port {port}"},
    ),
    "an application below src": Shape(
        {
            "pyproject.toml": "[project]\nname = 'shop'\n[dependency-groups]\nserve = ['fastapi', 'uvicorn']\n",
            "src/shop/__init__.py": "",
            "src/shop/main.py": FASTAPI,
        },
        (venv_without_cli,),
        {"api": "uvicorn --app-dir src shop.main:app --reload --port {port}"},
    ),
    "applications that functions make": Shape(
        {
            "shop/requirements.txt": "flask\n",
            "shop/shop/__init__.py": MADE.format(module="flask", kind="Flask", given="__name__"),
            "api/requirements.txt": "fastapi\nuvicorn\n",
            "api/main.py": MADE.format(module="fastapi", kind="FastAPI", given=""),
        },
        (venv_without_cli,),
        {
            "shop": "flask --app shop:create_app run --port {port}",
            "api": "uvicorn main:create_app --factory --reload --port {port}",
        },
    ),
    "Flask": Shape({"requirements.txt": "flask\n", "app.py": FLASK}, (venv,), {"web": "flask run --port {port}"}),
    "Django twice": Shape(
        {"shop/manage.py": DJANGO, "back/manage.py": DJANGO},
        (venv,),
        dict.fromkeys(("shop", "back"), "python manage.py runserver 127.0.0.1:{port}"),
    ),
    "a Procfile with a worker and a migration": Shape(
        {
            "Procfile.dev": "web: flask --app web run\njobs: celery -A jobs worker --pool solo\n"
            "release: python manage.py migrate\n",
            "web.py": FLASK,
            "jobs.py": 'from celery import Celery\napp = Celery(broker="memory://")\n',
            "manage.py": DJANGO,
        },
        (venv,),
        {"web": "flask --app web run"},
        {"jobs": "celery -A jobs worker --pool solo", "release": "python manage.py migrate"},
    ),
    "a project of uv": Shape(
        {"pyproject.toml": "[project]\nname='shop'\nversion='1'\n[tool.uv]\n", "app.py": FLASK},
        (uv,),
        {"web": "uv run flask run --port {port}"},
    ),
    "a project of Poetry": Shape(
        {"pyproject.toml": "[tool.poetry]\nname='shop'\nversion='1'\ndescription=''\nauthors=[]\n", "app.py": FLASK},
        (poetry,),
        {"web": "poetry run flask run --port {port}"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_what_init_writes_starts(shape: Shape, tmp_path: Path) -> None:
    require.linux()
    more = {
        "PATH": path_without_our_own(tmp_path / "tools"),
        "npm_config_update_notifier": "false",
        "NX_DAEMON": "false",
        "UV_NO_SYNC": "1",
        "DENO_DIR": str(tmp_path / "deno"),
    }
    with project_in(tmp_path, more) as project:
        project.put(shape.files)
        for install in shape.install:
            install(project)
        project.do("init", "--name", "shop")
        services = tomllib.loads((project.folder / "devproxy.toml").read_text("utf-8"))["services"]
        commands = {name: table["command"] for name, table in services.items()}
        said = {name: " ".join(text) if isinstance(text, list) else text for name, text in commands.items()}
        assert said == {**shape.services, **shape.portless}
        assert {name for name, table in services.items() if "kind" in table} == set(shape.portless)
        project.do("up", "--detach")
        for name in shape.services:
            project.wait_status(f"{name}.shop.localhost")
            assert b"hello" in project.get(f"{name}.shop.localhost").body
        states = project.states()
        assert {states[f"{name}.shop"] for name in shape.portless} <= {"up", "done"}


def tool(name: str) -> str:
    """Where a program is that may have come with what the tests are installed with."""
    own = Path(sysconfig.get_path("scripts")) / name
    return str(own) if own.is_file() else require.program(name)


def path_without_our_own(place: Path) -> str:
    """PATH as it is where no environment of the tests is active; the tools of a person are in `place`."""
    own = {str(Path(sys.executable).parent), sysconfig.get_path("scripts")}
    place.mkdir()
    if (uv := Path(sysconfig.get_path("scripts")) / "uv").is_file():
        (place / "uv").symlink_to(uv)
    return os.pathsep.join(
        [str(place), *(folder for folder in os.environ["PATH"].split(os.pathsep) if folder not in own)]
    )
