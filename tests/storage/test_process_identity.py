"""A process is the same one only if its start time is; psutil is the oracle."""

import os
import subprocess
import sys

import psutil
import pytest

from devproxy.storage import process_identity
from devproxy.storage.process_identity import in_group, is_another, is_same, start_time
from tests.waiting import DEADLINE, wait_until


def test_start_time_agrees_with_psutil() -> None:
    ours = start_time(os.getpid())
    assert ours is not None
    assert abs(ours - psutil.Process().create_time()) < 0.1


def test_a_process_is_itself_and_not_an_older_one_with_its_pid() -> None:
    started = psutil.Process().create_time()
    assert is_same(os.getpid(), started)
    assert not is_same(os.getpid(), started - 60)


def test_a_process_that_ended_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait(DEADLINE)
    assert start_time(child.pid) is None


def test_a_zombie_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "the child to end")
        assert start_time(child.pid) is None
    finally:
        child.wait(DEADLINE)


def test_numbers_that_are_no_pid() -> None:
    assert start_time(0) is None
    assert start_time(-1) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_who_is_in_a_process_group() -> None:
    with subprocess.Popen(["sh", "-c", "sh -c 'read line'; true"], stdin=subprocess.PIPE, process_group=0) as leader:
        (child,) = _children(leader.pid)
        assert sorted(in_group(leader.pid)) == sorted([leader.pid, child])
        assert leader.pid not in in_group(os.getpgrp())
        leader.communicate(timeout=DEADLINE)
    assert in_group(leader.pid) == []


def _children(pid: int) -> list[int]:
    wait_until(psutil.Process(pid).children, "a child")
    return [child.pid for child in psutil.Process(pid).children()]


def test_one_that_ends_is_neither_the_same_nor_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look is one look: between two of them a process may end, and would pass for another."""
    looks = iter([50.0, None])
    monkeypatch.setattr(process_identity, "start_time", lambda _: next(looks))
    assert not is_another(7, 50.0)
    assert not is_another(7, 50.0)
    assert next(looks, "both taken") == "both taken"


def test_a_number_that_is_used_again_is_anothers() -> None:
    own = start_time(os.getpid())
    assert own is not None
    assert is_another(os.getpid(), own - 60)
    assert not is_another(os.getpid(), own)
    assert not is_another(2**22 + 1, own)
