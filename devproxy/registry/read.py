"""The only reader of the files that people write: text out, or the problem that says why not.

Lives here: opening without ever blocking (a FIFO, a device or a folder is told from a file before it is read), the size
limit, whose the file may be, and UTF-8 with or without a byte order mark.
Not here: what the text means (`decode.py`), keeping the last good content (`loader.py`), writing (`storage/files.py`).

A registry file decides where requests go and what `devproxy run` executes, so one that another ordinary user of this
machine can change at will is not read (git calls it "dubious ownership"). Root is exempt, as owner and as reader: in a
container everything is root's, and the files of a mounted folder keep the numbers of their owners.
"""

import errno
import os
import stat
from pathlib import Path

from devproxy.paths import quote
from devproxy.problems import Problem

MAX_BYTES = 4 * 1024 * 1024

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # or the open of a FIFO waits for its writer
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnreadableError(Exception):
    """Something is there that cannot be read as a file of ours; `problem` says what, why and how to mend it."""

    def __init__(self, problem: Problem):
        super().__init__(problem.message)
        self.problem = problem


def read(path: Path) -> bytes | None:
    """The content of `path`, at most 4 MiB; None if there is no such file, also behind a dangling symlink.

    Raises UnreadableError where something else than a plain file of ours stands there. Never blocks on it.
    """
    try:
        _check(path.stat(), path)  # before the open, for opening a device can have effects of its own
        with os.fdopen(os.open(path, _FLAGS), "rb") as file:
            _check(os.fstat(file.fileno()), path)  # what was opened may no longer be what stood there
            content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _denied(path, error) from error
    if len(content) > MAX_BYTES:
        raise _too_large(path)
    return content


def decode_text(content: bytes, path: Path) -> str:
    """`content` without its byte order mark. Raises UnreadableError with the place of the first bad byte."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line_start = before.rfind(b"\n") + 1
        raise UnreadableError(
            Problem(
                code="not-utf-8",
                file=str(path),
                line=before.count(b"\n") + 1,
                column=len(before[line_start:].decode("utf-8-sig")) + 1,
                message=f"byte 0x{error.object[error.start]:02x} is not UTF-8",
                why="TOML files are UTF-8",
                fix="save the file as UTF-8",
            )
        ) from None


def _check(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "not a file")
        raise _refused(path, "not-a-file", f"this is {kind}", "a plain file is needed", "name a TOML file")
    if status.st_size > MAX_BYTES:
        raise _too_large(path)
    if hasattr(os, "geteuid") and os.geteuid() not in (0, status.st_uid) and status.st_uid != 0:
        raise _refused(
            path,
            "foreign-owner",
            f"the file belongs to another user ({status.st_uid})",
            "whoever owns it could change where your requests go and which commands are run",
            f"use a copy of your own, or take it over: sudo chown {os.geteuid()} {quote(path)}",
        )


def _too_large(path: Path) -> UnreadableError:
    what = f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB"
    return _refused(path, "too-large", what, "a registry is a few KiB", "is it the right file?")


def _denied(path: Path, error: OSError | ValueError) -> UnreadableError:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.EACCES, errno.EPERM):
        why, fix = "permission denied", f"chmod u+r {quote(path)}"
    elif code == errno.ELOOP:
        why, fix = "its symlinks run in a circle", f"ls -l {quote(path)}"
    else:
        why, fix = (os.strerror(code) if code else str(error)).lower(), f"ls -l {quote(path)}"
    return _refused(path, "not-readable", "the file cannot be read", why, fix)


def _refused(path: Path, code: str, message: str, why: str, fix: str) -> UnreadableError:
    return UnreadableError(Problem(code=code, file=str(path), message=message, why=why, fix=fix))
