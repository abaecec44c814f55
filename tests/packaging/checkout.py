"""Copies of this checkout, whole or small, and the build backend run in them as a frontend of PEP 517 runs it.

How: each hook is called in a process of its own, in the folder of the copy, with the build's needs taken from where the
tests run: an environment of pip's own for each build would cost most of a minute.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import PROGRAM_DEADLINE

ROOT = Path(__file__).parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
HOOK: dict[str, Any] = SETTINGS["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
_PARTS = (
    ".github",
    "config",
    "devproxy",
    "examples",
    "packaging",
    "pyproject.toml",
    "Makefile",
    "LICENSE",
    "README.md",
)
_BUILT = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "node_modules")
_CALL = """
import sys
sys.path.insert(0, "packaging")
import build_backend
print(getattr(build_backend, sys.argv[1])(*sys.argv[2:]))
"""


@dataclass(frozen=True, slots=True)
class Called:
    """How a hook ended: its exit code, what it returned (the last line of stdout), and stderr."""

    code: int
    returned: str
    err: str


def whole(folder: Path) -> Path:
    """All that an sdist is made of but the tests, as source."""
    for part in _PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=_BUILT)
        else:
            shutil.copy(ROOT / part, folder / part)
    (folder / "tests").mkdir()
    return folder


def small(folder: Path, grammar: str) -> Path:
    """The same project with one module in its data path, `http1/grammar.py`, which compiles in seconds."""
    for part in ("packaging", "pyproject.toml", "LICENSE", "README.md"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    package = folder / "devproxy"
    (package / "http1").mkdir(parents=True)
    (package / "http1" / "__init__.py").touch()
    (package / "http1" / "grammar.py").write_text(grammar)
    for name in ("__init__.py", "build.py"):
        shutil.copy(ROOT / "devproxy" / name, package / name)
    return folder


def call(checkout: Path, hook: str, *arguments: str, before: str = "", **environment: str) -> Called:
    """Call a hook of the backend; `before` is Python that runs first, in the same process."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DEVPROXY_BUILD", "CC", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, "-c", before + _CALL, hook, *arguments],
        cwd=checkout,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=PROGRAM_DEADLINE,
        check=False,
    )
    return Called(done.returncode, (done.stdout.splitlines() or [""])[-1], done.stderr)


def files(folder: Path) -> set[str]:
    """All files below it but bytecode, by their names from there."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in found if "__pycache__" not in name}
