"""Reading and writing whole files: the only reader of the files that people write, and the only writer of any.

Reading: text out, or the problem that says why not. A registry file decides where requests go and what `devproxy run`
executes, so one that another ordinary user of this machine can change at will is not read (git calls it "dubious
ownership"). Root is exempt, as owner and as reader: in a container everything is root's, and the files of a mounted
folder keep the numbers of their owners.

Writing: lock (`locks.py`), read, edit, temp file in the same folder, fsync, `os.replace`, fsync of the folder.
- A reader sees the old file or the new one, whole, whatever moment the writer is killed at: rename(2) is atomic,
  and the data is on disk before the name is (fsync(2)).
- A temp file exists only while its writer holds the lock, so one that the next writer finds is a dead writer's.
- A symlink (dotfiles) is written through: lock, temp file and replace happen where the file really is.
- Nothing can be renamed over a mount point (rename(2): EBUSY), which the hosts file of a container is. `change_bytes`
  writes such a file in place, and keeps a copy beside it until that is done.

Not here: what is written (`registry/edit.py` makes registry text), files that are appended to (`rotating_file.py`).
"""

import contextlib
import errno
import os
import re
import stat
import sys
import time
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from devproxy.errors import DevproxyError, Exit
from devproxy.paths import as_root, ensure_private
from devproxy.problems import Problem, ProblemCode
from devproxy.storage import locks
from devproxy.text import quote

MAX_BYTES = 4 * 1024 * 1024
MAX_SYSTEM_BYTES = 64 * 1024 * 1024  # of a file of the system's: some block a million sites in the hosts file

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


def read(path: Path, *, any_owner: bool = False, limit: int = MAX_BYTES) -> bytes | None:
    """The content of `path`, at most `limit` bytes; None if there is no such file, also behind a dangling symlink.

    Raises UnreadableError where something else than a plain file stands there, or one that is not ours unless
    `any_owner`. Never blocks on it.
    """
    try:
        _check(path.stat(), path, any_owner, limit)  # before the open, for opening a device can have effects of its own
        with os.fdopen(os.open(path, _FLAGS), "rb") as file:
            _check(os.fstat(file.fileno()), path, any_owner, limit)  # what was opened may no longer be what stood there
            content: bytes | None = file.read(limit + 1)
            if content is None:  # a plain file by its kind, and yet nothing to be read now: some of /proc
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _denied(path, error) from error
    if len(content) > limit:
        raise _too_large(path, limit)
    return content


def first_line(path: Path, limit: int) -> str:
    """The first line of a file of another program's, whoever owns it; "" where there is none, or a larger file than
    `limit` bytes."""
    try:
        content = read(path, any_owner=True, limit=limit)
    except UnreadableError:
        return ""
    line = (content or b"").partition(b"\n")[0].decode("utf-8", "replace").rstrip("\r")
    return "" if "\0" in line else line


def decode_text(content: bytes, path: Path) -> str:
    """`content` without its byte order mark. Raises UnreadableError with the place of the first bad byte."""
    try:
        return content.removeprefix(BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line_start = before.rfind(b"\n") + 1
        raise UnreadableError(
            Problem(
                code="not-utf-8",
                file=str(path),
                line=before.count(b"\n") + 1,
                column=len(before[line_start:].decode("utf-8")) + 1,
                message=f"byte 0x{error.object[error.start]:02x} is not UTF-8",
                why="TOML files are UTF-8",
                fix="save the file as UTF-8",
            )
        ) from None


def manifest_text(path: Path) -> str | None:
    """The text of a file of another program's (`package.json`), whoever owns it; None where none can be read."""
    try:
        content = read(path, any_owner=True)
        return None if content is None else decode_text(content, path)
    except UnreadableError:
        return None


def _check(status: os.stat_result, path: Path, any_owner: bool, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for test, name in _KINDS if test(status.st_mode)), "not a file")
        raise _refused(path, "not-a-file", f"this is {kind}", "a plain file is needed", "name a file")
    if status.st_size > limit:
        raise _too_large(path, limit)
    is_exempt = any_owner or not hasattr(os, "geteuid")
    if not is_exempt and os.geteuid() not in (0, status.st_uid) and status.st_uid != 0:
        raise _refused(
            path,
            "foreign-owner",
            f"the file belongs to another user ({status.st_uid})",
            "whoever owns it could change where your requests go and which commands are run",
            f"use a copy of your own, or take it over: {as_root(f'chown {os.geteuid()} {quote(path)}')}",
        )


def _too_large(path: Path, limit: int) -> UnreadableError:
    size = f"{limit >> 20} MiB" if limit >> 20 else f"{limit >> 10} KiB"
    what = f"the file is larger than {size}"
    return _refused(
        path, "too-large", what, "what devproxy reads or edits is a few KiB, as a rule", "is it the right file?"
    )


def _denied(path: Path, error: OSError | ValueError) -> UnreadableError:
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.EACCES, errno.EPERM):
        why, fix = "permission denied", f"chmod u+r {quote(path)}"
    elif code == errno.ELOOP:
        why, fix = "its symlinks run in a circle", f"ls -l {quote(path)}"
    else:
        why, fix = (os.strerror(code) if code else str(error)).lower(), f"ls -l {quote(path)}"
    return _refused(path, "not-readable", "the file cannot be read", why, fix)


def _refused(path: Path, code: ProblemCode, message: str, why: str, fix: str) -> UnreadableError:
    return UnreadableError(Problem(code=code, file=str(path), message=message, why=why, fix=fix))


# Writing


_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_SHARING = 2.0  # seconds; how long Windows may refuse a replace because a reader has the file open


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


def update_block(path: Path, name: str, lines: Sequence[str] | None, *, private: bool = False) -> bool:
    """Make `lines` the block called `name` in the file at `path` (None: take the block out; `marked_block.py`), and
    leave every other byte as it is; whether that changed anything. Else as `update`; a missing file stays missing where
    there is nothing to add.
    """
    from devproxy.storage.marked_block import DamagedBlockError, with_block, without_block  # few commands need it

    changed = False

    def change(target: Path) -> bytes | None:
        nonlocal changed
        old = read(target)
        try:
            new = with_block(old or b"", name, lines) if lines is not None else without_block(old or b"", name)
        except DamagedBlockError as error:
            raise error.told(path) from error
        changed = new != (old or b"")
        return new if changed else None

    _write(path, change, private)
    return changed


def write(path: Path, text: str, *, private: bool = True) -> None:
    """Make `text` the content of `path`, whatever was there; else as `update`."""
    _write(path, lambda _: text.encode("utf-8"), private)


class Changed(msgspec.Struct, frozen=True):
    """How a file was changed; `copy` is where its old content was kept while it was written in place, else None."""

    copy: Path | None = None


def change_bytes(path: Path, edit: Callable[[bytes], bytes]) -> Changed | None:
    """Make `edit(content)` the content of a file of the system's, whoever owns it; None where it is that already.

    Owner, mode, access control list and security label stay. Raises OSError as the system says it, for whoever lacks
    the rights can ask for them, UnreadableError, and DevproxyError where an earlier change in place did not end.
    """
    target = Path(os.path.realpath(path))
    with locks.exclusive(target):
        _clean(target)
        copy = target.with_name(f"{target.name}.devproxy-copy")
        _refuse_half_written(target, copy, edit)
        present = read(target, any_owner=True, limit=MAX_SYSTEM_BYTES)
        old = present or b""
        new = edit(old)
        if new == old:
            return None
        try:
            _replace(target, new, 0o644)
            if present is None:
                target.chmod(0o644)  # whatever the umask of root says: everybody reads it
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            _overwrite(target, new, old, copy)
            return Changed(copy)
        return Changed()


def _overwrite(target: Path, new: bytes, old: bytes, copy: Path) -> None:
    """Write in place. A reader may see the beginning of the one and the end of the other, for as long as it takes."""
    with os.fdopen(os.open(target, os.O_WRONLY | getattr(os, "O_BINARY", 0)), "wb") as file:
        _replace(copy, old, 0o600)  # once it is known that there is something to undo
        file.write(new)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    copy.unlink()


def _refuse_half_written(target: Path, copy: Path, edit: Callable[[bytes], bytes]) -> None:
    """Raise DevproxyError where a copy stands whose writer was killed; the lock says that none is at work.

    Where the same edit makes the same of both, they differ in no more than what is to be edited: the file is whole, and
    the copy goes.
    """
    try:
        kept = read(copy, any_owner=True, limit=MAX_SYSTEM_BYTES)
    except UnreadableError as error:
        if isinstance(error.__cause__, PermissionError):
            raise error.__cause__ from error  # a matter of rights, as the file is
        raise
    if kept is None:
        return
    content = read(target, any_owner=True, limit=MAX_SYSTEM_BYTES) or b""
    try:
        is_whole = content == kept or edit(content) == edit(kept)
    except DevproxyError:
        is_whole = False
    if not is_whole:
        raise DevproxyError(
            "an earlier change of this file was cut short, so that it may be half written",
            why=f"{copy} is what it was before",
            fix=f"look at both, then: {as_root(f'cp {quote(copy)} {quote(target)}')}, or, where the file is as it "
            f"should be: {as_root(f'rm {quote(copy)}')}",
            where=str(target),
            exit_code=Exit.REFUSED,
        )
    copy.unlink()


def write_disposable(path: Path, content: bytes) -> None:
    """Make `content` that of a file which can be made again at any time, 0600: whole or not at all for a reader, but
    without a lock and without waiting for the disk. What stands at `path`, a symlink too, is replaced.

    Raises DevproxyError.
    """
    with _explained(path, "written"):
        temporary = _temporary(path)
        descriptor = os.open(temporary, _NEW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            _rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_json(path: Path, value: object) -> None:
    """`write` what `json_text` makes of `value`."""
    write(path, json_text(value))


def json_text(value: object) -> str:
    """A file of indented JSON; `value` is what msgspec encodes (a Struct, a dict, …), anything else its text."""
    return msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode("utf-8") + "\n"


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
    temporary = _temporary(target)
    descriptor = os.open(temporary, _NEW, new_mode)
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


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")


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
    if sys.platform == "linux":
        for name in os.listxattr(target):  # acl(5), a label of SELinux
            with contextlib.suppress(OSError):
                os.setxattr(descriptor, name, os.getxattr(target, name))


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
        code = Exit.REFUSED if problem.code == "foreign-owner" else Exit.BAD_NEWS
        raise DevproxyError(
            problem.message, why=problem.why, fix=problem.fix, where=problem.where, exit_code=code
        ) from error
    except OSError as error:
        from devproxy.storage.system_errors import why_and_fix

        why, fix = why_and_fix(error, path)
        raise DevproxyError(f"{path} could not be {done}", why=why, fix=fix) from error
