"""Files and folders below a project's root, as a survey may read them.

A repository may be of any size and shape, so looking is bounded: in depth, in the number of folders, and in what a
pattern may cost. Folders that hold no sources are passed over.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from devproxy.storage.files import UnreadableError, decode_text, read

DEEPEST = 6
MOST_FOLDERS = 20_000
MOST_STARS = 6  # in a glob: matching is polynomial in them
_NOTHING = re.compile(r"(?!)")
_SKIPPED = frozenset({"node_modules", "dist", "build", "target", "venv", "__pycache__", "vendor"})


def text_of(path: Path) -> str:
    """The text of a file; "" where there is none, or none that can be read."""
    try:
        return decode_text(read(path) or b"", path)
    except UnreadableError:
        return ""


def members(root: Path, patterns: Sequence[str], marker: str) -> list[Path]:
    """The folders below `root` that fit `patterns` (globs with `**`; `!` excludes) and hold a file named `marker`."""
    wanted = [_pattern(pattern) for pattern in patterns if not pattern.startswith("!")]
    unwanted = [_pattern(pattern[1:]) for pattern in patterns if pattern.startswith("!")]
    found = []
    for folder in _folders(root) if wanted else ():
        name = folder.relative_to(root).as_posix()
        fits = any(pattern.fullmatch(name) for pattern in wanted)
        if fits and not any(pattern.fullmatch(name) for pattern in unwanted) and (folder / marker).is_file():
            found.append(folder)
    return sorted(found)


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


def _pattern(glob: str) -> re.Pattern[str]:
    """`packages/*`, `apps/**`, `web`: `*` within a name, `**` any number of names."""
    parts = PurePosixPath(glob.removeprefix("./")).parts
    if glob.count("*") > MOST_STARS:
        return _NOTHING
    pieces = []
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            pieces.append(".+" if last else "(?:[^/]+/)*")
        else:
            name = re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
            pieces.append(name if last else name + "/")
    return re.compile("".join(pieces))
