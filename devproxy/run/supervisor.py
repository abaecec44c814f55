"""A tiny process between `devproxy run` and its command, so that nothing is left behind whoever is killed.

Lives here: starting the command, telling when it stops and ends, passing signals on to its process group, and ending
everything that descends from it; and for `run`, ending what a killed supervisor leaves behind.
Not here: terminals (`terminal.py`), leases, what a person is told (`session.py`).

How it works: `run` starts this file as a program, with one end of a socket pair as its argument. While `run` lives the
other end is open; when it dies, by kill -9 too, this end reads EOF: that is the lifeline. On Linux this process is a
subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): whatever a descendant does to get away (setsid, double fork), its parent
becomes this process, so the tree under it is complete, and it is over when there are no children left. Elsewhere the
command's process group is all that can be reached.
Ending is in two steps, so that a parent may drain its workers: first those that `run` names are asked (the command, and
what runners and shells have started in between), everything else once none of these is left or the grace is over;
SIGKILL comes when the grace is over, for the rest at least `LAST_GRACE` after it was asked.
A line of JSON a message. From `run`: first what to start (argv, env, cwd, terminal, real, state, stop), then,
once it has been told the pid, {"signal": 15} or {"end": seconds until SIGKILL, "first": pids}. To `run`: {"pid": …} or
{"failed": errno, "file": …}, {"stopped": signal}, {"exited": code}; EOF once nothing is left.

If the supervisor itself is killed its orphans become children of `run`, which is a subreaper as well, and kills them.
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
from collections.abc import Sequence
from typing import Any

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h
LAST_GRACE = 2.0  # seconds between SIGTERM and SIGKILL for what is asked last, or after `run` was killed
STEP = 0.05  # seconds between two rounds while ending
ORPHANED = 2.0  # seconds to wait for the kernel to call us an orphan
ROUNDS = 100  # each orphan may leave children of its own
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTTOU, signal.SIGTSTP)


def become_subreaper() -> bool:
    """Make orphaned descendants children of this process; False where the system cannot."""
    if sys.platform != "linux":
        return False
    import ctypes

    return bool(ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0) == 0)


def descendants(pid: int) -> list[int]:
    """Everything below process `pid`, parents first. Linux only: /proc/<pid>/stat (proc_pid_stat(5), field 4)."""
    below = _children_of_all()
    found = list(below.get(pid, ()))
    for one in found:  # grows while it is walked
        found += below.get(one, ())
    return found


def children(pid: int) -> set[int]:
    """The processes whose parent is `pid`. Linux only."""
    return set(_children_of_all().get(pid, ()))


def _children_of_all() -> dict[int, list[int]]:
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


def _runs(pid: int) -> bool:
    """Whether it is there and no zombie."""
    if sys.platform != "linux":
        return True
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            stat = file.read()
    except OSError:
        return False
    return stat[stat.rindex(b")") + 2 :][:1] not in b"ZX"


def _kill(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


class Supervisor:
    """One command and all that comes of it; `channel` is the lifeline."""

    def __init__(self, channel: socket.socket, ignored: frozenset[int] = frozenset()):
        self._channel = channel
        self._ignored = ignored  # signals that the command is to ignore as well
        self._received = b""
        self._main = 0
        self._deadline: float | None = None  # when the grace is over
        self._rest_grace = LAST_GRACE
        self._asked_first: set[int] | None = None  # those asked to end so far; None once all have been
        self._parent = os.getppid()
        self._spec: dict[str, Any] = {}
        self._terminal: list[Any] | None = None

    def run(self) -> None:
        """Start the command and stay until nothing is left."""
        while b"\n" not in self._received:
            data = self._channel.recv(65536)
            if not data:
                return
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        self._spec = json.loads(line)
        self._take_terminal()
        wakeup = _sigchld_pipe()
        if self._start():
            while self._reap():
                self._wait(wakeup)

    def _start(self) -> bool:
        """Fork and exec; the errno of a failed exec comes back through a pipe that exec closes (fcntl(2))."""
        spec = self._spec
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            _exec_command(spec, writing, self._ignored)
        os.close(writing)
        with contextlib.suppress(OSError):  # both sides do it: neither may be too late
            os.setpgid(pid, pid)
        failure = os.read(reading, 4096)
        os.close(reading)
        if failure:
            os.waitpid(pid, 0)
            self._send(json.loads(failure))
            return False
        self._main = pid
        self._send({"pid": pid})
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
                self._send({"stopped": os.WSTOPSIG(status)})
            else:
                code = os.waitstatus_to_exitcode(status)
                self._main = 0
                self._send({"exited": 128 - code if code < 0 else code})

    def _wait(self, wakeup: int) -> None:
        listening = [wakeup] if self._channel.fileno() < 0 else [wakeup, self._channel.fileno()]
        ready, _, _ = select.select(listening, [], [], None if self._deadline is None else STEP)
        if wakeup in ready:
            os.read(wakeup, 4096)
        if self._channel.fileno() in ready:
            self._receive()
        if self._deadline is not None:
            self._go_on_ending(self._deadline)

    def _receive(self) -> None:
        try:
            data = self._channel.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._on_orphaned()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "signal" in message:
                self._signal_group(message["signal"])
            if "end" in message:
                self._end(message["end"], message.get("first", ()))

    def _on_orphaned(self) -> None:
        """`run` is gone: give the terminal back as it was, and end everything."""
        self._channel.close()
        self._restore_terminal()
        self._end(LAST_GRACE, [self._main])

    def _end(self, grace: float, first: Sequence[int] = ()) -> None:
        """Begin to end everything: those `first` now, by the service's own signal, the rest after them."""
        due = time.monotonic() + grace
        is_new = self._deadline is None
        self._deadline = due if self._deadline is None else min(due, self._deadline)
        if grace <= 0:
            self._asked_first = None
            self._signal_all(signal.SIGKILL)
        elif is_new:
            asked = set(first).intersection(self._members())
            for pid in asked:
                _kill(pid, self._spec.get("stop", signal.SIGTERM))
            self._asked_first, self._rest_grace = asked, min(grace, LAST_GRACE)
            self._signal_all(signal.SIGCONT)
            self._go_on_ending(self._deadline)

    def _go_on_ending(self, deadline: float) -> None:
        """The second step where its time has come, else SIGKILL where it is time for that."""
        now = time.monotonic()
        if self._asked_first is None:
            if now >= deadline:
                self._signal_all(signal.SIGKILL)
        elif now >= deadline or not any(map(_runs, self._asked_first)):
            overdue, self._asked_first = self._asked_first, None
            for pid in self._members():  # each once: some programs take a second SIGTERM for impatience
                _kill(pid, signal.SIGKILL if pid in overdue else signal.SIGTERM)
            if sys.platform != "linux":
                self._signal_group(signal.SIGTERM)
            self._signal_all(signal.SIGCONT)
            self._deadline = max(deadline, now + self._rest_grace)

    def _members(self) -> list[int]:
        """All that is left of the command, as far as the system tells."""
        return descendants(os.getpid()) if sys.platform == "linux" else [self._main] if self._main else []

    def _signal_group(self, number: int) -> None:
        if self._main:
            with contextlib.suppress(OSError):
                os.killpg(self._main, number)

    def _signal_all(self, number: int) -> None:
        if sys.platform != "linux":
            self._signal_group(number)
            return
        for pid in descendants(os.getpid()):
            _kill(pid, number)

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._channel.sendall(json.dumps(message).encode() + b"\n")

    def _take_terminal(self) -> None:
        """Make the command's terminal our session's, and remember how the person's own one is set."""
        if self._spec.get("terminal") is not None:
            import fcntl
            import termios

            fcntl.ioctl(self._spec["terminal"], termios.TIOCSCTTY, 0)
        if self._spec.get("real") is not None:
            import termios

            os.set_inheritable(self._spec["real"], False)
            self._terminal = termios.tcgetattr(self._spec["real"])

    def _restore_terminal(self) -> None:
        if self._terminal is not None:
            import termios

            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(self._spec["real"], termios.TCSADRAIN, self._terminal)

    def remove_lease(self) -> None:
        """Remove the lease of a `run` that was killed. The one time that the package is needed."""
        if self._channel.fileno() >= 0 or "state" not in self._spec:
            return
        until = time.monotonic() + ORPHANED
        while os.getppid() == self._parent and time.monotonic() < until:
            time.sleep(0.005)
        sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120
        from pathlib import Path

        from devproxy.paths import Paths
        from devproxy.registry.leases import read_leases

        read_leases(Paths(*map(Path, self._spec["state"])))


def _exec_command(spec: dict[str, Any], report: int, ignored: frozenset[int]) -> None:
    """In the child: a process group of its own, in the foreground of its terminal; then the command. Never returns."""
    failed = ""
    try:
        os.setpgid(0, 0)
        if spec.get("terminal") is not None:
            os.tcsetpgrp(spec["terminal"], os.getpid())
        for number in (*_IGNORED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        failed = spec["cwd"]
        os.chdir(spec["cwd"])
        failed = spec["argv"][0]
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606
    except OSError as error:
        os.write(report, json.dumps({"failed": error.errno, "file": failed}).encode())
    finally:
        os._exit(127)


def _sigchld_pipe() -> int:
    """A descriptor that is readable after SIGCHLD."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reading


# The other side: what a killed supervisor leaves behind, in the process that started it

_supervisors: set[int] = set()


def adopt_orphans() -> frozenset[int]:
    """Have orphans become our children from now on; returns the children that there are already, which are none."""
    become_subreaper()
    return _children()


def add_supervisor(pid: int) -> None:
    """Process `pid` is a supervisor."""
    _supervisors.add(pid)


def discard_supervisor(pid: int) -> None:
    _supervisors.discard(pid)


def kill_orphans(before: frozenset[int]) -> None:
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


def main() -> None:
    """The program: one argument, the number of the lifeline's descriptor."""
    ignored = frozenset(number for number in _IGNORED if signal.getsignal(number) == signal.SIG_IGN)  # by nohup(1)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    become_subreaper()
    supervisor = Supervisor(channel, ignored)
    supervisor.run()
    supervisor.remove_lease()


if __name__ == "__main__":
    main()
