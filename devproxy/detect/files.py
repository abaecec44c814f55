"""Files and folders below a project's root, as a survey may read them.

A repository may be of any size and shape, and hostile, so looking is bounded: in depth, in the number of folders, of
patterns and of members, in bytes, and in what a pattern may cost. Links to folders are not followed (git stores a link
to `.` as well), and folders that hold no sources are passed over. Files are read by `storage/files.py`, which waits for
no pipe and no device.
"""

import json
import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from devproxy.problems import Problem
from devproxy.registry.toml import parse
from devproxy.storage.files import UnreadableError, decode_text, read

DEEPEST = 6
MOST_FOLDERS = 20_000
MOST_PATTERNS = 50
MOST_STARS = 6  # in a glob
MOST_MEMBERS = 500
MOST_BYTES = 16 * 1024 * 1024  # of the markers of all members together
LARGEST = 1024 * 1024  # bytes of one file
_SKIPPED = frozenset({"node_modules", "dist", "build", "target", "venv", "__pycache__", "vendor"})


def text_of(path: Path) -> str:
    """The text of a file; "" where there is none, or none that can be read."""
    try:
        return decode_text(read(path, limit=LARGEST) or b"", path)
    except UnreadableError:
        return ""


def json_table(text: str) -> dict[str, Any] | None:
    """The object that a JSON text is; None where it is none, or nothing that can be read."""
    try:
        found = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def toml_table(text: str) -> dict[str, Any]:
    """The table that a TOML text is; empty where it cannot be read. In linear time, as a registry file is."""
    found = parse(text, "")
    return {} if isinstance(found, Problem) else found[0]


def members(root: Path, patterns: Sequence[str], marker: str) -> list[Path]:
    """The folders below `root` that fit `patterns` (globs with `**`; `!` excludes) and hold a file named `marker`."""
    used = patterns[:MOST_PATTERNS]
    wanted = [_parts(pattern) for pattern in used if not pattern.startswith("!")]
    unwanted = [_parts(pattern[1:]) for pattern in used if pattern.startswith("!")]
    found: list[Path] = []
    total = 0
    for folder in _folders(root) if any(wanted) else ():
        names = folder.relative_to(root).parts
        if not _fits_any(names, wanted) or _fits_any(names, unwanted):
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
        names[:] = sorted(name for name in names if name not in _SKIPPED and not name.startswith("."))
        if depth >= DEEPEST:
            names.clear()
        for name in names:
            seen += 1
            if seen > MOST_FOLDERS:
                return
            yield Path(folder, name)


def _parts(glob: str) -> tuple[str, ...]:
    """`packages/*`, `apps/**`, `web`: `*` within a name, `**` any number of names; () for one that is too dear."""
    return () if glob.count("*") > MOST_STARS else PurePosixPath(glob.removeprefix("./")).parts


def _fits_any(names: Sequence[str], globs: Sequence[tuple[str, ...]]) -> bool:
    return any(_fits(names, glob) for glob in globs)


def _fits(names: Sequence[str], glob: tuple[str, ...]) -> bool:
    """Whether the names of a path are those of a glob. All places of the glob that a beginning of the path may have led
    to are kept at once, so that nothing is tried twice; a `**` at the end takes one name at least.
    """
    end = len(glob)
    places = _with_empty({0}, glob)
    for name in names:
        after: set[int] = set()
        for place in places:
            if place < end and glob[place] == "**":
                after |= {place, end} if place == end - 1 else {place}
            elif place < end and fnmatchcase(name, glob[place]):
                after.add(place + 1)
        places = _with_empty(after, glob)
    return bool(glob) and end in places


def _with_empty(places: set[int], glob: tuple[str, ...]) -> set[int]:
    """`places`, and those behind each `**` that takes no name."""
    found = set(places)
    for place in range(len(glob) - 1):
        if place in found and glob[place] == "**":
            found.add(place + 1)
    return found
