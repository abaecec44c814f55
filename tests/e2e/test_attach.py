"""`devproxy attach`: a service's terminal in another one, key by key, and back."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import require
from tests.cli.team import Team, team_in
from tests.e2e.run import OnTerminal
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

UP, LEFT = "\x1b[A", "\x1b[D"
KEYS = """\
import os, signal, sys, termios, tty
def size(*_):
    print("size", *reversed(os.get_terminal_size(0)), flush=True)
signal.signal(signal.SIGWINCH, size)
if len(sys.argv) > 1:
    tty.setraw(0)
print("reads", sys.stdin.isatty(), sys.stdout.isatty(), flush=True)
while True:
    try:
        data = os.read(0, 65536)
        print("read", ascii(data), flush=True)
        while data == b"one\\n":
            pass
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        data = b" "
    if not data:
        break
"""


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    require.linux()
    yield from team_in(tmp_path)


@contextlib.contextmanager
def attached(team: Team, name: str, size: tuple[int, int] = (24, 80)) -> Iterator[OnTerminal]:
    argv = [sys.executable, "-m", "devproxy", "attach", name]
    terminal = OnTerminal(argv, cwd=team.folder, env=team.home.environment(), size=size)
    try:
        terminal.wait_seen(f"attached to `{name}.shop`: Ctrl-D gives this terminal back")
        yield terminal
    finally:
        terminal.close()


def give_back(terminal: OnTerminal, name: str) -> None:
    terminal.type("\x04")
    terminal.wait_seen(f"`{name}.shop` runs on")
    assert terminal.wait() == 0
    assert not terminal.is_raw()


def worker(team: Team, name: str, *argv: str) -> None:
    command = ", ".join(f'"{one}"' for one in argv)
    team.project(f'[services.{name}]\nkind = "worker"\ncommand = [{command}]\nrestart = "never"\n')
    assert team.run("up", "-d").code == 0


def test_pythons_debugger_has_its_keys(team: Team) -> None:
    """The line that was typed before is there at a key, and can be changed where it is wrong."""
    (team.folder / "debugged.py").write_text(
        "breakpoint()\nprint('went on', flush=True)\nimport time\ntime.sleep(600)\n"
    )
    worker(team, "it", sys.executable, "debugged.py")
    with attached(team, "it") as person:
        person.wait_seen(r"\(Pdb\) ")
        person.type("60 * 7\r")
        person.wait_seen(r"420\r\n")
        person.wait_seen(r"\(Pdb\) ")
        person.type(UP + LEFT + "1\r")  # 60 * 17
        person.wait_seen(r"1020\r\n")
        person.wait_seen(r"\(Pdb\) ")
        person.type("continue\r")
        person.wait_seen("went on")
        give_back(person, "it")
    assert team.states() == {"it.shop": "up"}


def test_nodes_prompt_has_its_keys(team: Team) -> None:
    worker(team, "it", require.program("node"), "-i")
    with attached(team, "it") as person:
        person.wait_seen("> ")
        person.type("40 + 2\r")
        person.wait_seen("42\x1b?.*\r\n")
        person.type(UP + "1\r")
        person.wait_seen("61")
        person.type("console.log('bu' + 'sy'); while (true) {}\r")
        person.wait_seen(r"\nbusy\r")  # the command itself runs now: the key is a signal, which the prompt had read
        person.type("\x03")
        person.wait_seen("interrupted by `SIGINT`|execution was interrupted")
        give_back(person, "it")


def test_a_key_is_a_signal_only_where_the_program_does_not_read_it(team: Team) -> None:
    (team.folder / "keys.py").write_text(KEYS)
    worker(team, "lines", sys.executable, "keys.py")
    with attached(team, "lines") as person:
        person.wait_seen("reads True True")
        person.type("one\r")
        person.wait_seen(r"read b'one\\n'")
        person.type("\x03")
        person.wait_seen("interrupted")
        person.type("three\r")
        person.wait_seen(r"read b'three\\n'")
        give_back(person, "lines")
    team.run("down")
    worker(team, "keys", sys.executable, "keys.py", "raw")
    with attached(team, "keys") as person:
        person.wait_seen("reads True True")
        person.type("\x03")
        person.wait_seen(r"read b'\\x03'")
        person.type("ü")
        person.wait_seen(r"read b'\\xc3\\xbc'")
        give_back(person, "keys")


def test_it_has_the_size_of_the_window(team: Team) -> None:
    (team.folder / "keys.py").write_text(KEYS)
    worker(team, "it", sys.executable, "keys.py")
    with attached(team, "it", size=(30, 100)) as person:
        person.wait_seen("size 30 100")
        person.resize(40, 120)
        person.wait_seen("size 40 120")
        give_back(person, "it")
    wait_until(lambda: "size 24 80" in team.run("logs", "it").out, "nobody to look at it", log=team.said)


def test_what_comes_from_no_terminal_is_typed_to_the_last_byte(team: Team) -> None:
    (team.folder / "count.py").write_text(
        "import sys, tty\ntty.setraw(0)\nprint('reads', flush=True)\n"
        "text = sys.stdin.buffer.read(200_003).decode()\nprint(len(text), set(text), flush=True)\nsys.stdin.read()\n"
    )
    worker(team, "it", sys.executable, "count.py")
    wait_until(lambda: "reads" in team.run("logs", "it").out, "it to read", log=team.said)
    done = team.run_with("attach", "it", stdin="x" + "ü" * 100_001)
    assert (done.code, "`it.shop` runs on" in done.err) == (0, True)
    wait_until(lambda: "100002 {" in team.run("logs", "it").out, "all of it", log=lambda: team.run("logs").out)


def test_two_see_the_same_and_it_goes_on_over_a_restart(team: Team) -> None:
    (team.folder / "keys.py").write_text(KEYS)
    worker(team, "it", sys.executable, "keys.py")
    with attached(team, "it") as one, attached(team, "it") as other:
        for person in (one, other):
            person.wait_seen("reads True True")
        one.type("seen\r")
        other.wait_seen(r"read b'seen\\n'")
        assert team.run("restart", "it").code == 0
        for person in (one, other):
            person.wait_seen("reads True True")
        os.kill(one.popen.pid, signal.SIGKILL)  # nothing of it is left, and nobody else is concerned
        other.type("still here\r")
        other.wait_seen(r"read b'still here\\n'")
        assert not [*(team.home.state / "up").glob("*.typed"), *(team.home.state / "up").glob("*.shown")]
        assert team.run("down").code == 0
        other.wait_seen("`it.shop` has ended")
        assert other.wait() == 0
        assert not other.is_raw()


def test_an_end_from_outside_gives_the_terminal_back(team: Team) -> None:
    (team.folder / "keys.py").write_text(KEYS)
    worker(team, "it", sys.executable, "keys.py")
    with attached(team, "it") as person:
        person.wait_seen("reads True True")
        wait_until(person.is_raw, "its keys to be the service's")
        person.popen.terminate()
        assert person.wait() == 128 + signal.SIGTERM
        assert not person.is_raw()
    assert team.states() == {"it.shop": "up"}
