"""A project of several services, and `devproxy up` on it as real processes.

Lives here: the project, starting an `up` in the foreground, and what is left of it all.
Not here: expectations.
"""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.cli.command import Home, Result
from tests.e2e.processes import Program
from tests.ports import free_port, port_range
from tests.waiting import DEADLINE, wait_until

SERVER = """\
import http.server, os, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = not os.path.exists("hold")
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(sys.argv[1].encode())
    def log_message(self, *args):
        pass
class Server(http.server.HTTPServer):
    def handle_error(self, *args):  # a probe that hung up
        pass
print(sys.argv[1], "serves on", os.environ["PORT"], "api", os.environ.get("API_URL"), flush=True)
try:
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
finally:
    print(sys.argv[1], "ends", flush=True)
"""


def service(name: str, *lines: str) -> str:
    """A table of a service that answers with its name."""
    command = json.dumps([sys.executable, "-u", "server.py", name])
    return "\n".join([f"[services.{name}]", f"command = {command}", *lines]) + "\n\n"


class Team:
    """A project `shop` in a folder, and a home whose proxy has a port of its own."""

    def __init__(self, folder: Path):
        home = folder / "home"
        home.mkdir(mode=0o700)
        self.home = Home(home)
        self.port = free_port()
        self._ports = port_range()
        self.configure('grace = "1m"')
        self.folder = folder / "shop"
        self.folder.mkdir()
        (self.folder / "server.py").write_text(SERVER)
        self.programs: list[Program] = []

    def configure(self, *lines: str) -> None:
        """Make these the settings, beside the ports that are ours."""
        self.home.write(
            "\n".join(["[proxy]", f"http = {self.port}", 'https = "off"', f'ports = "{self._ports}"', *lines, ""])
        )

    def project(self, *services: str) -> None:
        (self.folder / "devproxy.toml").write_text('project = "shop"\n\n' + "".join(services), "utf-8")

    def run(self, *argv: str) -> Result:
        return self.home.run(*argv, cwd=self.folder)

    def run_with(self, *argv: str, stdin: str) -> Result:
        return self.home.run(*argv, cwd=self.folder, stdin=stdin)

    def up(self, *argv: str) -> Program:
        """`devproxy up` in the foreground."""
        log = self.home.folder / f"up-{len(self.programs)}.log"
        argv = (sys.executable, "-m", "devproxy", "up", *argv)
        program = Program(argv, log, cwd=self.folder, env={"DEVPROXY_HOME": str(self.home.folder)})
        self.programs.append(program)
        return program

    def interrupt(self, program: Program) -> int:
        """Ctrl-C; returns the exit code."""
        program.popen.send_signal(signal.SIGINT)
        return program.wait()

    def states(self) -> dict[str, str]:
        """Of every service of every `up` that runs."""
        found: dict[str, str] = {}
        for file in (self.home.state / "up").glob("*.json"):
            with contextlib.suppress(OSError, ValueError):
                found |= {name: part["state"] for name, part in json.loads(file.read_bytes())["services"].items()}
        return found

    def wait_states(self, **states: str) -> None:
        wanted = {f"{name}.shop": state for name, state in states.items()}
        wait_until(lambda: wanted.items() <= self.states().items(), f"{wanted}", log=self.said)

    def wait_answer(self, name: str) -> None:
        """Wait until a service answers under its name."""
        wait_until(lambda: get(self.port, f"{name}.shop.localhost") == name, f"{name} to answer", log=self.said)

    def said(self) -> str:
        return "\n".join(program.output() for program in self.programs)

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Every `server.py` of this folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                argv = process.cmdline()
                if "server.py" in argv and process.cwd() == str(self.folder) and name in {"", argv[-1]}:
                    found.append(process)
        return found

    def close(self) -> None:
        if (self.folder / "devproxy.toml").exists():
            self.run("down")
        for program in self.programs:
            program.kill()
        self.home.run("stop")
        wait_until(lambda: not self.processes(), "all services to be gone", log=self.said)
        assert not list((self.home.state / "leases").glob("*.toml"))


def team_in(folder: Path) -> Iterator[Team]:
    team = Team(folder)
    try:
        yield team
    finally:
        team.close()


def get(port: int, host: str) -> str:
    """The body of a GET through the proxy."""
    from http.client import HTTPConnection

    connection = HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        connection.request("GET", "/", headers={"Host": host})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def kill(process: psutil.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
