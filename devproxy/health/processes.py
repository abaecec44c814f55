"""The processes that hold sockets, read from Linux' /proc (proc(5)).

Lives here: from socket inodes to processes, their command lines and their parents; from a uid to a user's
name.
Not here: when to ask (`scanner.py` does only on a change: a walk costs a readlink for each open file of the
machine). `/proc/<pid>/fd` of another user's process needs CAP_SYS_PTRACE; its command line does not. Paths
are plain strings here: with thousands of descriptors `Path` objects would be a third of the cost.
"""
# ruff: noqa: PTH115, PTH123, PTH208

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from devproxy.health.listener import Process

GENERATIONS = 5  # how many parents are worth a look: npx → npm → sh → node → node
_DENIED = "it belongs to another user, whose processes only root may look into: run it with sudo to see the process"
_NOBODY = "no process of this machine holds it that can be seen from here (the kernel, or another PID namespace)"


class Holder(NamedTuple):
    """A process and the descriptor by which it holds a socket."""

    pid: int
    descriptor: str


class Walk(NamedTuple):
    """Which processes hold which inode; `denied` if some process could not be looked into."""

    held: Mapping[int, tuple[Holder, ...]]
    denied: bool


def holders(inodes: set[int]) -> Walk:
    """Every process that holds one of the socket `inodes`, by inode, the one that the others descend from first."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    held: dict[int, list[Holder]] = {}
    denied = False
    for pid in (entry for entry in os.listdir("/proc") if entry.isdigit()) if wanted else ():
        try:
            for target, descriptor in _descriptors(pid):
                if target in wanted:
                    held.setdefault(wanted[target], []).append(Holder(int(pid), descriptor))
        except PermissionError:
            denied = True
        except OSError:  # it has ended
            continue
    return Walk({inode: _eldest_first(found) for inode, found in held.items()}, denied)


def still_holds(holder: Holder, inode: int) -> bool:
    """Whether the process still has that socket there: one readlink, which also notices a pid used again."""
    try:
        return os.readlink(f"/proc/{holder.pid}/fd/{holder.descriptor}") == f"socket:[{inode}]"
    except OSError:
        return False


def process_of(holding: Iterable[Holder], denied: bool) -> Process:
    """What is known of a socket's processes; `denied` says whether rights could be why there are none."""
    pids = tuple(holder.pid for holder in holding)
    if not pids:
        return Process(gap=_DENIED if denied else _NOBODY)
    argv = command_line(pids[0])
    return Process(
        pids=pids,
        argv=argv,
        folder=_folder(pids[0]),
        parents=tuple(_parents(pids[0])),
        gap="" if argv is not None else f"the command line of process {pids[0]} cannot be read",
    )


def command_line(pid: int) -> tuple[str, ...] | None:
    """A process's arguments as they are now (a server may have overwritten them), None if it has none to read."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            text = file.read().rstrip(b"\0")
    except OSError:
        return None
    return tuple(os.fsdecode(part) for part in text.split(b"\0")) if text else None


def _folder(pid: int) -> str:
    """Where the process runs, empty where that cannot be read; of a folder that is gone the name it had."""
    try:
        return os.readlink(f"/proc/{pid}/cwd").removesuffix(" (deleted)")
    except OSError:
        return ""


@lru_cache(maxsize=256)
def user_name(uid: int) -> str:
    """The login name, or the number where there is none (a container's user)."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _descriptors(pid: str) -> Iterable[tuple[str, str]]:
    folder = f"/proc/{pid}/fd"
    for descriptor in os.listdir(folder):
        try:
            yield os.readlink(f"{folder}/{descriptor}"), descriptor
        except FileNotFoundError:  # closed meanwhile
            continue


def _eldest_first(found: list[Holder]) -> tuple[Holder, ...]:
    """Pre-forked workers inherit the socket: the first is the one whose parent does not hold it."""
    pids = {holder.pid for holder in found}
    return tuple(sorted(found, key=lambda holder: (_parent(holder.pid) in pids, holder.pid)))


def _parents(pid: int) -> Iterable[tuple[str, ...]]:
    for _ in range(GENERATIONS):
        pid = _parent(pid)
        if pid <= 1:
            return
        if argv := command_line(pid):
            yield argv


def _parent(pid: int) -> int:
    """The parent's pid, 0 if none can be read. The name in `stat` may hold spaces and brackets."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0
