"""Programs that a test starts, and how it waits for them.

Lives here: a subprocess in a process group of its own with its output in a file, waiting with a deadline, free ports.
Not here: devproxy itself (`proxy.py`), clients (`clients.py`).

Nothing sleeps to synchronise: `wait_until` looks again until the condition holds, and fails with what it waited for
and the program's own output.
"""

import contextlib
import errno
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "e2e"
APPS = Path(__file__).parent / "apps"

# Below Linux's and macOS's ephemeral ranges: no outgoing connection can take a port between its choice and its use.
_PORTS = range(20000, 32000)


class Program:
    """A subprocess whose output goes to `log`; `stop` ends everything it started, and waits."""

    def __init__(self, argv: Sequence[str], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None):
        self.log = log
        self.argv = list(argv)
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.argv,
                cwd=cwd,
                env=clean_environment(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def wait_output(self, pattern: str, *, seconds: float = 30) -> re.Match[str]:
        """The first match of `pattern` in the output; fails if the program ends without having written it."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            if match := re.search(pattern, self.output()):
                found.append(match)
            elif self.popen.poll() is not None:
                raise AssertionError(f"{self.argv} ended with {self.popen.returncode}:\n{self.output()}")
            return bool(found)

        wait_until(look, f"{self.argv} to print {pattern!r}", seconds=seconds, log=self.output)
        return found[0]

    def wait(self, seconds: float = 20) -> int:
        return self.popen.wait(seconds)

    def stop(self, *, seconds: float = 20) -> int:
        """SIGTERM, wait, then SIGKILL for whatever of its process group is left; returns the exit code."""
        if self.popen.poll() is None:
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(seconds)
        return self.kill()

    def kill(self) -> int:
        """`kill -9` for the whole process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return self.popen.wait(20)


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Our environment without what would send a client elsewhere or tell devproxy about another home.

    Exposure is not proved by connecting, unless `extra` says so (an empty DEVPROXY_NO_PROOF).
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("DEVPROXY_", "LISTEN_", "GIT_", "PYTHON"))
    }
    # Compiled once, and out of the way: dozens of short commands would each compile everything anew.
    python = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PYTHONPYCACHEPREFIX": str(CACHE / "pycache")}
    return kept | python | {"DEVPROXY_NO_PROOF": "1"} | dict(extra)


@contextlib.contextmanager
def running(argv: Sequence[str], log: Path, *, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Program]:
    program = Program(argv, log, cwd=cwd, env=env)
    try:
        yield program
    finally:
        program.stop()


@contextlib.contextmanager
def app(name: str, *argv: str, folder: Path) -> Iterator[tuple[Program, int]]:
    """`apps/<name>.py`, one of our own services; it chooses a port, and prints it in its first line."""
    with running([sys.executable, str(APPS / f"{name}.py"), *argv], folder / f"{name}.log", cwd=folder) as program:
        yield program, int(program.wait_output(r"listening (\d+)")[1])


def wait_until(
    condition: Callable[[], object], what: str, *, seconds: float = 20, log: Callable[[], str] = str
) -> None:
    """Return as soon as `condition` holds; fail with `what` and the log when `seconds` are over."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}\n{log()}"
        time.sleep(0.005)


def port_range() -> str:
    """Fifty ports for `[proxy] ports`, that hardly anybody else has at the moment.

    devproxy's choice of a port is stable, so tests beside each other would all choose the same one. Below the range of
    `free_port`, and below the system's own.
    """
    low = random.randrange(10000, 20000, 50)
    return f"{low}-{low + 49}"


def free_port() -> int:
    """A port that nobody has on either loopback address."""
    for port in random.sample(_PORTS, 200):
        if all(_bindable(family, host, port) for family, host in _LOOPBACKS):
            return port
    raise AssertionError("no free port")


_LOOPBACKS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def _bindable(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        # A machine without IPv6 has no ::1 to be busy.
        return family == socket.AF_INET6 and error.errno != errno.EADDRINUSE
    return True


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True
