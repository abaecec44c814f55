"""Files and folders below a project's root, as a survey may read them.

A repository may be of any size and shape, and hostile, so looking is bounded: in depth, in the number of folders, of
patterns and of members, in bytes, and in what a pattern may cost (`globs.py`). Links to folders are not followed (git
stores a link to `.` as well), and folders that hold no sources are passed over. Files are read by `storage/files.py`,
which waits for no pipe and no device.
"""

import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from devproxy.detect.globs import GlobSet
from devproxy.problems import Problem
from devproxy.registry.toml import parse
from devproxy.storage.files import UnreadableError, decode_text, read

DEEPEST = 6
MOST_FOLDERS = 20_000
MOST_MEMBERS = 500
MOST_ENTRIES = 1000  # of one folder
MOST_BYTES = 16 * 1024 * 1024  # of the markers of all members together
LARGEST = 1024 * 1024  # bytes of one file
SKIPPED = frozenset({"node_modules", "dist", "build", "target", "venv", "__pycache__", "vendor"})


def text_of(path: Path) -> str:
    """The text of a file; "" where there is none, or none that can be read."""
    try:
        return decode_text(read(path, limit=LARGEST) or b"", path)
    except UnreadableError:
        return ""


def is_file(path: Path) -> bool:
    """Whether a file is there, whatever its name: pathlib raises where one is too long."""
    return os.path.isfile(path)  # noqa: PTH113


def json_table(text: str) -> dict[str, Any] | None:
    """The object that a JSON text is; None where it is none, or nothing that can be read."""
    try:
        found = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def json_file(path: Path, shown: str) -> tuple[dict[str, Any] | None, list[str]]:
    """The object that a file in JSON is, and what to say where it is none; `shown` is what it is called there."""
    text = text_of(path)
    try:
        json.loads(text or "null")
    except json.JSONDecodeError as error:
        return None, [f"{shown}:{error.lineno}:{error.colno}: the file is left out: not JSON: {error.msg.lower()}"]
    except (ValueError, RecursionError):
        return None, [f"{shown}: the file is left out: it is nested too deep, or has a number that is too long"]
    return json_table(text), []


def toml_table(text: str) -> dict[str, Any]:
    """The table that a TOML text is; empty where it cannot be read. In linear time, as a registry file is."""
    found = parse(text, "")
    return {} if isinstance(found, Problem) else found[0]


def toml_file(path: Path, shown: str) -> tuple[dict[str, Any], list[str]]:
    """The table that a file in TOML is, and what to say where it is none; `shown` is what it is called there."""
    found = parse(text_of(path), shown)
    if isinstance(found, Problem):
        return {}, [f"{found.where}: the file is left out: {found.message}"]
    return found[0], []


def remark_missing(program: str) -> list[str]:
    """A remark where a program that the commands begin with is not installed."""
    return [] if shutil.which(program) else [f"`{program}` is not installed here: its commands start once it is"]


def entries(folder: Path) -> list[Path]:
    """What is in a folder, in order; nothing where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(Path(entry.path) for entry, _ in zip(found, range(MOST_ENTRIES), strict=False))
    except (OSError, ValueError):
        return []


def members(root: Path, patterns: Sequence[str], marker: str) -> list[Path]:
    """The folders below `root` that fit `patterns` (globs; `!` excludes) and hold a file named `marker`."""
    globs = GlobSet(patterns)
    found: list[Path] = []
    total = 0
    for folder in _folders(root) if globs else ():
        if not globs.fits(folder.relative_to(root).parts):
            continue
        size = _file_size(folder / marker)
        total += size or 0
        if total > MOST_BYTES or len(found) == MOST_MEMBERS:
            break
        if size is not None:
            found.append(folder)
    return sorted(found)


def _file_size(path: Path) -> int | None:
    """The size of a plain file, None for anything else."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _folders(root: Path) -> Iterator[Path]:
    """Every folder below `root`, without those that hold no sources."""
    seen = 0
    for folder, names, _ in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts)
        names[:] = sorted(name for name in names if name not in SKIPPED and not name.startswith("."))
        if depth >= DEEPEST:
            names.clear()
        for name in names:
            seen += 1
            if seen > MOST_FOLDERS:
                return
            yield Path(folder, name)
