"""pyproject.toml, uv's workspaces, manage.py and frameworks."""

from pathlib import Path

import pytest

from devproxy.detect.python import look
from tests.detect.checkout import write

POETRY = '[tool.poetry.dependencies]\nflask = "^3"\n'


def project(name: str, *dependencies: str, more: str = "") -> str:
    return f'[project]\nname = "{name}"\ndependencies = {list(dependencies)!r}\n{more}'


def test_django(tmp_path: Path) -> None:
    (web,) = look(write(tmp_path, {"manage.py": ""})).services
    assert (web.name, web.command) == ("web", "python manage.py runserver 127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("files", "command"),
    [
        (
            {"pyproject.toml": project("a", "fastapi[all]>1"), "main.py": ""},
            "fastapi dev main.py --port {port}",
        ),
        ({"requirements.txt": "# x\nFlask==3.1\n", "app.py": ""}, "flask run --port {port}"),
        ({"requirements.txt": "streamlit\n", "app.py": ""}, "streamlit run app.py --server.port {port}"),
        ({"uv.lock": "", "manage.py": ""}, "uv run python manage.py runserver 127.0.0.1:{port}"),
        ({"poetry.lock": "", "manage.py": ""}, "poetry run python manage.py runserver 127.0.0.1:{port}"),
        (
            {"pyproject.toml": '[tool.poetry.dependencies]\nflask = "^3"\n', "wsgi.py": ""},
            "poetry run flask run --port {port}",
        ),
    ],
)
def test_frameworks(tmp_path: Path, files: dict[str, str], command: str) -> None:
    assert look(write(tmp_path, files)).services[0].command == command


def test_a_workspace_of_uv(tmp_path: Path) -> None:
    workspace = '[tool.uv.workspace]\nmembers = ["services/*"]\nexclude = ["services/old"]\n'
    write(
        tmp_path,
        {
            "pyproject.toml": project("shop", more=workspace),
            "services/api/pyproject.toml": project("shop-api", "fastapi"),
            "services/api/main.py": "",
            "services/old/pyproject.toml": project("old", "fastapi"),
            "services/old/main.py": "",
            "services/lib/pyproject.toml": project("lib", "fastapi"),
        },
    )
    seen = look(tmp_path)
    assert seen.project == "shop"
    assert [(service.name, service.cwd, service.command) for service in seen.services] == [
        ("shop-api", "services/api", "uv run fastapi dev main.py --port {port}")
    ]


@pytest.mark.parametrize("text", ["", "[", "project = 1", "[project]\ndependencies = 1\n", 'tool = "x"'])
def test_what_is_no_project_has_no_server(tmp_path: Path, text: str) -> None:
    assert look(write(tmp_path, {"pyproject.toml": text, "main.py": ""})).services == ()
