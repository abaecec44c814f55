"""Log files that stay small: appended to, and rotated by size.

Lives here: one file with its older generations beside it (`access.log`, `access.log.1`, …).
Not here: what the lines say (`daemon/access_log.py`, `daemon/log.py`, `run/logs.py`).
Blocks on the disk: never called on the event loop.
The files are 0600: they tell what somebody works on.

The file stays open between two appends: one stat(2) and one write(2) each. The stat tells its size, and whether what
stands at the path is still what is open; where somebody moved, removed or rotated it, it is opened anew. Where an open
file cannot be moved (Windows), it is closed after each append.
"""

import os
import sys
from pathlib import Path

from devproxy.paths import ensure_private

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)


def older_file(file: Path, number: int) -> Path:
    """What `file` was `number` rotations ago."""
    return file.with_name(f"{file.name}.{number}") if number else file


class RotatedFile:
    """A file for lines: past `limit` bytes it becomes `.1`, what was `.1` becomes `.2`, and so on to `.<kept>`.

    Raises OSError where the disk refuses; a line that was cut by it is ended before the next one. For one thread.
    """

    def __init__(self, path: Path, *, limit: int, kept: int):
        self.path = path
        self._limit = limit
        self._kept = kept
        self._descriptor = -1
        self._identity = (0, 0)  # device and inode of what is open
        self._is_cut = False  # the last write ended within a line

    def __del__(self) -> None:
        self.close()

    def append(self, text: str) -> None:
        """Add `text`, whole lines, at the end."""
        data = text.encode("utf-8", "backslashreplace")
        size = self._opened()
        if size and size + len(data) > self._limit:
            self.close()
            self._rotate()
            self._opened()
        self._write(b"\n" + data if self._is_cut else data)
        if sys.platform == "win32":
            self.close()

    def close(self) -> None:
        """Let go of the file; the next `append` opens it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _opened(self) -> int:
        """Have open what stands at the path now; its size."""
        if self._descriptor >= 0:
            try:
                status = os.stat(self.path)  # noqa: PTH116 a Path would cost as much again
            except FileNotFoundError:
                self.close()
            else:
                if (status.st_dev, status.st_ino) == self._identity:
                    return status.st_size
                self.close()
        ensure_private(self.path.parent)
        # No O_NOFOLLOW: somebody may keep their logs elsewhere by a symlink, and nobody else can write in our folder.
        self._descriptor = os.open(self.path, _FLAGS, 0o600)
        status = os.fstat(self._descriptor)
        if self._identity != (status.st_dev, status.st_ino):
            self._identity, self._is_cut = (status.st_dev, status.st_ino), False
        return status.st_size

    def _write(self, data: bytes) -> None:
        done = 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:] if done else data)
        finally:
            if done:
                self._is_cut = data[done - 1] != 0x0A

    def _rotate(self) -> None:
        for number in range(self._kept - 1, -1, -1):
            file = older_file(self.path, number)
            if file.exists():
                file.replace(older_file(self.path, number + 1))
