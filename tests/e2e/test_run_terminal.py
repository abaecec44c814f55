"""`devproxy run` on a terminal: what a command sees, and what a person types, are as without devproxy."""

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import require
from tests.e2e.run import Folder, OnTerminal, folder_in
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

Open = Callable[..., OnTerminal]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    require.linux()
    with folder_in(tmp_path) as made:
        made.cli("start")
        yield made


@pytest.fixture
def terminal(folder: Folder) -> Iterator[Open]:
    """Open a terminal of a size in which `devproxy run -- sh -c script` runs."""
    opened: list[OnTerminal] = []

    def open_one(script: str, *, size: tuple[int, int] = (24, 80)) -> OnTerminal:
        argv = folder.argv("run", "--", "sh", "-c", script)
        opened.append(OnTerminal(argv, cwd=folder.folder, env=folder.env, size=size))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def test_colours_are_as_without_devproxy(terminal: Open) -> None:
    script = "import os; print('\\033[32mgreen\\033[0m' if all(map(os.isatty, range(3))) else 'grey')"
    window = terminal(f"{sys.executable} -c {shlex.quote(script)}")
    window.wait_seen("\x1b\\[32mgreen\x1b\\[0m\r\n")
    assert window.wait() == 0


def test_the_window_has_its_size_and_changes_it(terminal: Open) -> None:
    window = terminal("trap 'stty size' WINCH; stty size; echo ready; while :; do sleep 0.1; done", size=(31, 97))
    window.wait_seen("31 97\r\nready")
    window.resize(40, 120)
    os.kill(window.popen.pid, signal.SIGWINCH)  # the kernel does it for a window that is resized from outside
    window.wait_seen("40 120")
    window.type("\x03")
    window.wait()


def test_what_is_typed_reaches_the_command(terminal: Open) -> None:
    window = terminal('read line; echo "<$line>"; stty -echo; echo ready; read secret; echo "<$secret>"')
    window.wait_seen("port \\d+")
    window.type("hello\r")
    window.wait_seen("hello\r\n<hello>\r\nready")
    window.type("hidden\r")
    assert "hidden" not in window.wait_seen("(?s)(.*)<hidden>")[1]
    assert window.wait() == 0


def test_ctrl_c_is_the_commands(terminal: Open) -> None:
    window = terminal("trap 'echo caught; exit 4' INT; echo up; while :; do sleep 0.1; done")
    window.wait_seen("up")
    window.type("\x03")
    window.wait_seen("caught")
    assert window.wait() == 4


def test_the_terminal_is_as_before_afterwards(terminal: Open, folder: Folder) -> None:
    window = terminal("echo up; read line; exit 6")
    window.wait_seen("up")
    wait_until(window.is_raw, "raw mode")
    window.type("\r")
    assert window.wait() == 6
    assert not window.is_raw()
    folder.wait_nothing_left()


def test_the_terminal_is_as_before_after_kill_9(terminal: Open, folder: Folder) -> None:
    window = terminal("echo up; sleep 600")
    window.wait_seen("up")
    wait_until(window.is_raw, "raw mode")
    os.kill(window.popen.pid, signal.SIGKILL)
    window.wait()
    folder.wait_nothing_left()
    assert not window.is_raw()


def test_closing_the_window_ends_everything(terminal: Open, folder: Folder) -> None:
    window = terminal("sh -c 'sleep 600 & setsid sleep 600 & wait' & echo up; wait")
    window.wait_seen("up")
    os.kill(window.popen.pid, signal.SIGHUP)
    assert window.wait() == 128 + signal.SIGHUP
    folder.wait_nothing_left()
    assert folder.leases() == []


def test_ctrl_z_stops_run_too_and_fg_goes_on(folder: Folder) -> None:
    run = shlex.join([*folder.argv("run", "--"), "sh", "-c", 'echo up; read line; echo "<$line>"'])
    argv = [require.program("bash"), "--norc", "--noprofile", "-i"]
    window = OnTerminal(argv, cwd=folder.folder, env={**folder.env, "PS1": "$ ", "HISTFILE": ""})
    try:
        window.type(f"{run}\r")
        window.wait_seen("\r\nup\r\n")
        wait_until(window.is_raw, "raw mode")
        window.type("\x1a")
        window.wait_seen("Stopped")
        window.type("fg\r")
        window.wait_seen("fg\r\n")
        wait_until(window.is_raw, "raw mode again")
        window.type("again\r")
        window.wait_seen("<again>\r\n")
        window.wait_seen("\\$ ")
        window.type("exit 0\r")
        assert window.wait() == 0
    finally:
        window.close()
