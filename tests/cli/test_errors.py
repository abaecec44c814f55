"""How errors read, and their exit codes: wrong usage, errors with a fix, bugs, Ctrl-C."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

import devproxy.cli.completion as some_command
from devproxy.cli.app import run
from devproxy.errors import DevproxyError, Exit
from tests.cli.command import ROOT, Home

Capture = pytest.CaptureFixture[str]


def replace_callback(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `devproxy completion bash` raise `error`."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(some_command.command, "callback", fail)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["lss"],
            "devproxy: no command is called `lss`\n  fix: did you mean `ls`? see devproxy --help\n",
        ),
        (
            ["frobnicate"],
            "devproxy: no command is called `frobnicate`\n  fix: see devproxy --help\n",
        ),
        (
            ["--nope"],
            "devproxy: no option is called `--nope`\n"
            "  fix: devproxy [OPTIONS] COMMAND [ARGS]... (see devproxy --help)\n",
        ),
        (
            ["ls", "--jsn"],
            "devproxy ls: no option is called `--jsn`\n"
            "  fix: did you mean `--json`? devproxy ls [OPTIONS] (see devproxy ls --help)\n",
        ),
        (
            ["ls", "web"],
            "devproxy ls: got unexpected extra argument (web)\n  fix: devproxy ls [OPTIONS] (see devproxy ls --help)\n",
        ),
        (
            ["url"],
            "devproxy url: NAME is missing\n  fix: devproxy url [OPTIONS] NAME (see devproxy url --help)\n",
        ),
        (
            ["completion", "tcsh"],
            "devproxy completion: `{bash|zsh|fish|install}`: `tcsh` is not one of `bash`, `zsh`, `fish`, `install`\n"
            "  fix: devproxy completion [OPTIONS] {bash|zsh|fish|install} [SHELL] (see devproxy completion --help)\n",
        ),
        (
            ["check", "--format", "xml"],
            "devproxy check: `--format`: `xml` is not one of `text`, `json`, `github`, `sarif`\n"
            "  fix: devproxy check [OPTIONS] [FILE]... (see devproxy check --help)\n",
        ),
        (
            ["check", "--format"],
            "devproxy check: option '--format' requires an argument\n  fix: see devproxy check --help\n",
        ),
        (
            ["serve", "--http", "80a"],
            "devproxy serve: `--http`: `80a` is not a port; ports are whole numbers from 1 to 65535 (0: any free one)\n"
            "  fix: devproxy serve [OPTIONS] (see devproxy serve --help)\n",
        ),
        (
            ["serve", "--bind", "0.0.0.0"],
            "devproxy serve: no option is called `--bind`\n"
            "  fix: devproxy serve [OPTIONS] (see devproxy serve --help)\n",
        ),
        (
            ["add", "web"],
            "devproxy add: PORT|UPSTREAM is missing\n"
            "  fix: devproxy add [OPTIONS] NAME PORT|UPSTREAM (see devproxy add --help)\n",
        ),
        (
            ["add", "web", "5173", "--path", "/api"],
            "devproxy add: --path needs a --host to be below\n"
            "  fix: devproxy add [OPTIONS] NAME PORT|UPSTREAM (see devproxy add --help)\n",
        ),
    ],
)
def test_wrong_usage(capsys: Capture, argv: list[str], message: str) -> None:
    assert run(argv) == Exit.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == message


def test_an_error_is_printed_in_words_with_its_exit_code(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    error = DevproxyError("it is wrong", why="so", fix="mend it", where="/a.toml:3", exit_code=Exit.REFUSED)
    replace_callback(monkeypatch, error)
    assert run(["completion", "bash"]) == 4
    assert capsys.readouterr().err == "/a.toml:3: it is wrong\n  why: so\n  fix: mend it\n"


def test_a_bug_is_owned_up_to_without_a_traceback(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEVPROXY_DEBUG", raising=False)
    replace_callback(monkeypatch, KeyError("port"))
    assert run(["completion", "bash"]) == 1
    assert capsys.readouterr().err == (
        "devproxy ran into a bug of its own: KeyError: 'port'\n"
        "  why: this is not your mistake: whatever you typed should have got a better answer\n"
        "  fix: run it again with DEVPROXY_DEBUG=1 in front and report what it prints\n"
    )


def test_a_bug_shows_its_traceback_with_debug(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVPROXY_DEBUG", "1")
    replace_callback(monkeypatch, KeyError("port"))
    assert run(["completion", "bash"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_says_nothing(capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    replace_callback(monkeypatch, error)
    assert run(["completion", "bash"]) == 130
    assert capsys.readouterr() == ("", "")


def test_an_error_of_the_system_is_not_called_a_bug(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_callback(monkeypatch, PermissionError(13, "Permission denied", "/etc/shadow"))
    assert run(["completion", "bash"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["/etc/shadow could not be used", "  why: permission denied"]
    assert lines[2].startswith("  fix: ")
    assert len(lines) == 3


def test_escapes_in_an_error_do_not_reach_the_terminal(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_callback(monkeypatch, DevproxyError("no `\x1b]0;owned\x07`"))
    assert run(["completion", "bash"]) == 1
    assert capsys.readouterr().err == "no `\\x1b]0;owned\\x07`\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_no_bug(home: Home) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "devproxy", "--help"],
            env=home.environment(),
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"no space left on device\n")
