"""Being told by the Linux kernel that something in a folder changed (inotify(7)).

Lives here: the three calls, through ctypes, and reading events.
Not here: which folders, and what a change means (`watch.py`, `watch.py`); other systems (watchfiles, in `watch.py`).

Why not watchfiles here as well: it wakes up every `step` milliseconds to look whether the kernel has said something,
and waits one more step. At 10 ms that is 15 ms to notice a change and 0.7 % of a core for doing nothing; at 5 ms it is
7 ms and 1 %. A descriptor in the event loop costs nothing until the kernel speaks, and then 2 or 3 ms.
"""

import asyncio
import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

SETTLE = 0.002  # seconds; a write is several events, and an editor's save several writes

_MASK = (
    0x2 | 0x4 | 0x8  # IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE
    | 0x40 | 0x80 | 0x100 | 0x200  # IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE
    | 0x400 | 0x800  # IN_DELETE_SELF, IN_MOVE_SELF
    | 0x01000000  # IN_ONLYDIR
)  # fmt: skip
_OVERFLOW = 0x4000
_EVENT = struct.Struct("iIII")  # watch descriptor, mask, cookie, length of the name

_SKIPPED = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG)

Heard = Callable[[set[Path] | None], None]


class Inotify:
    """Watches `folders`, not what is below them, and calls `heard` with the paths that changed, None for "too many".

    A folder that is moved or deleted is named itself. One that cannot be watched is left out. Raises OSError where the
    kernel has no watch left for us (ENOSPC, EMFILE).
    """

    def __init__(self, folders: Iterable[Path], heard: Heard):
        self._heard = heard
        self._paths: set[Path] | None = set()
        self._timer: asyncio.TimerHandle | None = None
        self._folders: dict[int, list[Path]] = {}  # one folder can be mounted at two paths
        self._loop = asyncio.get_running_loop()
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _last_error()
        try:
            for folder in folders:
                self._add(libc, folder)
        except OSError:
            os.close(self._descriptor)
            raise
        self._loop.add_reader(self._descriptor, self._read)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _add(self, libc: ctypes.CDLL, folder: Path) -> None:
        watch = libc.inotify_add_watch(self._descriptor, os.fsencode(folder), _MASK)
        if watch >= 0:
            self._folders.setdefault(watch, []).append(folder)
        elif ctypes.get_errno() not in _SKIPPED:
            raise _last_error()

    def _read(self) -> None:
        try:
            events = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        position = 0
        while position < len(events):
            watch, mask, _, length = _EVENT.unpack_from(events, position)
            position += _EVENT.size
            name = os.fsdecode(events[position : position + length].rstrip(b"\0"))
            position += length
            self._note(watch, mask, name)
        if self._timer is None:
            self._timer = self._loop.call_later(SETTLE, self._tell)

    def _note(self, watch: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:
            self._paths = None
        elif self._paths is not None:
            self._paths.update(folder / name for folder in self._folders.get(watch, ()))

    def _tell(self) -> None:
        paths, self._paths, self._timer = self._paths, set(), None
        self._heard(paths)


def _last_error() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
