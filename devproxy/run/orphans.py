"""What a killed supervisor leaves behind: processes whose parent we are from then on.

Lives here: knowing which children are supervisors of ours, and killing those that are orphans.
Not here: what a supervisor that lives does (`supervisor.py`).

Mutable, for the whole process: the pids of its supervisors. Linux only, where `become_subreaper` has an effect.
"""

import contextlib
import os
import signal
import sys

from devproxy.run import supervisor

ROUNDS = 100  # each orphan may leave children of its own

_supervisors: set[int] = set()


def expect() -> frozenset[int]:
    """Have orphans come to us from now on; returns the children that there are already, which are none."""
    supervisor.become_subreaper()
    return _children()


def started(pid: int) -> None:
    """Process `pid` is a supervisor."""
    _supervisors.add(pid)


def ended(pid: int) -> None:
    _supervisors.discard(pid)


def end(before: frozenset[int]) -> None:
    """Kill our children but for supervisors and those of `before`, and theirs, and so on."""
    for _ in range(ROUNDS):
        orphans = _children() - before - _supervisors
        if not orphans:
            return
        for pid in orphans:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _children() -> frozenset[int]:
    return frozenset(supervisor.children(os.getpid())) if sys.platform == "linux" else frozenset()
