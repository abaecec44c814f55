"""Whether the processes behind a service stand still, or are being debugged: why they may take their time to answer.

How it works, on Linux (proc_pid_stat(5), proc_pid_status(5)): a process one of whose threads is in state T (a signal:
Ctrl-Z, SIGSTOP) or t (a tracer holds it: a breakpoint in gdb, lldb, delve) stands still; `TracerPid` names a debugger
that is attached. Debuggers of languages are no tracers: they are connected to a port (`programs/debuggers.py`), which
the kernel's table tells (sock_diag(7)); that the connection is the process's own, its descriptors. Elsewhere the same
from psutil, as far as it says.
Not here: when that is looked at, and what follows (`daemon/pauses.py`). Blocks, for a millisecond or so.
"""

import contextlib
import sys
from collections.abc import Iterable, Sequence

import psutil

from devproxy.health.scanner import descriptors
from devproxy.net import sockdiag
from devproxy.programs.debuggers import AttachPoint, attach_points
from devproxy.storage.process_identity import thread_states, tracer_of

_STILL = {psutil.STATUS_STOPPED: "a signal", psutil.STATUS_TRACING_STOP: "a debugger"}


def why_paused(pids: Iterable[int], port: int = 0) -> str:
    """The first reason there is, as a sentence without its capital; empty where all of them simply run.

    `port` is the service's, which is no debugger's whatever its number.
    """
    for pid in pids:
        with contextlib.suppress(OSError, psutil.Error, ValueError):  # it has ended, or is another user's
            if why := _stopped(pid) or _traced(pid) or _debugged(pid, port):
                return why
    return ""


def _stopped(pid: int) -> str:
    if sys.platform != "linux":
        how = _STILL.get(psutil.Process(pid).status(), "")
    else:
        states = thread_states(pid)
        how = "a debugger" if b"t" in states else "a signal" if b"T" in states else ""
    return f"process {pid} is stopped by {how}" if how else ""


def _traced(pid: int) -> str:
    tracer = tracer_of(pid) if sys.platform == "linux" else 0
    return f"a debugger (process {tracer}) is attached to process {pid}" if tracer else ""


def _debugged(pid: int, own: int) -> str:
    process = psutil.Process(pid)
    argv, environment = process.cmdline(), {}
    with contextlib.suppress(psutil.Error, OSError):
        environment = process.environ()
    for one in sorted(attach_points(argv, environment)):
        if one.port != own and _is_connected(pid, one):
            if one.calls:
                return f"process {pid} is connected to a debugger at port {one.port}"
            return f"a debugger is connected to port {one.port} of process {pid}"
    return ""


def _is_connected(pid: int, one: AttachPoint) -> bool:
    try:
        inodes = sockdiag.established(remote=one.port) if one.calls else sockdiag.established(local=one.port)
    except OSError:  # not Linux, or a sandbox
        return _is_connected_portably(pid, one)
    return bool(inodes) and (one.by_adapter or _holds(pid, inodes))


def _holds(pid: int, inodes: Sequence[int]) -> bool:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    return any(target in wanted for target, _ in descriptors(str(pid)))


def _is_connected_portably(pid: int, one: AttachPoint) -> bool:
    open_ones = [each for each in psutil.Process(pid).net_connections("tcp") if each.status == psutil.CONN_ESTABLISHED]
    ends = [each.raddr if one.calls else each.laddr for each in open_ones]
    return any(getattr(end, "port", 0) == one.port for end in ends)  # an end may be ()
