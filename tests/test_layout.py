"""The rules about the code's own shape: modules stand alone, pure ones are pure, every file says what it is for.

Which package may import which is import-linter's (`pyproject.toml`).
"""

import ast
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import devproxy
from tests.waiting import PROGRAM_DEADLINE

ROOT = Path(devproxy.__file__).parent
TESTS = ROOT.parent / "tests"
VAGUE = {
    "utils",
    "util",
    "helpers",
    "helper",
    "manager",
    "managers",
    "common",
    "misc",
    "base",
    "shared",
    "lib",
    "tools",
}

# What asks the system or changes it; paths and dates are values.
IMPURE = frozenset(("aiohttp", "asyncio", "os", "psutil", "random", "select", "signal", "socket", "ssl")) | {
    *("subprocess", "threading", "time", "uvloop"),
}


def sources(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(folder.rglob("*.py"))


def name_of(path: Path) -> str:
    """`devproxy.http1.grammar` of its file."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sources(ROOT)}


_IMPORT_EACH = """
import importlib, json, os, sys, traceback
broken = {}
for name in json.load(sys.stdin):
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        try:
            importlib.import_module(name)
        except BaseException:
            os.write(writable, traceback.format_exc().encode()[-4000:])
        os._exit(0)
    os.close(writable)
    with open(readable, "rb") as said:
        text = said.read().decode()
    os.waitpid(child, 0)
    if text:
        broken[name] = text
json.dump(broken, sys.stdout)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="each module is imported in a fork of one fresh process")
def test_every_module_can_be_imported_first() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_EACH],
        input=json.dumps(sorted(MODULES)),
        env=environment,
        capture_output=True,
        text=True,
        timeout=PROGRAM_DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}


def imported(path: Path) -> set[str]:
    """The modules that a file imports when it runs, wherever in it; those for the type checker alone are left out."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found |= parts or {node.module}
        waiting.extend(ast.iter_child_nodes(node))
    return found


def pure() -> set[str]:
    """The modules that import-linter forbids to do I/O, with everything below them."""
    contracts = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    named = {name for contract in contracts if contract["type"] == "forbidden" for name in contract["source_modules"]}
    below = {module for module in MODULES for name in named if module.startswith(f"{name}.")}
    return named | below


@pytest.mark.parametrize("module", sorted(pure()))
def test_a_pure_module_reaches_nothing_that_acts(module: str) -> None:
    """Not by way of other modules of devproxy either."""
    seen, waiting = set(), {module}
    while waiting:
        name = waiting.pop()
        seen.add(name)
        modules = imported(MODULES[name])
        assert not {other.partition(".")[0] for other in modules} & IMPURE, f"{module} by way of {name}"
        waiting |= (modules & MODULES.keys()) - seen


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [path for path in sources(ROOT, TESTS) if path.stem.removeprefix("test_") in VAGUE]


def test_every_module_opens_with_what_it_is_for() -> None:
    for path in sources(ROOT, TESTS):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree) or not tree.body, path
