"""Shell completion: the scripts, and what they are given to complete with."""

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.cli.app import SUMMARIES
from devproxy.cli.shell_startup import startup_file
from tests import require
from tests.cli.command import Home, Result, write_all


def complete(home: Home, *words: str) -> list[str]:
    """What bash would offer for the last of `words`."""
    done = home.run(
        _DEVPROXY_COMPLETE="bash_complete",
        COMP_WORDS=" ".join(["devproxy", *words]),
        COMP_CWORD=str(len(words)),
    )
    assert (done.code, done.err) == (0, "")
    return [line.partition(",")[2] for line in done.out.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["l"], ["link", "logs", "ls"]),
        (["ls", "--j"], ["--json"]),
        (["url", "w"], ["web", "web.shop"]),
        (["open", "api"], ["api.shop"]),
        (["rm", ""], ["admin", "web"]),
        (["unlink", ""], ["shop"]),
        (["completion", ""], ["bash", "zsh", "fish", "install"]),
        (["completion", "install", ""], ["bash", "zsh", "fish"]),
        (["check", "--format", "s"], ["sarif"]),
    ],
)
def test_what_is_offered(home: Home, words: list[str], offered: list[str]) -> None:
    write_all(home)
    assert sorted(complete(home, *words)) == sorted(offered)


def test_every_command_is_offered(home: Home) -> None:
    assert set(complete(home, "")) == set(SUMMARIES)


def test_a_broken_registry_offers_nothing_and_says_nothing(home: Home) -> None:
    home.write("[services.web\n")
    assert complete(home, "url", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_takes_the_script(home: Home, shell: str) -> None:
    program = require.program(shell)
    script = home.run("completion", shell).out
    subprocess.run([program, "-n"], input=script, text=True, check=True, capture_output=True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_devproxy(home: Home, shell: str) -> None:
    done = home.run("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert f"_DEVPROXY_COMPLETE={shell}_complete" in done.out


def test_bash_completes_a_service(home: Home) -> None:
    bash = require.program("bash")
    write_all(home)
    wrapper = home.folder / "bin" / "devproxy"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -m devproxy "$@"\n')
    wrapper.chmod(0o755)
    script = (
        'eval "$(devproxy completion bash)"\n'
        "COMP_WORDS=(devproxy url api.s) COMP_CWORD=2\n"
        "$(complete -p devproxy | sed 's/.*-F \\([^ ]*\\).*/\\1/') devproxy api.s url\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    path = f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [bash, "--norc", "-c", script],
        env=home.environment(PATH=path),
        cwd=home.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "api.shop\n", done.stderr


class TestInstall:
    """`completion install`: what is written and where. That it works is tested in tests/e2e/test_completion.py."""

    FILES: ClassVar = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/completions/devproxy.fish"}

    @pytest.fixture
    def account(self, tmp_path: Path) -> Path:
        folder = tmp_path / "account"
        folder.mkdir()
        return folder

    def install(self, home: Home, account: Path, *words: str, **variables: str) -> Result:
        """On an account whose login shell is fish."""
        fresh = {"HOME": str(account), "ZDOTDIR": "", "XDG_CONFIG_HOME": "", "SHELL": "/usr/bin/fish"}
        return home.run("completion", "install", *words, cwd=None, stdin="", **{**fresh, **variables})

    @pytest.mark.parametrize("shell", FILES)
    def test_it_says_what_it_wrote_and_writes_nothing_twice(self, home: Home, account: Path, shell: str) -> None:
        file = account / self.FILES[shell]
        done = self.install(home, account, shell)
        assert done.code == 0, done.err
        assert f"written: {file}\n" in done.out
        text = file.read_text("utf-8")
        assert "devproxy" in text
        assert shell == "fish" or text.rstrip() in done.out
        again = self.install(home, account, shell)
        assert (again.code, again.out) == (0, f"nothing to do: it is there already: {file}\n")
        assert file.read_text("utf-8") == text

    @pytest.mark.parametrize("shell", FILES)
    def test_a_dry_run_shows_it_and_writes_nothing(self, home: Home, account: Path, shell: str) -> None:
        file = account / self.FILES[shell]
        done = self.install(home, account, shell, "--dry-run")
        assert done.code == 0, done.err
        assert f"would write: {file}\n" in done.out
        assert list(account.iterdir()) == []
        self.install(home, account, shell)
        assert file.read_text("utf-8").strip() in done.out

    def test_without_a_name_it_is_the_login_shell(self, home: Home, account: Path) -> None:
        assert self.install(home, account).code == 0
        assert (account / self.FILES["fish"]).is_file()

    @pytest.mark.parametrize("login", ["", "/bin/sh"])
    def test_a_login_shell_that_is_not_known_is_asked_for(self, home: Home, account: Path, login: str) -> None:
        done = self.install(home, account, SHELL=login)
        assert done.code == 2
        assert "devproxy completion install zsh" in done.err
        assert list(account.iterdir()) == []

    def test_folders_of_ones_own_are_used(self, home: Home, account: Path) -> None:
        assert self.install(home, account, "zsh", ZDOTDIR=str(account / "z")).code == 0
        assert self.install(home, account, "fish", XDG_CONFIG_HOME=str(account / "x")).code == 0
        assert (account / "z" / ".zshrc").is_file()
        assert (account / "x" / "fish" / "completions" / "devproxy.fish").is_file()

    def test_a_file_of_somebody_elses_stays(self, home: Home, account: Path) -> None:
        file = account / self.FILES["fish"]
        file.parent.mkdir(parents=True)
        file.write_text("complete -c devproxy -a mine\n", "utf-8")
        done = self.install(home, account, "fish")
        assert done.code == 1
        assert str(file) in done.err
        assert file.read_text("utf-8") == "complete -c devproxy -a mine\n"

    def test_an_older_script_of_ours_is_replaced(self, home: Home, account: Path) -> None:
        file = account / self.FILES["fish"]
        file.parent.mkdir(parents=True)
        file.write_text("# older\nenv _DEVPROXY_COMPLETE=fish_complete devproxy\n", "utf-8")
        assert self.install(home, account, "fish").code == 0
        assert "# older" not in file.read_text("utf-8")

    @pytest.mark.parametrize("words", [("bash", "zsh"), ("bash", "--dry-run")])
    def test_only_install_takes_more(self, home: Home, words: tuple[str, ...]) -> None:
        assert home.run("completion", *words).code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@given(old=st.text())
def test_what_a_person_has_written_stays_whatever_it_is(shell: str, old: str) -> None:
    file = startup_file(shell, "", {}, Path("/home/me"))
    new = file.edited(old)
    assert new.startswith(old)
    assert new.endswith(file.lines)
    assert file.edited(new) == new


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_line_of_an_older_recipe_makes_room(shell: str) -> None:
    file = startup_file(shell, "", {}, Path("/home/me"))
    new = file.edited(f'a=1\neval "$(devproxy completion {shell})"\nb=2\n')
    assert new == f"a=1\nb=2\n\n{file.lines}"
