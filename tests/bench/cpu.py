"""What a process tree has used: CPU time and resident memory, from /proc (proc_pid_stat(5)).

Lives here: reading. Not here: when to read (`load.py`, `bulk.py`, `idle.py`).

`utime` and `stime` have a resolution of one tick (10 ms), so a window of a second is read to one per cent. Their
sum is exact (the scheduler's own count); how it divides into user and system is sampled by the kernel.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds."""

    user: float
    system: float

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.user - earlier.user, self.system - earlier.system)

    @property
    def total(self) -> float:
        return self.user + self.system


def stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat after the command's name: [0] is the state, [1] the parent."""
    return (PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()


def tree(root: int) -> list[int]:
    """`root` and all its descendants that are alive."""
    parents: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                parents.setdefault(int(stat(int(entry.name))[1]), []).append(int(entry.name))
            except (OSError, IndexError):
                continue  # it ended while we looked
    found = [root]
    for pid in found:
        found.extend(parents.get(pid, ()))
    return found


def used(root: int) -> Cpu:
    """CPU seconds that the living processes of the tree have used since they began."""
    times = []
    for pid in tree(root):
        with suppress(FileNotFoundError):  # it ended while we looked
            times.append(stat(pid)[11:13])
    return Cpu(sum(int(user) for user, _ in times) * TICK, sum(int(system) for _, system in times) * TICK)


def resident(root: int) -> int:
    """Bytes of resident memory, added up over the tree (pages that two processes share count twice)."""
    return sum(int((PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1]) for pid in tree(root)) * PAGE
