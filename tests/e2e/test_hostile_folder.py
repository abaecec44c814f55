"""Commands typed in a folder that somebody else wrote: no file of it is ever run as a part of devproxy.

Lives here: every command that starts a process of ours, in a folder full of modules that say so when they are imported.
Not here: the services' own commands, which are run when asked for; that no other place starts us
(`tests/test_one_place.py`).
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import ROOT
from tests.e2e.clients import request
from tests.e2e.processes import clean_environment
from tests.ports import free_port
from tests.waiting import PROGRAM_DEADLINE

TRAPS = (
    *("devproxy/__init__.py", "devproxy/__main__.py", "devproxy/cli/__init__.py", "devproxy/cli/app.py"),
    *("msgspec.py", "click.py", "asyncio.py", "json.py", "socket.py", "signal.py", "contextlib.py", "encodings.py"),
    *("sitecustomize.py", "usercustomize.py", "runpy.py", "psutil/__init__.py", "uvloop.py", "aiohttp.py", "yaml.py"),
)
TRAP = "import os\nopen(os.path.join({folder!r}, 'PWNED'), 'a').write(__file__ + '\\n')\n"
SERVER = f'[{sys.executable!r}, "-I", "-m", "http.server", "{{port}}", "--bind", "127.0.0.1"]'


class Repository:
    """A cloned repository, and a devproxy that a person has installed; `run` is a command typed in the former."""

    def __init__(self, scratch: Path):
        self.folder = scratch / "clone"
        self.port = free_port()
        home = scratch / "home"
        config = home / "config"
        config.mkdir(mode=0o700, parents=True)
        (config / "registry.toml").write_text(
            f'[proxy]\nhttp = {self.port}\nhttps = "off"\nexposure_proof = false\n', "utf-8"
        )
        self.env = clean_environment({"DEVPROXY_HOME": str(home), "PYTHONPATH": str(ROOT)})
        for name in TRAPS:
            trap = self.folder / name
            trap.parent.mkdir(parents=True, exist_ok=True)
            trap.write_text(TRAP.format(folder=str(self.folder)), "utf-8")
        (self.folder / "devproxy.toml").write_text(
            f'project = "shop"\n[services.web]\ncommand = {SERVER}\n'
            f'[services.lazy]\ncommand = {SERVER}\nstart = "on-request"\n[services.once]\ncommand = ["true"]\n',
            "utf-8",
        )

    def run(self, *argv: str) -> int:
        """The exit code; as an installed `devproxy` does, the first process of it does not look into the folder."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "devproxy", *argv],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PROGRAM_DEADLINE,
            check=False,
        ).returncode

    def imported(self) -> str:
        """What of the repository was run."""
        said = self.folder / "PWNED"
        return said.read_text("utf-8") if said.exists() else ""


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(tmp_path)
    yield made
    made.run("down")
    made.run("stop")


def test_a_trap_says_so(clone: Repository) -> None:
    """Or no test here could fail."""
    subprocess.run([sys.executable, "-c", "import msgspec"], cwd=clone.folder, env=os.environ | clone.env, check=False)
    assert "msgspec.py" in clone.imported()


def test_demo(clone: Repository) -> None:
    assert clone.run("demo") == 0
    assert clone.imported() == ""


def test_commands_that_start_nothing(clone: Repository) -> None:
    for argv in (["check"], ["init", "--dry-run"], ["link"], ["ls"], ["ports"], ["status"], ["health"]):
        clone.run(*argv)
    assert clone.imported() == ""


def test_the_proxy_and_services_in_the_background(clone: Repository) -> None:
    assert clone.run("link", "--trust") == 0
    assert clone.run("start") == 0
    assert clone.run("up", "--detach", "web") == 0
    assert clone.run("run", "once") == 0
    assert request(clone.port, "lazy.shop.localhost").status == 200
    assert clone.imported() == ""
