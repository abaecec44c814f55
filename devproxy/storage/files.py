"""The only writer of files.

Lives here: lock, read, edit, temp file in the same folder, fsync, `os.replace`, fsync of the folder; and what
a person is told when the disk does not want to.
Not here: what is written (`registry/edit.py` makes registry text), the lock (`locks.py`), reading without one (`registry/read.py`).

How it holds together:
- A reader sees the old file or the new one, whole, whatever moment the writer is killed at: rename(2) is atomic,
  and the data is on disk before the name is (fsync(2)).
- A temp file exists only while its writer holds the lock, so one that the next writer finds is a dead writer's.
- A symlink (dotfiles) is written through: lock, temp file and replace happen where the file really is.
"""

import contextlib
import errno
import os
import re
import stat
import sys
import time
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path

from devproxy.errors import DevproxyError
from devproxy.paths import ensure_private, quote
from devproxy.registry.read import UnreadableError, decode_text, read
from devproxy.storage import locks

_SHARING = 2.0  # seconds; how long Windows may refuse a replace because a reader has the file open

_DENIED = ("permission denied", "ls -ld {folder} {path}")
_WHY = {
    errno.ENOSPC: ("the disk is full", "make room, then do it again: df -h {folder}"),
    errno.EDQUOT: ("your disk quota is used up", "make room, then do it again: quota"),
    errno.EFBIG: ("the file would be larger than this process may write", "raise the limit: ulimit -f unlimited"),
    errno.EROFS: ("the file system is read-only", "mount it writable, or point DEVPROXY_HOME at a folder that is"),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.ELOOP: ("its symlinks run in a circle", "ls -l {path}"),
    errno.ENOENT: ("its folder does not exist", "mkdir -p {folder}"),
    errno.ENOTDIR: ("something on the way to it is not a folder", "ls -ld {folder}"),
}


def update(path: Path, edit: Callable[[str], str], *, private: bool = True) -> None:
    """Replace the text of `path` by `edit(text)`, under a lock that every writer takes; a missing file reads as "".

    Nothing is written if the text stays the same or `edit` raises. A byte order mark and the mode of the file are kept;
    a new file is 0600 and its folder 0700, or with `private=False` what the umask says, in a folder that must exist.
    Blocks (disk, lock). Raises DevproxyError.
    """

    def change(target: Path) -> bytes | None:
        old = read(target)
        text = decode_text(old or b"", target)
        new = edit(text)
        if new == text and old is not None:
            return None
        return (BOM_UTF8 if (old or b"").startswith(BOM_UTF8) else b"") + new.encode("utf-8")

    _write(path, change, private)


def write(path: Path, text: str, *, private: bool = True) -> None:
    """Make `text` the content of `path`, whatever was there; else as `update`."""
    _write(path, lambda _: text.encode("utf-8"), private)


def write_json(path: Path, value: object) -> None:
    """`write` as indented JSON; `value` is anything that msgspec encodes (a Struct, a dict, …)."""
    import msgspec

    write(path, msgspec.json.format(msgspec.json.encode(value), indent=2).decode("utf-8") + "\n")


def remove(path: Path) -> None:
    """Take `path` away, if it is there; of a symlink only the link. Raises DevproxyError."""
    with _explained(path, "removed"):
        path.unlink(missing_ok=True)


def _write(path: Path, change: Callable[[Path], bytes | None], private: bool) -> None:
    """Under the lock, write what `change` makes of the file that `path` leads to; None leaves it alone."""
    with _explained(path, "written"):
        if private:
            ensure_private(path.parent)
        target = Path(os.path.realpath(path))
        with locks.exclusive(target):
            _clean(target)
            content = change(target)
            if content is not None:
                _replace(target, content, 0o600 if private else 0o666)


def _replace(target: Path, content: bytes, new_mode: int) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), new_mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _inherit(descriptor, target)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        _rename(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _inherit(descriptor: int, target: Path) -> None:
    """Give the temp file the owner and the mode of the file that it will replace."""
    if sys.platform == "win32":
        return
    try:
        old = target.stat()
    except FileNotFoundError:
        return
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        with contextlib.suppress(PermissionError):  # only root may give files away
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _rename(temporary: Path, target: Path) -> None:
    deadline = time.monotonic() + _SHARING
    while True:
        try:
            temporary.replace(target)
            return
        except PermissionError:
            if sys.platform != "win32" or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _sync_folder(folder: Path) -> None:
    """Let the new name survive a power cut too; Windows cannot open folders, and some file systems cannot sync them."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _clean(target: Path) -> None:
    """Remove what writers that were killed have left. Only under the lock."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.\d+-[0-9a-f]{{8}}\.tmp")
    with os.scandir(target.parent) as entries:
        stale = [Path(entry.path) for entry in entries if ours.fullmatch(entry.name)]
    for leftover in stale:
        with contextlib.suppress(OSError):
            leftover.unlink()


@contextlib.contextmanager
def _explained(path: Path, done: str) -> Iterator[None]:
    """Turn what the system and `read` say into words for a person."""
    try:
        yield
    except UnreadableError as error:
        problem = error.problem
        raise DevproxyError(problem.message, why=problem.why, fix=problem.fix, where=problem.where) from error
    except OSError as error:
        why, fix = _WHY.get(error.errno or 0, ((error.strerror or str(error)).lower(), _DENIED[1]))
        fix = fix.format(folder=quote(path.parent), path=quote(path))
        raise DevproxyError(f"{path} could not be {done}", why=why, fix=fix) from error
