"""The lock that makes the writers of one folder take turns.

Lives here: flock(2) on the folder itself, so that nothing is left behind and nothing is stale after `kill -9`; a lock
file beside the target on Windows (msvcrt) and on file systems that cannot lock a folder (NFS).
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
from devproxy.paths import quote

WAIT = 30.0  # seconds a writer waits for the ones before it

_CANNOT = (errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.EINVAL)


@contextlib.contextmanager
def exclusive(target: Path) -> Iterator[None]:
    """Hold the lock of `target`'s folder. Raises OSError, or DevproxyError after `WAIT` seconds."""
    descriptor = _acquire(target)
    try:
        yield
    finally:
        os.close(descriptor)  # and with it the lock


def _acquire(target: Path) -> int:
    """A descriptor that holds the lock until it is closed."""
    while sys.platform != "win32":
        descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _wait(descriptor, target)
            if os.path.samestat(os.fstat(descriptor), target.parent.stat()):
                return descriptor
            os.close(descriptor)  # the folder was replaced while we waited: this locks nothing any more
        except OSError as error:
            os.close(descriptor)
            if error.errno not in _CANNOT:
                raise
            break
    descriptor = os.open(target.with_name(f".{target.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait(descriptor, target)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _wait(descriptor: int, target: Path) -> None:
    if _try(descriptor):
        return
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
    waiter.join(WAIT)
    if waiter.is_alive():
        os.close(descriptor)
        raise DevproxyError(
            f"{target} is locked",
            why=f"another program has held the lock of {target.parent} for {WAIT:.0f} seconds",
            fix=f"see who it is: fuser -v {quote(target.parent)}",
        )
    if failed:
        raise failed[0]


if sys.platform == "win32":
    import msvcrt
    import time

    def _try(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _block(descriptor: int) -> None:
        while not _try(descriptor):
            time.sleep(0.01)

else:
    import fcntl

    def _try(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _block(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
