"""Whether a process that a file names is still the same one, and what else the system says of a process.

Lives here: a process's start time, and the comparison that keeps a reused pid from passing for the old process; the
members of a process group; a process's parent, the states of its threads, who traces it.
Not here: which process holds a port (`net/port_owner.py`), ending processes.
How: on Linux `/proc/<pid>/stat` (proc_pid_stat(5), field 22) and the boot time in `/proc/stat` (proc_stat(5)), so
that `devproxy ls` need not import psutil; elsewhere psutil. The scale is psutil's `create_time`: seconds since 1970.
"""

import sys

# The boot time is whole seconds and moves when the clock is set; a pid is not used again within this time.
_TOLERANCE = 2.0


def start_time(pid: int) -> float | None:
    """When process `pid` started, in seconds since 1970; None where there is no such process (a zombie is none)."""
    if pid <= 0:
        return None
    return _linux_start_time(pid) if sys.platform == "linux" else _psutil_start_time(pid)


def is_same(pid: int, started: float) -> bool:
    """Whether process `pid` runs and is the one that started at `started`."""
    actual = start_time(pid)
    return actual is not None and abs(actual - started) <= _TOLERANCE


def is_another(pid: int, started: float) -> bool:
    """Whether `pid` is a process that did not start at `started`. Not `not is_same`: one that has ended is neither."""
    actual = start_time(pid)
    return actual is not None and abs(actual - started) > _TOLERANCE


def in_group(group: int) -> list[int]:
    """The processes of a process group, zombies too; where the system is not Linux just its leader."""
    if sys.platform != "linux":
        return [group]
    import os

    found = [(int(name), _stat(int(name))) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
    return [pid for pid, fields in found if fields and int(fields[2]) == group]


def parent_of(pid: int) -> int:
    """The pid of a process's parent, 0 if none can be read. Linux only."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def thread_states(pid: int, most: int = 1000) -> set[bytes]:
    """The states (proc_pid_stat(5)) of a process's threads, of `most` of them. Linux only; raises OSError."""
    import os

    threads = os.listdir(f"/proc/{pid}/task")[:most]  # noqa: PTH208
    return {fields[0] for thread in threads if (fields := _stat(f"{pid}/task/{thread}"))}


def tracer_of(pid: int) -> int:
    """The process that traces this one (ptrace(2)), 0 for none. Linux only; raises OSError."""
    with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123
        return next((int(line.split()[1]) for line in file if line.startswith(b"TracerPid:")), 0)


def _stat(pid: int | str) -> list[bytes]:
    """The fields of /proc/<pid>/stat from the third on (proc_pid_stat(5)); none where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 pathlib would cost more than all of this
            stat = file.read()
        # The command, field 2, may hold blanks and brackets: count from its last bracket.
        return stat[stat.rindex(b")") + 2 :].split()
    except (OSError, ValueError):
        return []


def _linux_start_time(pid: int) -> float | None:
    import os

    fields = _stat(pid)
    if not fields or fields[0] in b"ZX":
        return None
    return _boot_time() + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _boot_time() -> int:
    with open("/proc/stat", "rb") as file:  # noqa: PTH123
        for line in file:
            if line.startswith(b"btime "):
                return int(line[6:])
    raise ValueError("no btime in /proc/stat")


def _psutil_start_time(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None
