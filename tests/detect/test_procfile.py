"""A Procfile's servers."""

from pathlib import Path

from devproxy.detect.procfile import look
from tests.detect.checkout import write


def test_servers_and_others(tmp_path: Path) -> None:
    text = "web: bin/rails server\n# no\n\napi:  node api.js --port $PORT\nworker: sidekiq\nnonsense\n"
    seen = look(write(tmp_path, {"Procfile": text}))
    assert [(service.name, service.command) for service in seen.services] == [
        ("web", "bin/rails server"),
        ("api", "node api.js --port $PORT"),
    ]
    assert seen.remarks == (
        "Procfile:5: `worker` is left out: it watches or works, and listens on no port",
        "Procfile:6: left out: this is no `name: command`",
    )


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
            "jobs: bin/jobs\n",
            "package.json": '{"scripts": {"build:css": "tailwindcss -i a", "watch": "esbuild a --watch",'
            ' "dev": "vite"}}',
        },
    )
    seen = look(tmp_path)
    assert [service.name for service in seen.services] == ["web", "vite"]
    assert seen.remarks == (
        "Procfile.dev:2: `css` is left out: it watches or works, and listens on no port",
        "Procfile.dev:3: `js` is left out: it watches or works, and listens on no port",
        "Procfile.dev:5: `jobs` is left out: nothing says that it listens on a port",
    )
