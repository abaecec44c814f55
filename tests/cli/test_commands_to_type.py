"""Commands that devproxy tells a person to type: pasted into a shell they do that and nothing else, whatever a folder
or a name is called."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from msgspec import structs

from devproxy.cli.arguments import services_meant
from devproxy.errors import DevproxyError
from devproxy.problems import Problem
from devproxy.proxy import answers
from devproxy.registry.model import Registry, Source
from devproxy.run.activation import refuse_untrusted
from tests import require
from tests.cli.command import Home
from tests.proxy.values import service

FOLDERS = ["a;touch PWNED #", "it's $(touch PWNED)`touch PWNED` \"; touch PWNED > PWNED"]
PROJECT = 'project = "shop"\n\n[services.web]\nport = 3000\n'
TYPED = re.compile(r"\bdevproxy (?:link|init|check|run|add) .*")


class Shell:
    """A shell whose `devproxy` only says what it was given; what it does else shows in its folder."""

    def __init__(self, folder: Path):
        self.folder = folder / "shell"
        programs = folder / "bin"
        self.folder.mkdir()
        programs.mkdir()
        stand_in = programs / "devproxy"
        stand_in.write_text("#!/bin/sh\nfor word; do printf '%s\\0' \"$word\"; done\n")
        stand_in.chmod(0o755)
        self._path = os.pathsep.join((str(programs), os.environ["PATH"]))

    def words(self, text: str) -> list[str]:
        """What devproxy gets of the last command to type in `text`, which is pasted as it is."""
        line = TYPED.findall(text)[-1]
        environment = {**os.environ, "PATH": self._path}
        done = subprocess.run(["sh", "-c", line], cwd=self.folder, env=environment, capture_output=True, check=False)
        assert list(self.folder.iterdir()) == [], line
        assert (done.returncode, done.stderr) == (0, b""), line
        return done.stdout.decode().split("\0")[:-1]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    require.program("sh")
    return Shell(tmp_path)


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = tmp_path / str(request.param)
    made.mkdir()
    return made


def test_a_local_file_is_linked_by_the_one_beside_it(home: Home, shell: Shell, folder: Path) -> None:
    (folder / "devproxy.local.toml").write_text("")
    done = home.run("link", "devproxy.local.toml", cwd=folder)
    assert done.code == 1
    assert shell.words(done.err) == ["link", str(folder / "devproxy.toml")]


def test_what_init_would_write(home: Home, shell: Shell, folder: Path) -> None:
    (folder / "devproxy.toml").write_text(PROJECT)
    assert shell.words(home.run("init", cwd=folder).err) == ["init", "--dry-run", str(folder)]


def test_a_service_that_nobody_can_run(home: Home, shell: Shell, folder: Path) -> None:
    home.write("[proxy]\nautostart = false\n")
    (folder / "devproxy.toml").write_text(PROJECT)
    assert shell.words(home.run("run", "web", cwd=folder).err) == ["link", str(folder / "devproxy.toml")]


def test_another_checkout_of_the_same_project(home: Home, shell: Shell, folder: Path, tmp_path: Path) -> None:
    home.write("[proxy]\nautostart = false\n")
    for where in (folder, tmp_path / "first"):
        where.mkdir(exist_ok=True)
        (where / "devproxy.toml").write_text(PROJECT)
    assert home.run("link", cwd=tmp_path / "first").code == 0
    done = home.run("run", "web", "--", "true", cwd=folder)
    assert shell.words(done.err) == ["link", "--as", "two", str(folder)]


def test_commands_that_are_not_trusted(home: Home, shell: Shell, folder: Path) -> None:
    file = folder / "devproxy.toml"
    file.write_text(f'{PROJECT}command = "true"\nstart = "on-request"\n')
    assert home.run("link", cwd=folder).code == 0
    assert shell.words(home.run("ls").err) == ["link", "--trust", str(file)]


@pytest.mark.parametrize("name", ["devproxy.toml", "devproxy.local.toml"])
def test_a_start_that_nobody_has_allowed(shell: Shell, folder: Path, name: str) -> None:
    untrusted = service("web.shop", start="on-request", command="true", source=Source(str(folder / name), 1))
    wanted = ["link", "--trust", str(folder / "devproxy.toml")]
    assert shell.words(answers.trust(untrusted)) == wanted
    with pytest.raises(DevproxyError) as caught:
        refuse_untrusted([structs.replace(untrusted, trusted=False)])
    assert shell.words(caught.value.fix) == wanted


def test_a_project_with_an_error(shell: Shell, folder: Path) -> None:
    file = folder / "devproxy.toml"
    file.write_text(PROJECT)
    problem = Problem(code="syntax", message="it is wrong", file=str(file))
    with pytest.raises(DevproxyError) as caught:
        services_meant(Registry(problems=(problem,)), (), folder)
    assert shell.words(caught.value.fix) == ["check", str(file)]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_name_that_was_typed(home: Home, shell: Shell, name: str) -> None:
    said = home.run("url", name).err.replace(" (or, in a project's folder, devproxy link)", "")
    assert shell.words(said) == ["add", name, "PORT"]
    home.write("[proxy]\nautostart = false\n")
    assert shell.words(home.run("run", "web", name, "b c").err) == ["run", "web", "--", name, "b c"]
    assert shell.words(home.run("add", f"web.{name}", "3000").err)[:3] == ["add", "web", "…"]
