"""What devproxy installs is what it imports: a library that nothing imports is weight, and an update to look after."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = {"pyyaml": "yaml", "python_dotenv": "dotenv"}  # where the module is not called as the distribution


def imported() -> set[str]:
    """The first part of every module that some file of devproxy imports, at its top or later."""
    found: set[str] = set()
    for file in (ROOT / "devproxy").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def test_every_dependency_is_imported_and_every_import_is_a_dependency() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    named = {re.split(r"[>=<;\[ ]", dependency)[0].replace("-", "_") for dependency in dependencies}
    modules = {MODULES.get(name, name) for name in named}
    assert imported() - set(sys.stdlib_module_names) - {"devproxy"} == modules
