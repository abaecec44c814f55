"""The only lock: whoever holds it is alone, until it lets go or its process ends, however that comes.

Lives here: flock(2), and msvcrt on Windows. Two things are locked by it:
- the folder around a file (`exclusive`), so that writers take turns, nothing is left behind and nothing is stale after
  `kill -9`; a lock file beside the target on Windows and on file systems that cannot lock a folder (NFS);
- a file that stays (`hold`), for as long as a process lives: one proxy serves a state folder.
Not here: what happens under the lock (`files.py`).

A waiter blocks in the kernel, which wakes waiters in the order they came: none starves, however many there are.
It does so in a thread, because a blocked flock(2) takes no deadline and a stopped process can hold a lock for ever.
"""

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from devproxy.errors import DevproxyError
from devproxy.text import quote

WAIT = 30.0  # seconds a writer waits for the ones before it

_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)  # a file system without them, as some network mounts are
_NO_FOLDER_LOCKS = (*_NO_LOCKS, errno.EBADF)


@contextlib.contextmanager
def exclusive(target: Path) -> Iterator[None]:
    """Hold the lock of `target`'s folder. Raises OSError, or DevproxyError after `WAIT` seconds."""
    descriptor = _lock_around(target)
    try:
        yield
    finally:
        os.close(descriptor)  # and with it the lock


class FileLock:
    """A lock that this process holds until `release`, or until it ends."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another process have it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def hold(file: Path, seconds: float) -> FileLock | None:
    """Lock `file`, which is made and stays; None if another process has it, and keeps it for `seconds`.

    On a file system without locks everybody gets one. Raises OSError.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if _wait(descriptor, seconds):
            return FileLock(descriptor)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return FileLock(descriptor)
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _lock_around(target: Path) -> int:
    """A descriptor that holds the lock of a folder until it is closed."""
    while sys.platform != "win32":
        descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _wait_for(descriptor, target)
            if os.path.samestat(os.fstat(descriptor), target.parent.stat()):
                return descriptor
            os.close(descriptor)  # the folder was replaced while we waited: this locks nothing any more
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _NO_FOLDER_LOCKS:
                raise
            break
    descriptor = os.open(target.with_name(f".{target.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait_for(descriptor, target)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _wait_for(descriptor: int, target: Path) -> None:
    """The lock, or `descriptor` is closed and DevproxyError raised."""
    if _wait(descriptor, WAIT):
        return
    os.close(descriptor)
    raise DevproxyError(
        f"{target} is locked",
        why=f"another program has held the lock of {target.parent} for {WAIT:.0f} seconds",
        fix=f"see who it is: fuser -v {quote(target.parent)}",
    )


def _wait(descriptor: int, seconds: float) -> bool:
    """Whether the lock was had within `seconds`. Raises OSError where there are no locks."""
    if _try(descriptor):
        return True
    failed: list[OSError] = []
    # A lock belongs to the open file, not to the number: this copy may go once the lock is had. If the wait is given up
    # it is the last one, so that a lock that comes too late is let go at once.
    held = os.dup(descriptor)

    def block() -> None:
        try:
            _block(held)
        except OSError as error:
            failed.append(error)
        finally:
            os.close(held)

    waiter = threading.Thread(target=block, name="devproxy-lock", daemon=True)
    waiter.start()
    waiter.join(seconds)
    if waiter.is_alive():
        return False
    if failed:
        raise failed[0]
    return True


if sys.platform == "win32":
    import msvcrt
    import time

    def _try(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _block(descriptor: int) -> None:
        while not _try(descriptor):
            time.sleep(0.01)

else:

    def _try(descriptor: int) -> bool:
        import fcntl  # a file of its own, which whoever only reads need not load

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _block(descriptor: int) -> None:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
