"""The scripts of `package.json`, read from disk.

Lives here: finding the package that a command means (a folder, or a workspace by its name or path), and a script in it.
Not here: which script a command runs (`calls.py`).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devproxy.programs.flags import Scripts

LARGEST = 4 * 1024 * 1024  # bytes


def reader(folder: Path) -> Scripts:
    """A function from a folder relative to this one, a workspace or "", and a script to that script's text, or None."""

    def read(relative: str, package: str, script: str) -> str | None:
        base = folder / relative
        where = _workspace(base, package) if package else base
        scripts = _manifest(where).get("scripts") if where is not None else None
        text = scripts.get(script) if isinstance(scripts, dict) else None
        return text if isinstance(text, str) else None

    return read


def _manifest(folder: Path) -> dict[str, Any]:
    """`package.json` of the folder; empty where there is none that can be read."""
    try:
        with (folder / "package.json").open("rb") as file:
            found = json.loads(file.read(LARGEST).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _workspace(root: Path, package: str) -> Path | None:
    """The folder of a workspace, named by its path or by its package's name."""
    path = root / package
    if (path / "package.json").is_file():
        return path
    for pattern in _patterns(root):
        for folder in _matching(root, pattern):
            if _manifest(folder).get("name") == package:
                return folder
    return None


def _patterns(root: Path) -> Iterator[str]:
    """npm, yarn and bun say it in `package.json`, pnpm in a YAML file, of which the one list is read here."""
    declared = _manifest(root).get("workspaces")
    declared = declared.get("packages") if isinstance(declared, dict) else declared
    yield from (one for one in declared or () if isinstance(one, str))
    try:
        text = (root / "pnpm-workspace.yaml").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return
    listed = re.search(r"^packages:[ \t]*\n((?:[ \t]*-.*\n?|[ \t]*#.*\n?|[ \t]*\n)*)", text, re.MULTILINE)
    for line in listed[1].splitlines() if listed else ():
        if found := re.match(r"""\s*-\s*["']?([^"'#\s]+)""", line):
            yield found[1]


def _matching(root: Path, pattern: str) -> Iterator[Path]:
    if pattern.startswith(("!", "/")) or ".." in pattern:
        return
    try:
        yield from (path for path in root.glob(pattern) if "node_modules" not in path.parts and path.is_dir())
    except (ValueError, OSError, NotImplementedError):
        return
