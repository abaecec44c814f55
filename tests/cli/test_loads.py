"""How often a command loads and merges the registry: as often as it must, since that is what it spends its time on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devproxy.errors import Exit
from tests.cli.command import Home

COUNTING = """
import atexit, collections, sys
from devproxy.registry import loader

calls = collections.Counter()


def counted(name, function):
    def call(*args, **more):
        calls[name] += 1
        return function(*args, **more)

    return call


loader.Loader.load = counted("loads", loader.Loader.load)
loader.merge = counted("merges", loader.merge)
atexit.register(lambda: sys.stderr.write(f"\\nCOUNTED {calls['loads']} {calls['merges']}"))
from devproxy.cli.app import run

sys.exit(run(sys.argv[1:]))
"""


def loads(home: Home, folder: Path, *argv: str) -> int:
    """How many times `devproxy *argv` loads the registry, which it merges each time."""
    command = [sys.executable, "-c", COUNTING, *argv]
    done = subprocess.run(command, env=home.environment(), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (Exit.GOOD, Exit.NOT_RUNNING), done.stderr
    found, merged = map(int, done.stderr.rpartition("COUNTED ")[2].split())
    assert found == merged
    return found


@pytest.fixture
def shop(home: Home) -> Path:
    """A project with one service, whose command ends at once; the proxy is not started for it."""
    home.write("[proxy]\nautostart = false\n\n[services.api]\nport = 8000\n")
    folder = home.folder / "shop"
    folder.mkdir()
    (folder / "devproxy.toml").write_text(
        'project = "shop"\n\n[services.web]\nkind = "task"\ncommand = "true"\n', "utf-8"
    )
    return folder


@pytest.mark.skipif(os.name == "nt", reason="up is POSIX only")
def test_up_loads_it_for_the_link_and_for_the_start(home: Home, shop: Path) -> None:
    assert loads(home, shop, "up") == 2
    assert "shop" in home.registry.read_text("utf-8")
    assert loads(home, shop, "up") == 2  # linked by now: for the plan, and for the start


def test_run_loads_it_to_choose_and_for_the_start(home: Home, shop: Path) -> None:
    assert loads(home, shop, "link") == 1
    assert loads(home, shop, "run", "web") == 2


def test_what_nobody_has_declared_is_loaded_with_its_lease(home: Home, shop: Path) -> None:
    assert loads(home, home.folder, "run", "new", "--", "true") == 3


@pytest.mark.parametrize(
    "argv", [("ls",), ("ls", "--json"), ("url", "api"), ("status",), ("link",), ("add", "one", "8001")], ids=" ".join
)
def test_other_commands_load_it_once(home: Home, shop: Path, argv: tuple[str, ...]) -> None:
    assert loads(home, shop, *argv) == 1


def test_a_problem_costs_a_look_at_the_registry_before(home: Home, shop: Path) -> None:
    """Whether the change brings it can be told by that alone."""
    home.write(home.registry.read_text("utf-8") + '[projects.gone]\npath = "gone/devproxy.toml"\n')
    assert loads(home, shop, "add", "one", "8001") == 2
