"""The table of commands: what it shows, what it imports, and what a misspelt command line gets."""

import gc
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import devproxy.cli.completion as some_command
from devproxy import __version__
from devproxy.cli.app import COMMANDS, SUMMARIES, run
from devproxy.errors import Exit
from tests.cli.command import ROOT, Home
from tests.imported import imported_build

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_command_is_the_one_its_summary_tells_of(name: str) -> None:
    command = import_module(f"devproxy.cli.{name}").command
    assert command.name == name
    assert command.get_short_help_str(200).startswith(SUMMARIES[name].rstrip("."))


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; from devproxy.cli.app import run; code = run(['--help']);"
        "print([m for m in sys.modules if m.startswith('devproxy.')], file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    for section, commands in COMMANDS.items():
        assert f"{section}:" in done.stdout
        for name, summary in commands.items():
            assert f"  {name}" in done.stdout
            assert summary in done.stdout
    ours = {"devproxy.cli", *(f"devproxy.{name}" for name in ("cli.app", "errors", "text"))}
    assert set(eval(done.stderr)) == ours


def test_version(capsys: Capture) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"devproxy {__version__} ({imported_build()})\n"


def test_h_is_help(capsys: Capture) -> None:
    assert run(["-h"]) == 0
    short = capsys.readouterr().out
    assert run(["--help"]) == 0
    assert capsys.readouterr().out == short


def test_nothing_at_all_shows_the_help_and_is_wrong_usage(capsys: Capture) -> None:
    assert run([]) == Exit.USAGE
    assert capsys.readouterr().out.startswith("Usage: devproxy")


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGPIPE")
def test_a_reader_that_goes_away_is_no_error(home: Home) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "devproxy", "--help"],
            env=home.environment(),
            cwd=ROOT,
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_console_that_cannot_show_a_character_gets_an_escape(home: Home) -> None:
    (home.folder / "é").mkdir()
    done = home.run("link", cwd=home.folder / "é", PYTHONUTF8="0", PYTHONIOENCODING="ascii", PYTHONCOERCECLOCALE="0")
    assert done.code == 1
    assert "\\xe9 upwards" in done.err


def test_the_main_module_runs_it(home: Home) -> None:
    assert home.run("--version") == (0, f"devproxy {__version__} ({imported_build()})\n", "")


def test_a_program_that_runs_a_command_keeps_its_collector(capsys: Capture) -> None:
    frozen = gc.get_freeze_count()
    assert run(["completion", "bash"]) == Exit.GOOD
    assert capsys.readouterr().out
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_the_program_collects_what_a_command_makes_and_not_what_was_imported(home: Home) -> None:
    code = (
        "import gc; from devproxy.__main__ import main; from devproxy.cli import app\n"
        "def complete(*_): print(gc.isenabled(), gc.get_freeze_count() > 1000)\n"
        "app.devproxy.invoke = lambda context: complete(app.devproxy.get_command(context, 'ls'))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "ls"], env=home.environment(), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True True\n"


def test_every_file_of_the_package_is_a_command_or_known() -> None:
    parts = {"__init__", "app", "arguments", "context", "errors", "history", "output", "registry_edit", "shell_startup"}
    parts |= {"root_rights", "trust_changes"}
    files = {file.stem for file in Path(some_command.__file__).parent.glob("*.py")}
    assert files - parts == set(SUMMARIES)
