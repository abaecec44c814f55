"""The programs that the bench starts: each on one core, each ended by its pid.

Lives here: cores, free ports, descriptor limits, starting and ending.
Not here: what is started (`peers.py`, `origin.py`), what it costs (`cpu.py`).

Two cores are used: one for the proxy under test, one for everything else (load generator, origin server, this
program). A child keeps the affinity that `taskset` gives it (sched_setaffinity(2)), its children too.
"""

import http.client
import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 20.0
END_SECONDS = 10.0


class BenchError(Exception):
    """Something the bench needs is not there; the text is for the person who ran it."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Core numbers: the one the proxies get, and the one the rest gets."""

    proxy: int
    rest: int


@dataclass(frozen=True, slots=True)
class Running:
    """A started program: `pid` is its own, not taskset's (which execs it)."""

    pid: int
    log: Path

    def last_words(self) -> str:
        """The end of what it wrote, in one line, for a message about its failure."""
        words = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(words[-3:])[-300:] or "it wrote nothing"


def prepare() -> Cores:
    """Take the cores, move this process onto the second, and lift the descriptor limit to the hard one.

    Raises BenchError where there are not two cores, or the system has no CPU affinity.
    """
    if not hasattr(os, "sched_getaffinity") or shutil.which("taskset") is None:
        raise BenchError("the bench needs Linux and taskset: it gives each program one core of its own")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError(f"the bench needs two cores, and may use {len(cores)}")
    chosen = Cores(proxy=cores[0], rest=cores[1])
    os.sched_setaffinity(0, {chosen.rest})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return chosen


def free_port() -> int:
    """A TCP port that is free on 127.0.0.1 and, where there is one, on ::1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what would change how Python children run, plus `extra`."""
    base = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DEVPROXY_"))}
    return base | dict(extra)


@contextmanager
def started(command: Sequence[str], core: int, env: Mapping[str, str], log: Path) -> Iterator[Running]:
    """Run `command` on `core` with its output in `log`; on leaving, SIGTERM, then SIGKILL after 10 s."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            env=environment(env),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Running(process.pid, log)
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(connection: http.client.HTTPConnection, host: str) -> bool:
    """Whether one GET for `host` over `connection` is answered with 200 and a body; a closed one is opened again.

    The body tells an origin's answer from a proxy's own: Caddy answers a name it does not know with an empty 200.
    """
    try:
        connection.request("GET", "/", headers={"Host": host})
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return False
    return response.status == 200 and bool(body)


def wait_ready(running: Running, port: int, host: str) -> None:
    """Return once `host` is answered with 200 on `port`; raises BenchError with the program's last words."""
    deadline = time.monotonic() + READY_SECONDS
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    while not answers(connection, host):
        if ended(running.pid) or time.monotonic() > deadline:
            raise BenchError(f"it did not answer: {running.last_words()}")
        time.sleep(0.02)
    connection.close()


def ended(pid: int) -> bool:
    """Whether our child `pid` has exited; it stays waitable (waitid(2), WNOWAIT)."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
