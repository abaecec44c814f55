"""Log files that stay small: appended to, and rotated by size.

Lives here: one file with its older generations beside it (`access.log`, `access.log.1`, …).
Not here: what the lines say (`daemon/access_log.py`, `daemon/log.py`).
Blocks on the disk: never called on the event loop.
The files are 0600: they tell what somebody works on.
"""

import os
from pathlib import Path

from devproxy.paths import ensure_private


def older_file(file: Path, number: int) -> Path:
    """What `file` was `number` rotations ago."""
    return file.with_name(f"{file.name}.{number}") if number else file


class RotatedFile:
    """A file for lines: past `limit` bytes it becomes `.1`, what was `.1` becomes `.2`, and so on to `.<kept>`.

    Raises OSError where the disk refuses; nothing is open between two calls of `append`, so that a file that somebody
    moved or removed comes back by itself.
    """

    def __init__(self, path: Path, *, limit: int, kept: int):
        self.path = path
        self._limit = limit
        self._kept = kept

    def append(self, text: str) -> None:
        """Add `text`, whole lines, at the end."""
        data = text.encode("utf-8", "backslashreplace")
        ensure_private(self.path.parent)
        if self._size() + len(data) > self._limit:
            self._rotate()
        # No O_NOFOLLOW: somebody may keep their logs elsewhere by a symlink, and nobody else can write in our folder.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self.path, flags, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(data)

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _rotate(self) -> None:
        for number in range(self._kept - 1, -1, -1):
            file = older_file(self.path, number)
            if file.exists():
                file.replace(older_file(self.path, number + 1))
