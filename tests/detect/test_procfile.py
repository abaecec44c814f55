"""A Procfile's servers, workers and migrations."""

from pathlib import Path

import pytest

from devproxy.detect.procfile import look
from tests.detect.checkout import write


def test_servers_and_others(tmp_path: Path) -> None:
    text = "web: bin/rails server\n# no\n\napi:  node api.js --port $PORT\nworker: sidekiq\nnonsense\n"
    seen = look(write(tmp_path, {"Procfile": text}))
    assert [(service.name, service.kind, service.command) for service in seen.services] == [
        ("web", "server", "bin/rails server"),
        ("api", "server", "node api.js --port $PORT"),
        ("worker", "worker", "sidekiq"),
    ]
    assert seen.remarks == ("Procfile:6: left out: this is no `name: command`",)


def test_the_one_for_development_comes_first(tmp_path: Path) -> None:
    write(tmp_path, {"Procfile": "web: gunicorn\n", "Procfile.dev": "web: flask run\n"})
    assert look(tmp_path).services[0].command == "flask run"


def test_none(tmp_path: Path) -> None:
    assert look(tmp_path).services == ()


def test_watchers_are_told_from_servers(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "Procfile.dev": "web: bin/rails server\ncss: yarn build:css --watch\njs: npm run watch\nvite: npm run dev\n"
            "tail: bin/tail\n",
            "package.json": '{"scripts": {"build:css": "tailwindcss -i a", "watch": "esbuild a --watch",'
            ' "dev": "vite"}}',
        },
    )
    seen = look(tmp_path)
    assert kinds(tmp_path) == {"web": "server", "css": "worker", "js": "worker", "vite": "server"}
    assert seen.remarks == ("Procfile.dev:5: `tail` is left out: nothing says that it listens on a port",)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(
            (name, "worker")
            for name in ("worker", "jobs", "default_worker", "worker-2", "clock", "celery-beat", "queue")
        ),
        ("release", "task"),
        ("web", "server"),
        ("network", None),
        ("jobsite", None),
        ("releases", None),
    ],
)
def test_what_no_program_tells_the_name_does(tmp_path: Path, name: str, kind: str | None) -> None:
    write(tmp_path, {"Procfile": f"{name}: ./own --fast\n"})
    assert kinds(tmp_path) == ({} if kind is None else {name: kind})


def test_a_server_is_one_whatever_it_is_called(tmp_path: Path) -> None:
    write(tmp_path, {"Procfile": "jobs: flask run\nrelease: node app.js --port $PORT\n"})
    assert kinds(tmp_path) == {"jobs": "server", "release": "server"}


def kinds(root: Path) -> dict[str, str]:
    return {service.name: service.kind for service in look(root).services}


@pytest.mark.parametrize(
    "command",
    [
        "celery -A shop worker -l info",
        "bundle exec sidekiq",
        "npm run clean && tsc --watch",
        "tsc --watch & sass --watch a:b",
        "tsc --watch | pino-pretty",
        "exec python manage.py qcluster",
    ],
)
def test_a_worker_is_one(tmp_path: Path, command: str) -> None:
    write(tmp_path, {"Procfile": f"it: {command}\n"})
    assert kinds(tmp_path) == {"it": "worker"}


@pytest.mark.parametrize(
    "command",
    [
        "python manage.py migrate --noinput",
        "bin/rails db:migrate",
        "uv run alembic upgrade head",
        "npx prisma migrate deploy",
        "flask --app shop db upgrade",
        "npm run build && npx knex migrate:latest",
        "npm run migrate",
    ],
)
def test_a_migration_is_a_task(tmp_path: Path, command: str) -> None:
    write(
        tmp_path,
        {
            "Procfile": f"it: {command}\n",
            "package.json": '{"scripts": {"migrate": "node-pg-migrate up", "build": "x"}}',
        },
    )
    assert kinds(tmp_path) == {"it": "task"}


@pytest.mark.parametrize(
    "command",
    [
        "tsc --watch & node server.js",
        "python manage.py migrate && python server.py",
        "python manage.py migrate & python server.py",
        "npx prisma migrate dev",
        "python manage.py makemigrations",
    ],
)
def test_what_may_do_something_else_is_neither(tmp_path: Path, command: str) -> None:
    write(tmp_path, {"Procfile": f"it: {command}\n"})
    assert kinds(tmp_path) == {}


@pytest.mark.parametrize(
    "command",
    [
        "tsc --watch & vite",
        "python manage.py migrate && python manage.py runserver",
        "alembic upgrade head; uvicorn a:b",
    ],
)
def test_what_serves_too_is_a_server(tmp_path: Path, command: str) -> None:
    write(tmp_path, {"Procfile": f"it: {command}\n"})
    assert kinds(tmp_path) == {"it": "server"}
