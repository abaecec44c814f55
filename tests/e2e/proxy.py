"""A devproxy of the test's own: `python -m devproxy serve` as a person would run it.

Lives here: its folder, its registry, start, stop and kill, and what the system says about its process.
Not here: the services behind it (`origin.py`, `storage/process_identity.py`), and what talks through it (`clients.py`).
"""

import json
import subprocess
import sys
from pathlib import Path

import psutil

from tests.e2e.clients import Answer, request
from tests.e2e.processes import Program, accepts, clean_environment
from tests.ports import free_port
from tests.waiting import PROGRAM_DEADLINE, wait_until


class Devproxy:
    """`home` is its DEVPROXY_HOME; `port` the HTTP port that its registry sets, `https_port` that of HTTPS (0: off);
    `under` a command that runs `serve`, `options` those of `serve`."""

    def __init__(self, home: Path):
        self.home = home
        self.port = free_port()
        self.https_port = 0
        self.registry = home / "config" / "registry.toml"
        self.state = home / "state" / "proxy.json"
        self.log = home.parent / f"{home.name}.log"
        self.program: Program | None = None
        self.settings = ""
        self.under: tuple[str, ...] = ()
        self.options: tuple[str, ...] = ()
        for folder in (home, self.registry.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def env(self) -> dict[str, str]:
        return {"DEVPROXY_HOME": str(self.home)}

    @property
    def pid(self) -> int:
        assert self.program is not None
        return self.program.pid

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.pid)

    def text(self, services: str) -> str:
        """A whole user registry: our `[proxy]` table, then `services`."""
        https = str(self.https_port) if self.https_port else '"off"'
        return f"[proxy]\nhttp = {self.port}\nhttps = {https}\n{self.settings}\n{services}"

    def write(self, services: str) -> None:
        self.registry.write_text(self.text(services), "utf-8")

    def start(self) -> "Devproxy":
        """Start `serve`, and return once it says that it is ready and takes connections."""
        self.program = Program([*self.under, *self.argv("serve", *self.options)], self.log, cwd=self.home, env=self.env)
        wait_until(self._ready, "devproxy to be ready", log=self.output)
        return self

    def root(self) -> Path:
        """The certificate of its CA, which is made with the first connection."""
        (found,) = (self.home / "state" / "ca").glob("*/root.pem")
        return found

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.program is not None
        return self.program.stop()

    def kill(self) -> None:
        assert self.program is not None
        self.program.kill()

    def output(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def cli(self, *argv: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """One command of the command line, with the same home; never raises for its exit code."""
        return subprocess.run(
            self.argv(*argv),
            cwd=cwd or self.home,
            env=clean_environment(self.env),
            capture_output=True,
            text=True,
            timeout=PROGRAM_DEADLINE,
            check=False,
        )

    def get(self, host: str, path: str = "/", **fields: str) -> Answer:
        """One GET on a connection of its own, to the name `host`; `_` in a field name stands for `-`."""
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        return request(self.port, host, path, headers=headers)

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.port}{path}"

    def wait_answer(self, host: str, path: str = "/", *, body: bytes) -> None:
        """Wait until a GET on `host` is answered 200 with `body`."""

        def answers() -> bool:
            answer = self.get(host, path)
            return (answer.status, answer.body) == (200, body)

        wait_until(answers, f"{host}{path} to answer {body!r}", log=self.output)

    def problems(self) -> list[dict[str, object]]:
        """The problems that the running proxy reports in `state/proxy.json`."""
        found: list[dict[str, object]] = json.loads(self.state.read_bytes())["problems"]
        return found

    def rss(self) -> int:
        """Resident memory of the process now, in bytes."""
        return int(self.process.memory_info().rss)

    def peak_rss(self) -> int:
        """The most resident memory the process had since `reset_peak`, in bytes (proc_pid_status(5), VmHWM)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM in /proc/PID/status")

    def reset_peak(self) -> None:
        """Make now the start of what `peak_rss` looks back on (proc_pid_clear_refs(5), value 5)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def descriptors(self) -> int:
        return int(self.process.num_fds())

    @staticmethod
    def argv(*argv: str) -> list[str]:
        return [sys.executable, "-m", "devproxy", *argv]

    def _ready(self) -> bool:
        assert self.program is not None
        ended = self.program.popen.poll()
        assert ended is None, f"devproxy serve ended with {ended}:\n{self.output()}"
        try:
            state = json.loads(self.state.read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        return state["pid"] == self.pid and state["http"] == self.port and accepts(self.port)
