"""pyproject.toml, uv's workspaces, manage.py and frameworks."""

from pathlib import Path

import pytest

from devproxy.detect.python import look, look_below
from devproxy.detect.virtual_environments import SCRIPTS
from tests.detect.checkout import write

FASTAPI = "from fastapi import FastAPI\n\napp = FastAPI(title='shop')\n"
FLASK = "import flask\n\nserver: flask.Flask = flask.Flask(__name__)\n"


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program is installed."""
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")


def environment(*distributions: str) -> dict[str, str]:
    """The files of a `.venv` with these distributions in it."""
    site = ".venv/lib/python3.12/site-packages"
    return {
        ".venv/pyvenv.cfg": "",
        f".venv/{SCRIPTS}/python": "",
        **{f"{site}/{name}-1.0.dist-info/METADATA": "" for name in distributions},
    }


def found(root: Path) -> list[tuple[str, str, str]]:
    return [(each.name, each.cwd, str(each.command)) for each in look(root).services]


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


@pytest.mark.parametrize(
    ("needed", "installed", "command"),
    [
        ("fastapi[standard]", None, "fastapi dev main.py --port {port}"),
        ("fastapi\nuvicorn[standard]", None, "uvicorn main:app --reload --port {port}"),
        ("fastapi[standard]", ("fastapi", "uvicorn"), "uvicorn main:app --reload --port {port}"),
        ("fastapi", ("fastapi", "fastapi_cli", "uvicorn"), "fastapi dev main.py --port {port}"),
    ],
)
def test_what_is_installed_decides_before_what_is_declared(
    tmp_path: Path, needed: str, installed: tuple[str, ...] | None, command: str
) -> None:
    files = {"requirements.txt": needed, "main.py": FASTAPI, **(environment(*installed) if installed else {})}
    assert found(write(tmp_path, files)) == [("api", ".", command)]


def test_what_nothing_serves_is_said(tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": "fastapi", "main.py": FASTAPI, **environment("fastapi")})
    assert look(tmp_path).remarks == ("main.py: nothing says what serves it: add `fastapi[standard]` or `uvicorn`",)


def test_what_is_said_of_a_folder_below_has_its_name(tmp_path: Path) -> None:
    write(tmp_path, {"back/requirements.txt": "fastapi", "back/app/main.py": FASTAPI})
    (said,) = look_below(tmp_path, tmp_path / "back").remarks
    assert said.startswith("back/app/main.py: nothing says what serves it")


@pytest.mark.parametrize(
    ("files", "service"),
    [
        ({"app/__init__.py": "", "app/main.py": FASTAPI}, ("api", ".", "uvicorn app.main:app --reload --port {port}")),
        ({"app/main.py": FASTAPI}, ("api", "app", "uvicorn main:app --reload --port {port}")),
        ({"src/main.py": FASTAPI}, ("api", ".", "uvicorn --app-dir src main:app --reload --port {port}")),
        (
            {"src/shop/__init__.py": "", "src/shop/api.py": FASTAPI},
            ("api", ".", "uvicorn --app-dir src shop.api:app --reload --port {port}"),
        ),
        ({"server.py": FLASK}, ("web", ".", "flask --app server:server run --port {port}")),
        ({"web/__init__.py": FLASK}, ("web", ".", "flask --app web:server run --port {port}")),
        ({"app.py": FLASK.replace("server", "app")}, ("web", ".", "flask run --port {port}")),
        (
            {"app.py": "from quart import Quart\napp = Quart(__name__)\n"},
            ("web", ".", "quart --app app:app run --port {port}"),
        ),
    ],
)
def test_an_application_is_found_where_projects_keep_it(
    tmp_path: Path, files: dict[str, str], service: tuple[str, str, str]
) -> None:
    assert found(write(tmp_path, {"requirements.txt": "fastapi\nuvicorn\nflask\n", **files})) == [service]


def made(kind: str, given: str = "", name: str = "create_app") -> str:
    return f"import x\n\ndef {name}({given}) -> x.{kind}:\n    app = x.{kind}()\n    return app\n"


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"main.py": made("FastAPI")}, "uvicorn main:create_app --factory --reload --port {port}"),
        ({"shop/__init__.py": made("Flask", "config=None")}, "flask --app shop:create_app run --port {port}"),
        ({"app.py": made("Flask")}, "flask run --port {port}"),
        ({"app.py": made("Flask", name="make_the_app")}, "flask --app app:make_the_app run --port {port}"),
        ({"main.py": made("Quart")}, "quart --app main:create_app run --port {port}"),
        ({"main.py": made("Litestar", "*args, **more")}, "litestar --app main:create_app run --port {port}"),
        ({"main.py": made("Sanic")}, "sanic main:create_app --factory --dev --port {port}"),
        (
            {"src/shop/__init__.py": "", "src/shop/main.py": made("Starlette", "x: dict[str, int] = {1, 2},")},
            "uvicorn --app-dir src shop.main:create_app --factory --reload --port {port}",
        ),
        # what a module makes at its top counts before
        ({"main.py": made("FastAPI") + "app = create_app()\n"}, "uvicorn main:app --reload --port {port}"),
        ({"main.py": "from made import app\n", "made.py": made("FastAPI")}, "uvicorn main:app --reload --port {port}"),
        ({"a.py": FASTAPI, "main.py": made("FastAPI")}, "uvicorn a:app --reload --port {port}"),
    ],
)  # fmt: skip
def test_an_application_may_be_made_by_a_function(tmp_path: Path, files: dict[str, str], command: str) -> None:
    write(tmp_path, {"requirements.txt": "fastapi\nuvicorn\n", **files})
    assert [text for _, _, text in found(tmp_path)] == [command]


@pytest.mark.parametrize("given", ["settings", "settings: Settings, debug=False", "x: dict[str, int]"])
def test_a_function_that_needs_arguments_makes_none(tmp_path: Path, given: str) -> None:
    write(tmp_path, {"shop/main.py": made("FastAPI", given)})
    assert found(tmp_path) == []


def test_what_only_fastapi_standard_brings_serves_a_function_too(tmp_path: Path) -> None:
    write(tmp_path, {"requirements.txt": "fastapi[standard]\n", "main.py": made("FastAPI")})
    assert [text for _, _, text in found(tmp_path)] == ["uvicorn main:create_app --factory --reload --port {port}"]


def test_what_is_not_the_projects_application_is_none(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "tests/main.py": FASTAPI,
            "test_app.py": FASTAPI,
            "docs/app.py": FLASK,
            "lib.py": "def make():\n    app = FastAPI()\n",
            "other/pyproject.toml": "",
            "other/main.py": FASTAPI,
        },
    )
    assert found(tmp_path) == []


def test_several_are_named_after_what_they_are(tmp_path: Path) -> None:
    write(tmp_path, {"users/__init__.py": "", "users/main.py": FASTAPI, "orders.py": FASTAPI, "pay/main.py": FASTAPI})
    assert [(name, cwd) for name, cwd, _ in found(tmp_path)] == [("orders", "."), ("pay", "pay"), ("users", ".")]


@pytest.mark.parametrize(
    "text",
    [
        "[dependency-groups]\nserve = ['fastapi[standard]']\n",
        "[project.optional-dependencies]\nserve = ['fastapi[all]']\n",
        "[tool.poetry.group.dev.dependencies]\nfastapi = {version = '*', extras = ['standard']}\n",
    ],
)
def test_dependencies_stand_in_groups_too(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"pyproject.toml": text, "main.py": FASTAPI})
    assert found(tmp_path)[0][2].endswith("fastapi dev main.py --port {port}")


@pytest.mark.parametrize(
    ("files", "prefix"),
    [({"pdm.lock": ""}, "pdm run "), ({"Pipfile": "[packages]\ndjango = '*'\n"}, "pipenv run "), ({}, "")],
)
def test_what_runs_the_projects_environment(tmp_path: Path, files: dict[str, str], prefix: str) -> None:
    write(tmp_path, {"manage.py": "", **files})
    assert found(tmp_path)[0][2] == f"{prefix}python manage.py runserver 127.0.0.1:{{port}}"


def test_an_environment_that_is_there_does_without_its_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"manage.py": "", "uv.lock": ""})
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert found(tmp_path)[0][2].startswith("uv run ")
    assert look(tmp_path).remarks == ("`uv` is not installed here: its commands start once it is",)
    write(tmp_path, environment("django"))
    assert found(tmp_path)[0][2] == "python manage.py runserver 127.0.0.1:{port}"
    assert look(tmp_path).remarks == ()


def test_without_any_environment_the_systems_python_is_called_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name == "python" else name)
    assert found(write(tmp_path, {"manage.py": ""}))[0][2].startswith("python3 manage.py ")


def test_a_file_that_is_no_toml_is_said_with_the_place(tmp_path: Path) -> None:
    (said,) = look(write(tmp_path, {"pyproject.toml": "[project]\nname = \n"})).remarks
    assert said.startswith("pyproject.toml:2:8: the file is left out: not TOML: ")
