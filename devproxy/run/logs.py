"""`state/log/<service>.log`: what a service of `devproxy up` printed, a time before each line.

Lives here: appending (rotated), the last lines of it, and following it over a rotation.
Not here: how lines look to a person (`cli/logs.py`).
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from devproxy.paths import Paths
from devproxy.storage.rotating_file import RotatedFile

LIMIT, KEPT = 5 << 20, 3  # bytes a file, older files


class Entry(NamedTuple):
    """A line and its time, as text that sorts."""

    time: str
    text: str


def log_file(paths: Paths, service: str) -> Path:
    return paths.log / f"{service}.log"


class ServiceLog:
    """Where a service's lines go. Blocks on the disk; a disk that refuses loses lines, never a service."""

    def __init__(self, paths: Paths, service: str, *, limit: int = LIMIT):
        self._file = RotatedFile(log_file(paths, service), limit=limit, kept=KEPT)

    def append(self, text: str) -> None:
        """One line, as of now."""
        stamp = datetime.now().astimezone().isoformat(timespec="milliseconds")
        try:
            self._file.append(f"{stamp} {text}\n")
        except OSError:
            return


def last(paths: Paths, service: str, count: int) -> list[Entry]:
    """The last `count` lines, oldest first, those of older files as well."""
    file = log_file(paths, service)
    found: list[Entry] = []
    for number in range(KEPT + 1):
        path = file.with_name(f"{file.name}.{number}") if number else file
        try:
            lines = path.read_text("utf-8", "replace").split("\n")[:-1]
        except OSError:
            break
        found = [_entry(line) for line in lines[-(count - len(found)) :]] + found if count > len(found) else found
    return found


class Follower:
    """New lines of a log, from now on."""

    def __init__(self, paths: Paths, service: str):
        self._file = log_file(paths, service)
        self._inode, self._offset = self._state()
        self._rest = b""

    def read(self) -> Iterator[Entry]:
        """The lines that were added since the last call, also if the file was rotated in between."""
        inode, size = self._state()
        if inode != self._inode:
            older = self._file.with_name(f"{self._file.name}.1")
            if self._inode and older.exists() and older.stat().st_ino == self._inode:
                yield from self._more(older)
            self._inode, self._offset = inode, 0
        if size > self._offset:
            yield from self._more(self._file)

    def _more(self, file: Path) -> Iterator[Entry]:
        try:
            with file.open("rb") as opened:
                opened.seek(self._offset)
                data = opened.read()
        except OSError:
            return
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield _entry(line.decode("utf-8", "replace"))

    def _state(self) -> tuple[int, int]:
        try:
            status = self._file.stat()
        except OSError:
            return 0, 0
        return status.st_ino, status.st_size


def _entry(line: str) -> Entry:
    time, _, text = line.partition(" ")
    return Entry(time, text)
