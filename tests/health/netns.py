"""Machines of the test's own: network namespaces joined by a veth pair.

Lives here: making them, starting programs in them, running a function in one.
Not here: any test. A server that listens on every interface is only ever started in one of these, never on the host.

How it works: `unshare --net` gives a namespace to a process that waits for its standard input to end; when this process
goes, however it goes, that one goes and the kernel removes the namespace and everything in it. `nsenter` execs a
program inside without another process between. A network namespace belongs to a thread, so a function runs there in a
thread that has called setns(2).
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests import require
from tests.waiting import DEADLINE, PROGRAM_DEADLINE

_CLONE_NEWNET = 0x40000000
T = TypeVar("T")


class Machine:
    """One network namespace with its loopback up."""

    def __init__(self) -> None:
        script = "ip link set lo up && echo up && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"up\n"
        self.pid = self._holder.pid
        self._thread = ThreadPoolExecutor(1, initializer=_enter, initargs=(f"/proc/{self.pid}/ns/net",))

    def command(self, argv: Sequence[str]) -> list[str]:
        """`argv` as a command that runs in here."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *argv]

    def run(self, *argv: str) -> None:
        subprocess.run(self.command(argv), check=True, capture_output=True, timeout=DEADLINE)

    def call(self, function: Callable[[], T]) -> T:
        """What `function` returns when its sockets are made in here."""
        return self._thread.submit(function).result(PROGRAM_DEADLINE)

    def reaches(self, address: str, port: int) -> bool:
        """Whether a TCP connection from here to there is accepted."""

        def connect() -> bool:
            with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=5):
                return True
            return False

        return self.call(connect)

    @contextlib.contextmanager
    def running(
        self, argv: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A program in here, with its whole process group ended at the end."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.command(argv),
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE)

    def close(self) -> None:
        self._thread.shutdown()
        self._holder.communicate()


def _enter(path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "rb") as namespace:  # noqa: PTH123 (a kernel object, not a file)
        if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def neighbours() -> Iterator[tuple[Machine, Machine]]:
    """Two machines with a wire between, `wire0` on both.

    The first has `192.0.2.1`, `2001:db8::1` and `fe80::1:1`, the second the same with 2 at the end.
    """
    require.linux()
    require.root()
    require.program("unshare")
    require.program("nsenter")
    require.program("ip")
    with contextlib.ExitStack() as stack:
        machines = [Machine() for _ in range(2)]
        for machine in machines:
            stack.callback(machine.close)
        first, second = machines
        first.run(*["ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire0", "netns"], str(second.pid))
        for number, machine in enumerate(machines, 1):
            machine.run("ip", "addr", "add", f"192.0.2.{number}/24", "dev", "wire0")
            for network in ("2001:db8::", "fe80::1:"):
                machine.run("ip", "addr", "add", f"{network}{number}/64", "dev", "wire0", "nodad")
            machine.run("ip", "link", "set", "wire0", "up")
        yield first, second
