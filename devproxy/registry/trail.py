"""What has to be watched so that no change of a file is missed: the trail of symlinks and folders that leads to it.

Lives here: walking a path as the kernel does (path_resolution(7)), and noticing by stat(2) that something on it is
another.
Not here: being told of changes (`inotify.py`, watchfiles), deciding what to do about them (`watch.py`).

A path changes its meaning where a symlink on it is swapped, where what is missing appears, and where the file itself
changes. Each of these is an entry of one folder, and those folders exist: they are what is watched.
"""

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_LINKS = 40  # as many as Linux follows

Identity = tuple[int, int]  # device and inode
Signature = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trail:
    """`entries` are the paths that matter, without a symlink above them; `folders` hold them, each with who it is.

    `contents` are those of the entries that are folders: everything in them matters.
    """

    entries: frozenset[Path]
    contents: frozenset[Path]
    folders: dict[Path, Identity | None]

    def is_touched_by(self, paths: Iterable[Path]) -> bool:
        """Whether a change of one of `paths` may change what the files say."""
        return any(path in self.entries or path.parent in self.contents for path in paths)

    def has_moved(self) -> bool:
        """Whether another folder stands where one of `folders` stood."""
        return any(_identity(folder) != identity for folder, identity in self.folders.items())

    def signatures(self) -> dict[Path, Signature | None]:
        """What lstat(2) says of each entry: it differs after a change, but for two within a tick of the clock."""
        return {path: signature(path) for path in self.entries}


def follow(files: Iterable[Path]) -> Trail:
    """The trail of `files`, existing or not."""
    entries = frozenset(path for file in files for path in _walk(file.absolute()))
    contents = frozenset(path for path in entries if _is_folder(path))
    folders = {path.parent for path in entries} | contents
    return Trail(entries, contents, {folder: _identity(folder) for folder in folders})


def _walk(file: Path) -> Iterator[Path]:
    """Every symlink on the way to `file`, and the file itself, or the first thing on the way that is not there."""
    here = Path(file.anchor)
    parts = list(reversed(file.parts[1:]))
    links = 0
    while parts:
        part = parts.pop()
        path = here.parent if part == ".." else here / part
        try:
            mode = path.lstat().st_mode
            target = path.readlink() if stat.S_ISLNK(mode) else None
        except (OSError, ValueError):  # ValueError: a NUL in the name
            yield path
            return
        if target is None:
            here = path
            if parts and not stat.S_ISDIR(mode):
                break
            continue
        yield path
        links += 1
        if links > MOST_LINKS:
            return
        here = Path(target.anchor) if target.anchor else here
        parts += reversed(target.parts[1:] if target.anchor else target.parts)
    yield here


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _identity(folder: Path) -> Identity | None:
    try:
        status = folder.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def signature(path: Path) -> Signature | None:
    """Who stands at `path` and what changes when it is written; None if nothing does."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
