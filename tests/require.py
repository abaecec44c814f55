"""What a test needs from the machine, and what happens where it is missing.

Lives here: one function a kind of requirement. Each returns what was asked for, or skips the test; with
`DEVPROXY_NO_SKIP=1` (the full CI run) a missing thing is a failure instead: nothing is left out silently.
Not here: starting anything.
"""

import importlib
import os
import shutil
import socket
import sys
from types import ModuleType
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skip the running test, or fail it where `DEVPROXY_NO_SKIP=1` forbids skips."""
    if os.environ.get("DEVPROXY_NO_SKIP") == "1":
        pytest.fail(f"{what} (and DEVPROXY_NO_SKIP=1 forbids skipping)", pytrace=False)
    pytest.skip(what)


def program(*names: str) -> str:
    """The path of the first of `names` that is installed."""
    for name in names:
        if found := shutil.which(name):
            return found
    missing(f"needs the program {' or '.join(names)}")


def module(name: str) -> ModuleType:
    """An importable module that is not a dependency of devproxy itself."""
    try:
        return importlib.import_module(name)
    except ImportError:
        missing(f"needs the Python module {name}")


def root() -> None:
    """Rights to make network namespaces and bind ports below 1024."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        missing("needs root")


def linux() -> None:
    if sys.platform != "linux":
        missing("needs Linux")


def ipv6() -> None:
    """A machine whose loopback has `::1`."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        missing("needs an IPv6 loopback (::1)")
