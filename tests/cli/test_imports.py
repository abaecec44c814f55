"""Start-up is a feature: the heavy libraries stay out of commands that do not need them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import Home

HEAVY = (
    "aiohttp",
    "asyncio",
    "cryptography",
    "h2",
    "platformdirs",
    "psutil",
    "rich",
    "tomlkit",
    "uvloop",
    "watchfiles",
    "yaml",
)


# What `ls` and `url` have no time for: the data path (compiled, all of it is loaded at once), and what only a command
# that writes, ends, listens or fails has to do with.
SLOW_FOR_LS = (
    "dataclasses",
    "devproxy.cli.errors",
    "devproxy.http1",
    "devproxy.net.loopback",
    "devproxy.net.sockets",
    "devproxy.proxy",
    "devproxy.routing",
    "devproxy.storage.marked_block",
    "devproxy.storage.system_errors",
    "devproxy.tcp",
    "fcntl",
    "hashlib",
    "json",
    "selectors",
    "shlex",
    "shutil",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
)


def loaded(home: Home, *argv: str) -> set[str]:
    """The modules that `devproxy *argv` has in `sys.modules` when it ends, and the packages that they are in."""
    code = (
        "import sys; from devproxy.cli.app import run; run(sys.argv[1:]);"
        "sys.stderr.write('\\nMODULES ' + ' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *argv],
        env=home.environment(),
        cwd=home.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = done.stderr.rpartition("MODULES ")[2].split()
    return {*modules, *(module.partition(".")[0] for module in modules)}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere psutil tells whether the proxy runs")
@pytest.mark.parametrize(
    "argv",
    [
        ("--help",),
        ("--version",),
        ("ls",),
        ("ls", "--json"),
        ("check",),
        ("check", "--format", "sarif"),
        ("url", "web"),
        ("status",),
        ("completion", "bash"),
        ("nonsense",),
    ],
)
def test_reading_needs_nothing_heavy(home: Home, argv: tuple[str, ...]) -> None:
    home.write("[services.web]\nport = 5173\n\n[services.api]\nupstream = 'https://[::1]:9443'\n")
    assert loaded(home, *argv).isdisjoint(HEAVY)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere asyncio has to ask the services")
@pytest.mark.parametrize("argv", [("ls", "--json"), ("url", "web")])
def test_listing_needs_neither_the_data_path_nor_what_listens(home: Home, argv: tuple[str, ...]) -> None:
    home.write('[proxy]\nhttp = 7080\nhttps = "off"\n\n[services.web]\nport = 5173\n')
    assert loaded(home, *argv).isdisjoint(SLOW_FOR_LS)


def test_help_needs_no_msgspec(home: Home) -> None:
    assert loaded(home, "--help").isdisjoint({"msgspec", "tomllib", "json", "difflib"})


def test_every_module_of_the_command_line_imports_alone() -> None:
    folder = Path(__file__).parents[2] / "devproxy" / "cli"
    names = [f"devproxy.cli.{file.stem}" for file in sorted(folder.glob("*.py"))]
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    for loaded in [m for m in sys.modules if m.startswith('devproxy')]: del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", code, *names], cwd=folder.parents[1], check=True)
