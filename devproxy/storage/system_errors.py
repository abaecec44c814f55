"""What the system's errors about files mean to a person: why, and what mends it.

How it works: by errno(3); where rights are missing, by whose the file is, or the nearest folder above that is there.
Not here: errors of what a file says (`problems.py`), of sockets (`net/`).
"""

import errno
import os
import sys
from pathlib import Path

from devproxy.paths import as_root
from devproxy.text import quote

_LOOK = "ls -ld {folder} {path}"
_WHY = {
    errno.ENOSPC: ("the disk is full", "make room, then do it again: df -h {folder}"),
    errno.EDQUOT: ("your disk quota is used up", "make room, then do it again: quota"),
    errno.EFBIG: ("the file would be larger than this process may write", "raise the limit: ulimit -f unlimited"),
    errno.EROFS: ("the file system is read-only", "mount it writable, or point DEVPROXY_HOME at a folder that is"),
    errno.ELOOP: ("its symlinks run in a circle", "ls -l {path}"),
    errno.ENOENT: ("its folder does not exist", "mkdir -p {folder}"),
    errno.ENOTDIR: ("something on the way to it is not a folder", "ls -ld {folder}"),
    errno.ENOLCK: ("its file system has no locks", "point DEVPROXY_HOME at a folder on a local disk"),
}


def why_and_fix(error: OSError, path: Path) -> tuple[str, str]:
    """Why `path` could not be used, and what to do."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied", _take_rights(path)
    why, fix = _WHY.get(error.errno or 0, ((error.strerror or str(error)).lower(), _LOOK))
    return why, fix.format(folder=quote(path.parent), path=quote(path))


def _take_rights(path: Path) -> str:
    """The command that gives us the rights we lack; where it cannot be told, the one that shows who has them."""
    look = _LOOK.format(folder=quote(path.parent), path=quote(path))
    if sys.platform == "win32":
        return look
    for at in (path.parent, path):
        found = _nearest(at)
        if found is None or os.access(found, os.R_OK | os.W_OK | (os.X_OK if found.is_dir() else 0)):
            continue
        owner = found.stat().st_uid
        if owner == os.geteuid():
            return f"chmod u+rwx {quote(found)}" if found.is_dir() else f"chmod u+rw {quote(found)}"
        chown = as_root(f"chown {os.geteuid()} {quote(found)}")
        return f"it belongs to user {owner}: use a folder of your own (DEVPROXY_HOME), or take it over: {chown}"
    return look


def _nearest(path: Path) -> Path | None:
    """`path`, or the nearest folder above that is there and may be seen."""
    for at in (path, *path.parents):
        try:
            at.stat()
        except OSError:
            continue
        return at
    return None
