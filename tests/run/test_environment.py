"""The environment that a project has of its own, found as its owner's shell would have it."""

import os
import select
import subprocess
import sys
from base64 import urlsafe_b64encode
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from devproxy.detect.virtual_environments import SCRIPTS
from devproxy.run import environment
from devproxy.run.environment import ProjectEnvironment, project_environment
from tests.detect.checkout import write
from tests.waiting import DEADLINE

PATH = os.pathsep.join(("/usr/local/bin", "/usr/bin", "/bin"))


def venv(place: Path) -> Path:
    """What makes a folder a virtual environment; nothing in it is run here."""
    write(place, {"pyvenv.cfg": "home = /usr/bin\n", f"{SCRIPTS}/python": ""})
    return place


def found(cwd: Path, root: Path, **more: str) -> ProjectEnvironment:
    return project_environment(cwd, str(root / "devproxy.toml"), {"PATH": PATH, **more})


def path_of(seen: ProjectEnvironment) -> list[str]:
    return seen.variables["PATH"].split(os.pathsep)


def test_nothing_is_set_where_the_project_has_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, tmp_path) == ProjectEnvironment()


def test_the_nearest_of_each_comes_first(tmp_path: Path) -> None:
    outer, inner = venv(tmp_path / ".venv"), venv(tmp_path / "api" / "venv")
    for folder in ("api/node_modules/.bin", "node_modules/.bin"):
        (tmp_path / folder).mkdir(parents=True)
    seen = found(tmp_path / "api", tmp_path)
    assert path_of(seen)[:3] == [
        str(inner / SCRIPTS),
        str(tmp_path / "api/node_modules/.bin"),
        str(tmp_path / "node_modules/.bin"),
    ]
    assert (seen.variables["VIRTUAL_ENV"], seen.variables["PYTHONHOME"]) == (str(inner), "")
    assert seen.found == ("venv", "node_modules/.bin")
    assert found(tmp_path, tmp_path).variables["VIRTUAL_ENV"] == str(outer)


def test_an_active_one_gives_way_and_the_projects_own_moves_to_the_front(tmp_path: Path) -> None:
    own, other = venv(tmp_path / ".venv"), "/home/anna/other"
    path = os.pathsep.join((f"{other}/bin", PATH, str(own / SCRIPTS)))
    seen = found(tmp_path, tmp_path, PATH=path, VIRTUAL_ENV=other)
    assert path_of(seen) == [str(own / SCRIPTS), f"{other}/bin", *PATH.split(os.pathsep)]
    assert seen.variables["VIRTUAL_ENV"] == str(own)


def test_nothing_outside_of_the_project_is_taken(tmp_path: Path) -> None:
    venv(tmp_path / ".venv")
    project = tmp_path / "shop"
    (project / "api").mkdir(parents=True)
    assert found(project / "api", project).found == ()
    assert project_environment(project / "api", "/etc/devproxy/registry.toml", {"PATH": PATH}).found == ()
    (tmp_path / ".git").mkdir()
    assert project_environment(project / "api", "/etc/devproxy/registry.toml", {"PATH": PATH}).found == (".venv",)


def test_what_is_no_environment_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"venv/bin/python": "", ".venv": "shop\n"})  # a folder by that name, and virtualfish's file
    (tmp_path / "api" / ".venv").mkdir(parents=True)
    assert found(tmp_path / "api", tmp_path).found == ()


def test_uv_may_be_told_another_place(tmp_path: Path) -> None:
    venv(tmp_path / ".venv")
    own = venv(tmp_path / ".venv-linux")
    assert found(tmp_path, tmp_path, UV_PROJECT_ENVIRONMENT=".venv-linux").variables["VIRTUAL_ENV"] == str(own)


def test_pdm_writes_down_which_it_uses(tmp_path: Path) -> None:
    own = venv(tmp_path / "elsewhere" / "shop-3.12")
    write(tmp_path / "shop", {".pdm-python": f"{own / SCRIPTS / 'python'}\n"})
    seen = found(tmp_path / "shop", tmp_path / "shop")
    assert (seen.variables["VIRTUAL_ENV"], seen.found) == (str(own), (str(own),))


@pytest.mark.parametrize("text", ['[tool.poetry]\nname = "My shop"\n', '[project]\nname = "My shop"\n'])
def test_poetry_keeps_it_under_a_name_made_of_the_folder(tmp_path: Path, text: str) -> None:
    write(tmp_path / "shop", {"pyproject.toml": text, "poetry.lock": ""})
    digest = urlsafe_b64encode(sha256(os.path.normcase((tmp_path / "shop").resolve()).encode()).digest()).decode()[:8]
    for version in ("3.11", "3.12"):
        own = venv(tmp_path / "cache" / f"my_shop-{digest}-py{version}")
    seen = found(tmp_path / "shop", tmp_path / "shop", POETRY_VIRTUALENVS_PATH=str(tmp_path / "cache"))
    assert seen.variables["VIRTUAL_ENV"] == str(own)


def test_asdf_chooses_by_its_shims(tmp_path: Path) -> None:
    shims = tmp_path / "asdf" / "shims"
    shims.mkdir(parents=True)
    assert found(tmp_path, tmp_path, ASDF_DATA_DIR=str(tmp_path / "asdf")).found == ()
    write(tmp_path, {".tool-versions": "nodejs 22.0.0\n"})
    seen = found(tmp_path, tmp_path, ASDF_DATA_DIR=str(tmp_path / "asdf"))
    assert (path_of(seen)[0], seen.found) == (str(shims), ("asdf",))


# What a tool says is written by programs of that name here, which answer as direnv(1) and mise do.


def tool(folder: Path, name: str, script: str) -> str:
    """A PATH on which a program of this name is first."""
    write(folder, {name: f"#!/bin/sh\n{script}\n"})
    (folder / name).chmod(0o755)
    return os.pathsep.join((str(folder), PATH))


posix = pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script")


@posix
@pytest.mark.parametrize(
    ("file", "name", "asked"), [(".envrc", "direnv", "export json"), ("mise.toml", "mise", "env --json")]
)
def test_what_a_tool_would_set_is_set(tmp_path: Path, file: str, name: str, asked: str) -> None:
    path = tool(tmp_path / "tools", name, f'[ "$*" = "{asked}" ] && pwd >&2 && echo \'{{"A": "b c", "GONE": null}}\'')
    assert found(tmp_path, tmp_path, PATH=path).found == ()  # it has no file here
    write(tmp_path, {file: ""})
    (tmp_path / "api").mkdir()
    seen = found(tmp_path / "api", tmp_path, PATH=path)
    assert (seen.variables, seen.found, seen.refused) == ({"A": "b c"}, (name,), ())


@posix
def test_what_a_tool_has_started_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """direnv runs a shell, which runs what stands in .envrc."""
    monkeypatch.setattr(environment, "PATIENCE", 0.3)
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    monkeypatch.setattr(subprocess, "Popen", partial(subprocess.Popen, pass_fds=(writing,)))
    path = tool(tmp_path / "tools", "direnv", "sleep 600 & wait")
    write(tmp_path, {".envrc": ""})
    seen = found(tmp_path, tmp_path, PATH=path)
    os.close(writing)
    assert "longer than" in seen.refused[0]
    ready, _, _ = select.select([reading], [], [], DEADLINE)
    assert ready
    assert os.read(reading, 1) == b""  # nobody has the other end any more
    os.close(reading)


@posix
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo; echo 'direnv: error .envrc is blocked. Run `direnv allow`' >&2; exit 1", "Run `direnv allow`"),
        (r"printf '\033[31mdirenv: blocked\033[0m\n' >&2; exit 1", "direnv: direnv: blocked"),
        ("exit 3", "exit code 3"),
        ("echo '{'", "no JSON"),
        ("exec sleep 600", "longer than"),
    ],
)
def test_what_a_tool_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, why: str) -> None:
    monkeypatch.setattr(environment, "PATIENCE", 0.3 if "sleep" in script else 60.0)
    path = tool(tmp_path / "tools", "direnv", script)
    write(tmp_path, {".envrc": ""})
    seen = found(tmp_path, tmp_path, PATH=path)
    assert (seen.variables, seen.found) == ({}, ())
    (told,) = seen.refused
    assert told.startswith("direnv: ")
    assert why in told


def test_a_real_one_is_the_python_that_a_command_gets(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / ".venv")], check=True, timeout=120)
    seen = found(tmp_path, tmp_path)
    script = "import sys; print(sys.prefix)"
    argv = ["python", "-c", script]
    environ = {**os.environ, **seen.variables}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True, timeout=120)
    assert Path(done.stdout.strip()) == tmp_path / ".venv"
