"""What a killed owner left running: asked once, waited for, killed when its time is over, and nobody else touched."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devproxy.paths import Paths
from devproxy.registry import leases
from devproxy.registry.leases import read_leases, settle, take_lease
from devproxy.registry.model import Lease
from devproxy.storage.process_identity import in_group, start_time
from tests import require
from tests.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups as POSIX has them")

# Each says when it is ready to be ended.
OBEDIENT = "echo ready; read line"
STUBBORN = "trap 'echo asked' TERM; echo ready; while :; do sleep 0.05; done"
FAMILY = "sh -c 'trap \"\" TERM; echo ready; while :; do sleep 0.05; done' & trap exit TERM; wait"

Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "config", tmp_path / "state")
    made.leases.mkdir(parents=True, mode=0o700)
    made.state.chmod(0o700)
    return made


@pytest.fixture
def start() -> Iterator[Start]:
    """A command in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def one(script: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield one
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def leave(paths: Paths, group: int, started: float | None = None) -> None:
    """A lease whose owner is gone; its command is `group`."""
    began = start_time(group) or 0.0 if started is None else started
    dead = Lease(service="web", port=4000, pid=2**22 + 1, started=1.0, group=group, group_started=began)
    take_lease(paths, "web", lambda _: dead)


def files(paths: Paths) -> list[str]:
    return sorted(file.name for file in paths.leases.iterdir())


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the seconds between SIGTERM and SIGKILL."""
    return lambda seconds: monkeypatch.setattr(leases, "GRACE", seconds)


def test_it_is_asked_once_and_forgotten_when_it_is_gone(paths: Paths, start: Start) -> None:
    left = start(OBEDIENT)
    leave(paths, left.pid)
    assert read_leases(paths) == ()
    assert left.wait(DEADLINE) == -signal.SIGTERM
    read_leases(paths)
    assert files(paths) == []


def test_the_name_is_free_while_it_has_its_time(paths: Paths, start: Start, patience: Callable[[float], None]) -> None:
    patience(600)
    left = start(STUBBORN)
    leave(paths, left.pid)
    assert left.stdout is not None
    for _ in range(3):
        assert read_leases(paths) == ()
    assert left.stdout.readline() == "asked\n"
    assert files(paths) == [f"web.{left.pid}.ending"]
    patience(0)
    read_leases(paths)
    assert left.wait(DEADLINE) == -signal.SIGKILL
    assert left.stdout.read() == ""  # it was not asked twice


def test_who_takes_the_name_waits_until_it_is_gone(paths: Paths, start: Start) -> None:
    left = start(STUBBORN)
    leave(paths, left.pid)
    us = os.getpid()
    seen: list[float | None] = []

    def make(_: object) -> Lease:
        seen.append(start_time(left.pid))
        return Lease(service="web", port=4000, pid=us, started=start_time(us) or 0.0)

    take_lease(paths, "web", make)
    assert seen == [None]
    assert files(paths) == ["web.toml"]


def test_settling_waits_for_that_service_alone(paths: Paths, start: Start) -> None:
    left = start(STUBBORN)
    leave(paths, left.pid)
    read_leases(paths)
    settle(paths, "api")
    settle(paths, "we")
    assert left.poll() is None
    settle(paths, "web")
    assert left.wait(DEADLINE) == -signal.SIGKILL
    assert files(paths) == []


def test_whoever_outlives_the_leader_of_its_group_is_ended_as_well(paths: Paths, start: Start) -> None:
    require.linux()
    left = start(FAMILY)
    leave(paths, left.pid)
    read_leases(paths)
    left.wait(DEADLINE)
    settle(paths, "web")
    # what it had begun in between, a moment ago, was killed with it, and may not be gone yet
    wait_until(lambda: not [pid for pid in in_group(left.pid) if start_time(pid) is not None], "all of it to be gone")


def test_a_group_whose_number_is_anothers_by_now_is_left_alone(paths: Paths, start: Start) -> None:
    """After a restart of the machine, say."""
    other = start(OBEDIENT)
    leave(paths, other.pid, (start_time(other.pid) or 0.0) - 60)
    read_leases(paths)
    assert files(paths) == []
    leave(paths, other.pid)
    ending = paths.leases / f"web.{other.pid}.ending"
    (paths.leases / "web.toml").rename(ending)
    then = time.time() - 3600
    ending.write_text(ending.read_text().replace("group_started = ", "group_started = 1"))
    os.utime(ending, (then, then))
    read_leases(paths)
    settle(paths, "web")
    assert other.poll() is None
    assert files(paths) == []


@pytest.mark.parametrize("text", ["", "x =", 'service = "web"'])
def test_what_is_no_ending_of_ours_is_removed(paths: Paths, text: str) -> None:
    (paths.leases / "web.7.ending").write_text(text)
    assert read_leases(paths) == ()
    assert files(paths) == []
