"""Shell completion: the scripts, and what they are given to complete with."""

import os
import subprocess
import sys

import pytest

from devproxy.cli.app import SUMMARIES
from tests import require
from tests.cli.command import Home, write_all


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
        (["completion", ""], ["bash", "zsh", "fish"]),
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
