"""`devproxy run` as a person starts it, and what the system says is left of it.

Lives here: a home whose proxy has a port of the test's, `run` in the background of a test, or on a terminal.
Not here: expectations.
"""

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.processes import Program, clean_environment
from tests.e2e.proxy import Devproxy
from tests.ports import port_range
from tests.waiting import DEADLINE, wait_until

MARK = "DEVPROXY_TEST_MARK"  # in the environment of everything that a test starts


class Folder(Devproxy):
    """A folder to run things in, with a devproxy of its own; its proxy is started by the first `run`."""

    def __init__(self, folder: Path):
        super().__init__(folder / "home")
        self.folder = folder / "app"
        self.folder.mkdir()
        self.count = 0
        self.settings = f'ports = "{port_range()}"'
        self.write("")

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, MARK: str(self.home)}

    def run(self, *argv: str, env: Mapping[str, str] | None = None) -> Program:
        """`devproxy run *argv` in the folder."""
        self.count += 1
        log = self.home.parent / f"run-{self.count}.log"
        return Program(self.argv("run", *argv), log, cwd=self.folder, env={**self.env, **(env or {})})

    def wait_answer(self, host: str, path: str = "/", *, body: bytes) -> None:
        self.wait_status(host, path, 200)
        wait_until(lambda: self.get(host, path).body == body, f"{host} to say {body!r}", log=self._told)

    def wait_status(self, host: str, path: str = "/", status: int = 200) -> None:
        """Wait for an answer with this status; the proxy need not be there yet."""

        def answers() -> bool:
            with contextlib.suppress(ConnectionError):
                return self.get(host, path).status == status
            return False

        wait_until(answers, f"{host} to answer {status}", log=self._told)

    def _told(self) -> str:
        return "\n".join(log.read_text("utf-8", "replace") for log in self.home.parent.glob("run-*.log"))[-4000:]

    def leases(self) -> list[str]:
        folder = self.home / "state" / "leases"
        return sorted(file.stem for file in folder.iterdir() if file.suffix == ".toml") if folder.is_dir() else []

    def lease(self, service: str) -> dict[str, Any]:
        return tomllib.loads((self.home / "state" / "leases" / f"{service}.toml").read_text("utf-8"))

    def processes(self) -> list[psutil.Process]:
        """What runs with our mark."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get(MARK) == str(self.home) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def left(self, *, proxy: bool = False) -> list[str]:
        """The command lines of what runs; the proxy's own only with `proxy`."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if proxy or "devproxy serve" not in line:
                    found.append(line)
        return found

    def wait_nothing_left(self) -> None:
        wait_until(lambda: not self.left(), "everything to be gone", log=lambda: "\n".join(self.left()))


@contextlib.contextmanager
def folder_in(where: Path) -> Iterator[Folder]:
    """A `Folder`; what is left of it in the end is killed, and was to be nothing but the proxy."""
    made = Folder(where)
    try:
        yield made
        made.cli("stop")
        wait_until(
            lambda: not made.left(proxy=True), "nothing to be left", log=lambda: "\n".join(made.left(proxy=True))
        )
    finally:
        for process in made.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


class OnTerminal:
    """A program whose standard streams are a terminal of `size` (rows, columns), as in a person's window."""

    def __init__(self, argv: list[str], *, cwd: Path, env: Mapping[str, str], size: tuple[int, int] = (24, 80)):
        self.master, slave = os.openpty()
        self.resize(*size)
        self.seen = b""
        self.popen = subprocess.Popen(
            [sys.executable, "-c", _LEADER, *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=clean_environment(env),
            start_new_session=True,
        )
        os.close(slave)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_seen(self, pattern: str) -> "re.Match[str]":
        """Read until `pattern` stands in what was shown since the last time; what is before it is done with."""
        deadline = time.monotonic() + DEADLINE
        while not (found := re.search(pattern, self.seen.decode("utf-8", "replace"))):
            assert time.monotonic() < deadline, f"waited for {pattern!r} in {self.seen!r}"
            if not self._read():
                found = re.search(pattern, self.seen.decode("utf-8", "replace"))
                assert found, f"it ended without {pattern!r}: {self.seen!r}"
                break
        self.seen = self.seen.decode("utf-8", "replace")[found.end() :].encode()
        return found

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.master)[3] & termios.ICANON

    def wait(self) -> int:
        deadline = time.monotonic() + DEADLINE
        while self.popen.poll() is None:
            assert time.monotonic() < deadline, f"it does not end: {self.seen!r}"
            self._read()
        while self._read():
            pass
        return self.popen.returncode

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(DEADLINE)
        os.close(self.master)

    def _read(self) -> bool:
        if not select.select([self.master], [], [], 0.05)[0]:
            return self.popen.poll() is None
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.seen += data
        return bool(data)


# A session leader with the terminal as its own, as a window's first program is; then the program in its place.
_LEADER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
