"""What a test needs from the machine, and what happens where it is missing.

Lives here: one function a kind of requirement, and the table at the end of a run of what was skipped for want of what.
Each function returns what was asked for, or skips the test; with `DEVPROXY_NO_SKIP=1` (the full CI run) a missing thing
is a failure instead: nothing is left out silently.
"""

import importlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import NoReturn

import pytest

from tests.waiting import DEADLINE

_NEEDS = "needs "  # how the reason of every such skip begins


def missing(what: str) -> NoReturn:
    """Skip the running test for want of `what`, or fail it where `DEVPROXY_NO_SKIP=1` forbids skips."""
    if os.environ.get("DEVPROXY_NO_SKIP") == "1":
        pytest.fail(f"needs {what} (and DEVPROXY_NO_SKIP=1 forbids skipping)", pytrace=False)
    pytest.skip(f"{_NEEDS}{what}")


def program(*names: str) -> str:
    """The path of the first of `names` that is installed."""
    for name in names:
        if found := shutil.which(name):
            return found
    missing(f"the program {' or '.join(names)}")


def module(name: str) -> ModuleType:
    """An importable module that is not a dependency of devproxy itself."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"the Python module {name}")


def root() -> None:
    """Rights to make network namespaces and bind ports below 1024."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        missing("root")


def user_namespace(setup: str) -> tuple[str, ...]:
    """A command that runs what follows it in a user namespace of its own (user_namespaces(7)), after `setup` there."""
    unshare = program("unshare")
    command = (unshare, "--user", "--map-root-user", "sh", "-c", f'{setup} && exec "$@"', "sh")
    if subprocess.run([*command, "true"], capture_output=True, check=False, timeout=DEADLINE).returncode:
        missing("user namespaces for everyone")
    return command


def linux() -> None:
    if sys.platform != "linux":
        missing("Linux")


def ipv6() -> None:
    """A machine whose loopback has `::1`."""
    loopback("::1")


def loopback(host: str) -> str:
    """A loopback address that the machine has."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError:
        missing(f"the loopback address {host}")
    return host


_MOST_FILES = 3  # that are named in a row of the table


def summarise(reporter: pytest.TerminalReporter) -> None:
    """A table of what is missing here, and how many tests in which files were skipped for it."""
    skipped: dict[str, list[str]] = {}
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(_NEEDS):
            what = reason.removeprefix(_NEEDS).partition("\n")[0]
            skipped.setdefault(what, []).append(report.nodeid.partition("::")[0])
    if skipped:
        reporter.section("missing on this machine")
        for line in _table(skipped):
            reporter.line(line)


def _table(skipped: dict[str, list[str]]) -> Iterator[str]:
    width = max(map(len, skipped))
    for what, tests in sorted(skipped.items()):
        files = sorted(set(tests))
        more = f" and {len(files) - _MOST_FILES} more" if files[_MOST_FILES:] else ""
        count = f"{len(tests):4} {'tests' if len(tests) != 1 else 'test'}"
        yield f"{what:{width}}  {count} skipped in {', '.join(files[:_MOST_FILES])}{more}"
