"""How a wheel is made (PEP 517): by hatchling, with the data path compiled by mypyc where this machine can compile.

DEVPROXY_BUILD says which wheel is wanted: `auto` (the default) compiles for the Pythons that what is compiled is tested
with, where there is a C compiler with their headers, and else packs the Python source as it is; `compiled` fails where
it can't compile; `interpreted` never does.
An editable install is never compiled: what is edited runs.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hatchling import build as hatchling
from hatchling.build import (  # what a frontend looks for by name
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

_CHOICES = ("auto", "compiled", "interpreted")
_PROVEN = ((3, 11), (3, 14))  # first and last: the suites have passed on what was compiled for these
# hatchling's name for the hook in pyproject.toml, which is off unless it is asked for
_HOOK = "HATCH_BUILD_HOOK_ENABLE_MYPYC"


def get_requires_for_build_wheel(config_settings: dict[str, Any] | None = None) -> list[str]:
    """What building a wheel needs: mypyc, and what the code imports, for its types, only where it will be compiled."""
    wanted = _wanted()
    with _mypyc(on=wanted != "interpreted" and not _lacking(wanted)):
        return hatchling.get_requires_for_build_wheel(config_settings)


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build the wheel in `wheel_directory`, return its file name."""
    wanted = _wanted()
    if wanted != "interpreted":
        reason = _lacking(wanted)
        if not reason:
            try:
                target = str(Path(wheel_directory).resolve())  # what is built is built in another folder
                metadata = metadata_directory and str(Path(metadata_directory).resolve())
                with _mypyc(on=True), _copy_of_the_source():
                    return hatchling.build_wheel(target, config_settings, metadata)
            except Exception as error:
                if wanted == "compiled":
                    raise
                reason = f"compiling failed: {_reason(str(error))}"
        if wanted == "compiled":
            sys.exit(f"devproxy can't be compiled here: {reason}")
        _say(f"devproxy is installed as interpreted Python, which works the same and costs more CPU: {reason}")
    with _mypyc(on=False):
        return hatchling.build_wheel(wheel_directory, config_settings, metadata_directory)


def _wanted() -> str:
    wanted = os.environ.get("DEVPROXY_BUILD", "auto")
    if wanted not in _CHOICES:
        sys.exit(f"DEVPROXY_BUILD is {wanted!r}; it is one of {', '.join(_CHOICES)}")
    return wanted


def _lacking(wanted: str) -> str:
    """Why nothing can be compiled here, or should be without being asked for; empty where it can."""
    if sys.implementation.name != "cpython":
        return f"mypyc compiles for CPython, and this is {sys.implementation.name}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "mypyc's code counts on the global lock, which this Python is without"
    # On Windows setuptools finds Visual C++, or says that it is not there.
    reason = "" if sys.platform == "win32" else _no_compiler()
    if not reason and wanted == "auto" and not _PROVEN[0] <= sys.version_info[:2] <= _PROVEN[1]:
        tested = " to ".join(f"{major}.{minor}" for major, minor in _PROVEN)
        return f"what is compiled is tested with CPython {tested} only (DEVPROXY_BUILD=compiled compiles all the same)"
    return reason


def _no_compiler() -> str:
    """Why nothing can be compiled here but on Windows; empty where it can."""
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's headers are not installed (Debian: python3-dev)"
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "empty.c"
        source.write_text("int main(void) { return 0; }\n")
        try:
            subprocess.run(
                [*command, str(source), "-o", str(source.with_suffix(""))], check=True, capture_output=True, timeout=60
            )
        except (OSError, subprocess.SubprocessError):
            return f"the C compiler {command[0]!r} is not there or does not work (Debian: gcc and libc6-dev)"
    return ""


@contextmanager
def _mypyc(*, on: bool) -> Iterator[None]:
    before = os.environ.get(_HOOK)
    os.environ[_HOOK] = "true" if on else "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_HOOK]
        else:
            os.environ[_HOOK] = before


@contextmanager
def _copy_of_the_source() -> Iterator[None]:
    """Work in a copy of this folder: extensions are built beside their sources, and those that stayed in a checkout
    would run instead of what is edited there."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="devproxy-") as folder:
        copy = Path(folder) / "source"
        leave = shutil.ignore_patterns(".*", "node_modules", "__pycache__", "build", "dist", "*.so", "*.pyd")
        shutil.copytree(here, copy, ignore=leave)
        os.chdir(copy)
        try:
            yield
        finally:
            os.chdir(here)


def _reason(text: str) -> str:
    """The first error, as mypy and C compilers write them (`file:line: error: …`), of all that a build said."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error: " in line]
    return [*errors, *lines, "no reason was given"][0][:200]


def _say(line: str) -> None:
    """Where a person may see it: frontends keep what a build prints to themselves unless it is asked for (`-v`)."""
    print(line, file=sys.stderr, flush=True)
