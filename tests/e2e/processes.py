"""Programs that a test starts, and how it waits for them.

Lives here: a subprocess in a process group of its own with its output in a file, and waiting for what it prints.
Not here: devproxy itself (`proxy.py`), clients (`clients.py`), ports (`tests/ports.py`), waiting (`tests/waiting.py`).
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.waiting import DEADLINE, wait_until

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "e2e"
APPS = Path(__file__).parent / "apps"


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

    def wait_output(self, pattern: str) -> re.Match[str]:
        """The first match of `pattern` in the output; fails if the program ends without having written it."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            if match := re.search(pattern, self.output()):
                found.append(match)
            elif self.popen.poll() is not None:
                raise AssertionError(f"{self.argv} ended with {self.popen.returncode}:\n{self.output()}")
            return bool(found)

        wait_until(look, f"{self.argv} to print {pattern!r}", log=self.output)
        return found[0]

    def wait(self) -> int:
        return self.popen.wait(DEADLINE)

    def stop(self) -> int:
        """SIGTERM, wait, then SIGKILL for whatever of its process group is left; returns the exit code."""
        if self.popen.poll() is None:
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(DEADLINE)
        return self.kill()

    def kill(self) -> int:
        """`kill -9` for the whole process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return self.popen.wait(DEADLINE)


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


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((host, port), timeout=DEADLINE).close()
    except OSError:
        return False
    return True
