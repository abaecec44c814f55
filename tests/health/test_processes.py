"""What is read of a process, and what is said when it cannot be."""

import os
import subprocess
import sys

import pytest

from devproxy.health import scanner
from devproxy.health.scanner import Holder, command_line, holders, process_of, still_holds
from tests import require


@pytest.fixture(autouse=True)
def _linux() -> None:
    require.linux()


def test_nothing_wanted_walks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "listdir", lambda _: pytest.fail("walked"))
    assert holders(set()).held == {}


def test_a_process_that_ended_is_no_holder() -> None:
    assert not still_holds(Holder(2**22 + 1, "3"), 1)
    assert (
        process_of([Holder(2**22 + 1, "3")], denied=False).gap == "the command line of process 4194305 cannot be read"
    )


@pytest.mark.parametrize("root", [False, True])
def test_nobody_is_said_with_or_without_rights(monkeypatch: pytest.MonkeyPatch, *, root: bool) -> None:
    monkeypatch.setattr(scanner, "is_root", lambda: root)
    gap = process_of([], denied=True).gap
    assert ("sudo" in gap) is not root
    assert "looked into" in gap or "look into" in gap
    assert "PID namespace" in process_of([], denied=False).gap


def test_an_empty_command_line_is_none() -> None:
    """A kernel thread, or a zombie, has none."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert command_line(process.pid) is None


def test_parents_end_at_init() -> None:
    found = process_of([Holder(os.getpid(), "0")], denied=False)
    assert found.pids == (os.getpid(),)
    assert 1 <= len(found.parents) <= scanner.GENERATIONS
