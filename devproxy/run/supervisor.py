"""A tiny process between `devproxy run` and its command, so that nothing is left behind whoever is killed.

Lives here: starting the command, telling when it stops and ends, passing signals on to its process group, and ending
everything that descends from it.
Not here: terminals (`terminal.py`), leases, what is said to a person (`session.py`).

How it works: `run` starts this file as a program, with one end of a socket pair as its argument. While `run` lives the
other end is open; when it dies, by kill -9 too, this end reads EOF: that is the lifeline. On Linux this process is a
subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): whatever a descendant does to get away (setsid, double fork), its parent
becomes this process, so the tree under it is complete, and it is over when there are no children left. Elsewhere the
command's process group is all that can be reached.
A line of JSON a message. From `run`: first the order (argv, env, cwd, terminal, real, state), then {"signal": 15} or
{"end": seconds until SIGKILL}. To `run`: {"pid": …} or {"failed": errno, "file": …}, {"stopped": signal},
{"exited": code}; EOF once nothing is left.

It runs as a file, without the package around it: imports are of the standard library, and few.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h
LAST_GRACE = 2.0  # seconds between SIGTERM and SIGKILL after `run` was killed
STEP = 0.05  # seconds between two looks while ending
ORPHANED = 2.0  # seconds to wait for the kernel to call us an orphan
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTOU, signal.SIGTSTP)


def become_subreaper() -> bool:
    """Make orphaned descendants children of this process; False where the system cannot."""
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0) == 0)


def descendants(pid: int) -> list[int]:
    """Everything below process `pid`, parents first. Linux only: /proc/<pid>/stat (proc_pid_stat(5), field 4)."""
    below = _family()
    found = list(below.get(pid, ()))
    for one in found:  # grows while it is walked
        found += below.get(one, ())
    return found


def children(pid: int) -> set[int]:
    """The processes whose parent is `pid`. Linux only."""
    return set(_family().get(pid, ()))


def _family() -> dict[int, list[int]]:
    """Every process's children."""
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  (a Path for each process would cost more than the rest)
        if name.isdecimal() and (parent := _parent(name)):
            below.setdefault(parent, []).append(int(name))
    return below


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  (many are read, often)
            stat = file.read()
        return int(stat[stat.rindex(b")") + 2 :].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


class Supervisor:
    """One command and all that comes of it; `channel` is the lifeline."""

    def __init__(self, channel: socket.socket):
        self._channel = channel
        self._received = b""
        self._main = 0
        self._deadline: float | None = None  # when SIGKILL is due
        self._parent = os.getppid()
        self._order: dict[str, Any] = {}
        self._terminal: list[Any] | None = None

    def run(self) -> None:
        """Start the command and stay until nothing is left."""
        while b"\n" not in self._received:
            data = self._channel.recv(65536)
            if not data:
                return
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        self._order = json.loads(line)
        self._take_terminal()
        wakeup = _hear_children()
        if self._start():
            while self._reap():
                self._wait(wakeup)

    def _start(self) -> bool:
        """Fork and exec; the errno of a failed exec comes back through a pipe that exec closes (fcntl(2))."""
        order = self._order
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            _become(order, writing)
        os.close(writing)
        with contextlib.suppress(OSError):  # both sides do it: neither may be too late
            os.setpgid(pid, pid)
        failure = os.read(reading, 4096)
        os.close(reading)
        if failure:
            os.waitpid(pid, 0)
            self._tell(json.loads(failure))
            return False
        self._main = pid
        self._tell({"pid": pid})
        return True

    def _reap(self) -> bool:
        """Collect what ended; False when there is nothing left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid != self._main:
                continue
            if os.WIFSTOPPED(status):
                self._tell({"stopped": os.WSTOPSIG(status)})
            else:
                code = os.waitstatus_to_exitcode(status)
                self._main = 0
                self._tell({"exited": 128 - code if code < 0 else code})

    def _wait(self, wakeup: int) -> None:
        listening = [wakeup] if self._channel.fileno() < 0 else [wakeup, self._channel.fileno()]
        ready, _, _ = select.select(listening, [], [], None if self._deadline is None else STEP)
        if wakeup in ready:
            os.read(wakeup, 4096)
        if self._channel.fileno() in ready:
            self._receive()
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._signal_all(signal.SIGKILL)

    def _receive(self) -> None:
        try:
            data = self._channel.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._orphaned()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "signal" in message:
                self._signal_group(message["signal"])
            if "end" in message:
                self._end(message["end"])

    def _orphaned(self) -> None:
        """`run` is gone: give the terminal back as it was, and end everything."""
        self._channel.close()
        self._restore_terminal()
        self._end(LAST_GRACE)

    def _end(self, grace: float) -> None:
        self._signal_all(signal.SIGTERM)
        self._signal_all(signal.SIGCONT)
        due = time.monotonic() + grace
        self._deadline = due if self._deadline is None else min(due, self._deadline)

    def _signal_group(self, number: int) -> None:
        if self._main:
            with contextlib.suppress(OSError):
                os.killpg(self._main, number)

    def _signal_all(self, number: int) -> None:
        if sys.platform != "linux":
            self._signal_group(number)
            return
        for pid in descendants(os.getpid()):  # each once: some programs take a second SIGTERM for impatience
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    def _tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._channel.sendall(json.dumps(message).encode() + b"\n")

    def _take_terminal(self) -> None:
        """Make the command's terminal our session's, and remember how the person's own one is set."""
        if self._order.get("terminal") is not None:
            import fcntl
            import termios

            fcntl.ioctl(self._order["terminal"], termios.TIOCSCTTY, 0)
        if self._order.get("real") is not None:
            import termios

            os.set_inheritable(self._order["real"], False)
            self._terminal = termios.tcgetattr(self._order["real"])

    def _restore_terminal(self) -> None:
        if self._terminal is not None:
            import termios

            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(self._order["real"], termios.TCSADRAIN, self._terminal)

    def sweep(self) -> None:
        """Remove the lease of a `run` that was killed. The one time that the package is needed."""
        if self._channel.fileno() >= 0 or "state" not in self._order:
            return
        until = time.monotonic() + ORPHANED
        while os.getppid() == self._parent and time.monotonic() < until:
            time.sleep(0.005)
        sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120
        from pathlib import Path

        from devproxy.paths import Paths
        from devproxy.registry.leases import read_leases

        read_leases(Paths(*map(Path, self._order["state"])))


def _become(order: dict[str, Any], report: int) -> None:
    """In the child: a process group of its own, in the foreground of its terminal; then the command. Never returns."""
    failed = ""
    try:
        os.setpgid(0, 0)
        if order.get("terminal") is not None:
            os.tcsetpgrp(order["terminal"], os.getpid())
        for number in (*_IGNORED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        failed = order["cwd"]
        os.chdir(order["cwd"])
        failed = order["argv"][0]
        os.execvpe(order["argv"][0], order["argv"], order["env"])  # noqa: S606
    except OSError as error:
        os.write(report, json.dumps({"failed": error.errno, "file": failed}).encode())
    finally:
        os._exit(127)


def _hear_children() -> int:
    """A descriptor that is readable after SIGCHLD."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reading


def main() -> None:
    """The program: one argument, the number of the lifeline's descriptor."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    become_subreaper()
    supervisor = Supervisor(channel)
    supervisor.run()
    supervisor.sweep()


if __name__ == "__main__":
    main()


# What a killed supervisor leaves behind: processes whose parent we are from then on.
#
# Mutable, for the whole process: the pids of its supervisors. Linux only, where `become_subreaper` has an effect.


ROUNDS = 100  # each orphan may leave children of its own

_supervisors: set[int] = set()


def expect_orphans() -> frozenset[int]:
    """Have orphans come to us from now on; returns the children that there are already, which are none."""
    become_subreaper()
    return _children()


def adopt_expected(pid: int) -> None:
    """Process `pid` is a supervisor."""
    _supervisors.add(pid)


def expect_no_more(pid: int) -> None:
    _supervisors.discard(pid)


def end_orphans(before: frozenset[int]) -> None:
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
    return frozenset(children(os.getpid())) if sys.platform == "linux" else frozenset()
