"""The supervisor by itself: what it tells, that nothing outlives it, nor what is left when it is killed itself."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from devproxy.run import supervisor
from tests import require
from tests.waiting import DEADLINE, PROGRAM_DEADLINE, wait_until

# A grandchild, one in a session of its own, and one whose parent has ended; each writes its pid down.
INNER = "sleep 600 & echo $! >> pids; setsid sleep 600 & echo $! >> pids; wait"
TREE = f"sh -c '{INNER}' & (sleep 600 & echo $! >> pids); wait"


class Supervised:
    """A supervisor, and our end of its lifeline."""

    main = 0

    def __init__(self, folder: Path, *argv: str, **more: Any):
        self.folder = folder
        self.lifeline, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", supervisor.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        self.lifeline.settimeout(DEADLINE)
        self.file = self.lifeline.makefile("rb")
        self.tell(argv=argv, env=dict(os.environ), cwd=str(folder), **more)

    def tell(self, **message: Any) -> None:
        self.lifeline.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> dict[str, Any] | None:
        line = self.file.readline()
        return json.loads(line) if line else None

    def pids(self, number: int) -> list[psutil.Process]:
        """The `number` processes that the command has told of in `pids`."""
        file = self.folder / "pids"
        wait_until(lambda: file.exists() and len(file.read_text().split()) == number, "the whole tree")
        return [psutil.Process(int(pid)) for pid in file.read_text().split()]

    def close(self) -> None:
        self.file.close()
        self.lifeline.close()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Any]:
    made: list[Supervised] = []

    def start(*argv: str, **more: Any) -> Supervised:
        made.append(Supervised(tmp_path, *argv, **more))
        return made[-1]

    yield start
    for one in made:
        one.close()
        one.process.wait(DEADLINE)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def test_it_tells_the_pid_and_the_exit_code(started: Any) -> None:
    one = started("sh", "-c", "exit 7")
    assert set(one.hear() or {}) == {"pid"}
    assert one.hear() == {"exited": 7}
    assert one.hear() is None


def test_a_signal_is_told_as_shells_do(started: Any) -> None:
    one = started("sh", "-c", "kill -KILL $$")
    one.hear()
    assert one.hear() == {"exited": 137}


def test_a_program_that_is_not_there(started: Any) -> None:
    one = started("no-such-program-anywhere")
    assert one.hear() == {"failed": 2, "file": "no-such-program-anywhere"}
    assert one.hear() is None


def test_signals_reach_the_whole_group(started: Any) -> None:
    one = started(
        "sh",
        "-c",
        # The outer shell waits for the inner one: whatever outlives the command is killed without being asked.
        # The inner one looks for signals time and again: a sleep begun just after one would hear of none.
        "trap : TERM; sh -c \"trap 'echo inner >> told; exit' TERM; echo 1 >> pids; while :; do sleep 0.05; done\" &"
        " wait; wait; exit 5",
    )
    one.hear()
    wait_until((one.folder / "pids").exists, "the inner shell")
    one.tell(signal=signal.SIGTERM)
    assert one.hear() == {"exited": 5}
    wait_until((one.folder / "told").exists, "the inner shell to hear of it")


def test_the_whole_tree_ends_when_the_lifeline_does(started: Any) -> None:
    require.linux()
    one = started("sh", "-c", TREE)
    one.hear()
    tree = one.pids(3)
    one.close()
    assert one.process.wait(DEADLINE) == 0
    assert gone(tree)


def test_what_ignores_sigterm_is_killed(started: Any) -> None:
    one = started("sh", "-c", "trap '' TERM; echo $$ >> pids; while :; do sleep 600; done")
    one.hear()
    stubborn = one.pids(1)
    one.tell(end=0.2)
    assert one.hear() == {"exited": 137}
    assert one.process.wait(DEADLINE) == 0
    assert gone(stubborn)


# A parent that waits for its child to finish when it is asked to end; the child says whether it was asked itself.
CHILD = """
import os, signal, sys, time
signal.signal(15, lambda *_: (open("child-asked", "w").close(), os._exit(1)))
print(os.getpid(), file=open("pids", "a"), flush=True)
while not os.path.exists("go"): time.sleep(0.01)
open("child-done", "w").close()
"""
PARENT = """
import os, signal, subprocess, sys
def drain(*_):
    open("asked", "w").close()
    child.wait()
    os._exit(0)
signal.signal(getattr(signal, sys.argv[1]), drain)
child = subprocess.Popen([sys.executable, "-c", open("child.py").read()])
signal.pause()
"""


@pytest.fixture
def draining(started: Any, tmp_path: Path) -> Any:
    require.linux()
    (tmp_path / "child.py").write_text(CHILD)

    def start(name: str = "SIGTERM") -> Supervised:
        one: Supervised = started(sys.executable, "-c", PARENT, name, stop=getattr(signal, name))
        one.main = (one.hear() or {})["pid"]
        one.pids(1)
        return one

    return start


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_parent_that_is_asked_first_ends_its_own_children(draining: Any, name: str) -> None:
    one = draining(name)
    one.tell(end=600, first=[one.main])
    wait_until((one.folder / "asked").exists, "the parent to hear of it")
    (one.folder / "go").touch()
    assert one.hear() == {"exited": 0}
    assert one.hear() is None
    assert (one.folder / "child-done").exists()
    assert not (one.folder / "child-asked").exists()


def test_the_rest_is_asked_when_the_grace_is_over(draining: Any) -> None:
    one = draining()
    one.tell(end=0.3, first=[one.main])
    assert one.hear() == {"exited": 137}
    assert one.hear() is None
    assert (one.folder / "child-asked").exists()


def test_the_rest_is_asked_when_the_first_has_ended(started: Any) -> None:
    require.linux()
    one = started(
        "sh",
        "-c",
        "sh -c 'trap \"echo asked > told; exit\" TERM; echo $$ >> pids; while :; do sleep 0.05; done' & wait",
    )
    main = (one.hear() or {})["pid"]
    one.pids(1)
    one.tell(end=600, first=[main])
    assert one.hear() == {"exited": 143}
    assert one.hear() is None
    assert (one.folder / "told").exists()


def test_no_grace_is_no_question(draining: Any) -> None:
    one = draining()
    one.tell(end=600, first=[one.main])
    wait_until((one.folder / "asked").exists, "the parent to hear of it")
    one.tell(end=0)
    assert one.hear() == {"exited": 137}
    assert one.hear() is None
    assert not (one.folder / "child-asked").exists()


def test_it_stays_while_anything_is_left(started: Any) -> None:
    require.linux()
    one = started("sh", "-c", "setsid sleep 600 & echo $! >> pids")
    one.hear()
    left = one.pids(1)
    assert one.hear() == {"exited": 0}
    assert not gone(left)
    assert one.process.poll() is None
    one.tell(end=5)
    assert one.hear() is None
    assert gone(left)


def test_descendants_are_told_parents_first() -> None:
    require.linux()
    with subprocess.Popen(["sh", "-c", "sh -c 'sleep 600; true'; true"], process_group=0) as shell:
        wait_until(lambda: len(supervisor.descendants(shell.pid)) == 2, "both")
        first, second = supervisor.descendants(shell.pid)
        assert supervisor.children(shell.pid) == {first}
        assert supervisor.children(first) == {second}
        os.killpg(shell.pid, signal.SIGKILL)


def test_it_is_imported_by_nothing_but_the_standard_library() -> None:
    source = Path(supervisor.__file__).read_text("utf-8")
    top = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
    assert all(line.split()[1].partition(".")[0] in sys.stdlib_module_names for line in top)


# In a process of its own: a subreaper it stays for life.
SCRIPT = """
import os, subprocess
from devproxy.run import supervisor as module
old = subprocess.Popen(["sleep", "600"])
before = module.adopt_orphans()
assert before == {old.pid}
supervisor = subprocess.Popen(["sleep", "600"])
module.add_supervisor(supervisor.pid)
parent = subprocess.Popen(["sh", "-c", "sh -c 'sleep 600 & echo $!; wait' & sleep 600"], stdout=subprocess.PIPE)
grandchild = int(parent.stdout.readline())
parent.kill()
parent.wait()
module.kill_orphans(before)
assert not os.path.exists(f"/proc/{grandchild}")
assert old.poll() is None and supervisor.poll() is None
old.kill()
module.discard_supervisor(supervisor.pid)
module.kill_orphans(frozenset())
"""


def test_orphans_are_killed_and_others_are_not() -> None:
    require.linux()
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=root, capture_output=True, text=True, timeout=PROGRAM_DEADLINE, check=False
    )
    assert done.returncode == 0, done.stderr
