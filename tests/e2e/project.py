"""A project in a folder, taken up and down as a person does it, and what there is of it afterwards.

Lives here: writing its files, one command and its answer, who is who among its processes, and whether what commands say
is so.
Not here: expectations of one test.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from tests.e2e.processes import clean_environment
from tests.e2e.run import Folder
from tests.waiting import PROGRAM_DEADLINE, wait_until


class Project(Folder):
    """`shop`, whose services are those of its devproxy.toml. `more` is laid over the environment of its commands."""

    def __init__(self, where: Path, more: Mapping[str, str] | None = None):
        super().__init__(where)
        # what a person's activated environment does: `python`, `flask` and the rest are this one's
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.more = {"PATH": path, **(more or {})}

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, **self.more}

    def put(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")

    def do(self, *argv: str) -> str:
        """One command in the project's folder, which is to succeed; what it printed to stdout."""
        done = self.cli(*argv, cwd=self.folder)
        assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}{self.logged()}"
        return done.stdout

    def run_program(self, *argv: str) -> int:
        """Another program than devproxy, in the folder; its exit code."""
        environment = clean_environment(self.env)
        return subprocess.run(argv, cwd=self.folder, env=environment, timeout=PROGRAM_DEADLINE, check=False).returncode

    def logged(self) -> str:
        """The ends of all logs."""
        return "".join(f"\n--- {log}\n{log.read_text('utf-8', 'replace')[-3000:]}" for log in self.logs())

    def logs(self) -> list[Path]:
        return sorted((self.home / "state" / "log").glob("*.log"))

    # Who is who

    def pid_of(self, who: str) -> int:
        """`service`: the process that listens for `web`; `supervisor`: the one above it; `group`; `proxy`."""
        if who == "proxy":
            return int(json.loads(self.state.read_bytes())["pid"])
        lease = self.lease("web.shop")
        if who in {"group", "run"}:
            return int(lease["pid"])
        service = self._listener(int(lease["port"]))
        return service.pid if who == "service" else self._above(service, "supervisor.py")

    def _listener(self, port: int) -> psutil.Process:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                for one in process.net_connections("tcp"):
                    if one.status == psutil.CONN_LISTEN and one.laddr.port == port:
                        return process
        raise AssertionError(f"nobody listens on port {port}")

    @staticmethod
    def _above(process: psutil.Process, word: str) -> int:
        return next(one.pid for one in process.parents() if any(word in part for part in one.cmdline()))

    def number_of(self, word: str) -> int:
        """How many of our processes have `word` as a word of their command line, or as the end of one."""
        found = 0
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                found += any(part == word or part.endswith(f"/{word}") for part in process.cmdline())
        return found

    # What is said, and what is

    def states(self) -> dict[str, str]:
        """The state of each service, as `ls` says it."""
        return {f"{row['name']}.{row['project']}": row["state"] for row in json.loads(self.do("ls", "--json"))}

    def groups(self) -> list[int]:
        """The pids in `state/up`."""
        return [int(file.stem) for file in (self.home / "state" / "up").glob("*.json")]

    def held(self) -> list[int]:
        """The pids that hold a port."""
        file = self.home / "state" / "ports" / "held" / "ports.json"
        return [int(one["pid"]) for one in json.loads(file.read_bytes())] if file.exists() else []


def kill(pid: int) -> None:
    """`kill -9`, and wait until it is gone; it may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not lives(pid), f"{pid} to be gone")


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def project_in(where: Path, more: Mapping[str, str] | None = None) -> Iterator[Project]:
    """A `Project` that is taken down in the end, after which nothing of it is left."""
    made = Project(where, more)
    try:
        yield made
        made.cli("down", cwd=made.folder)
        made.do("stop")
        wait_until(
            lambda: not made.left(proxy=True), "nothing to be left", log=lambda: "\n".join(made.left(proxy=True))
        )
        assert made.leases() == []
    finally:
        for process in made.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
