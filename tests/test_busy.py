"""The busy machine that the suite is tried on: its ports are taken, it says what the command said, and it ends."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.busy import PORTS
from tests.waiting import DEADLINE

# Whoever has the ports, us or another program: they are taken, and there is load beside.
LOOK = f"""
import os, psutil, socket
for port in {PORTS}:
    socket.create_connection(("127.0.0.1", port)).close()
beside = [child.pid for child in psutil.Process(os.getppid()).children() if child.pid != os.getpid()]
print(len(beside), *beside)
raise SystemExit(7)
"""


def busy(*argv: str) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-m", "tests.busy", *argv],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a program may be told to share its ports there")
def test_the_ports_are_taken_and_every_core_has_work_while_the_command_runs() -> None:
    done = busy("--", sys.executable, "-c", LOOK)
    assert done.returncode == 7, done.stderr
    count, *pids = map(int, done.stdout.split())
    assert count == len(pids) == len(os.sched_getaffinity(0) if sys.platform == "linux" else range(os.cpu_count() or 1))
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_command_that_was_killed_is_told_as_shells_do() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    assert busy("--", sys.executable, "-c", code).returncode == 143


def test_without_a_command_it_says_how_it_is_used() -> None:
    done = busy()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
