"""Learning that registry files may have changed, whatever way they were written.

How it works:

- **Folders are watched, never files**: a watch on a file dies at the first `os.replace`. A path changes its meaning
  where a symlink on it is swapped, where what is missing appears, and where the file itself changes
  (path_resolution(7)). Each of these is an entry of a folder that exists; a `WatchList` has all of them.
- **watchfiles tells what happens there** (`FolderEvents`), on every system: inotify(7), FSEvents,
  ReadDirectoryChangesW.
- **The files are looked at besides** (lstat(2)): once a `TICK`, because a folder further up can be moved and a queue of
  events can overflow, and once a `POLL` where events cannot be had: on network file systems, and where the system has
  no watch left. That is reported as a problem. watchfiles could poll as well, but compares times in whole seconds.
- **First watch, then read**: whenever the watch list is another one, everything is read again once it is watched, so
  that nothing falls between. Then the list is made anew, because what was read may name other files.

No file is touched in the event loop: a network file system may take its time.
"""

import asyncio
import contextlib
import math
import os
import re
import stat
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from devproxy.paths import as_root
from devproxy.problems import POLLED, Problem
from devproxy.text import quote

TICK = 1.0  # seconds between two looks at files whose changes are told
POLL = 0.25  # the same where they are not
SETTLE = 2.0  # seconds; the coarsest times that a file system keeps (FAT)
RETRY = 60.0  # seconds until folders that could not be watched are tried again
LOOK = 0.03  # seconds between two looks at what watchfiles was told; see `_StopEvent`

MOST_FAILURES = 20  # in a row, to watch a folder that was there a moment ago
MOST_LINKS = 40  # as many as Linux follows

ReportPolled = Callable[[tuple[Problem, ...]], None]


async def changes(
    files: Callable[[], Iterable[Path]], stop: asyncio.Event, report_polled: ReportPolled = lambda _: None
) -> AsyncIterator[None]:
    """Yield at the start, and then whenever one of `files()` may have changed, until `stop` is set.

    `files` is asked anew after each turn; a file need not exist, and of a folder everything directly in it counts.
    Changes that come during a turn make one more turn. What else happens in the same folders makes none.
    `report_polled` is told before a turn which folders are polled, and why, whenever that may be different.
    """
    watcher = Watcher(report_polled)
    stopper = asyncio.ensure_future(stop.wait())
    stopper.add_done_callback(lambda _: watcher.wake.set())
    try:
        while not stop.is_set():
            if await watcher.has_changed(tuple(files())) and not stop.is_set():
                yield
    finally:
        stopper.cancel()
        watcher.close()


class Watcher:
    """Watches one list at a time, by events and by looking at the files. `wake` ends a wait for either."""

    def __init__(self, report_polled: ReportPolled):
        self.wake = asyncio.Event()
        self._report_polled = report_polled
        self._list: WatchList | None = None
        self._signatures: Signatures = {}
        self._events: FolderEvents | None = None
        self._changed_paths: set[Path] = set()
        self._after_a_turn = True
        self._interval = TICK
        self._failures = 0
        self._read_again_at = math.inf
        self._watch_again_at = math.inf

    async def has_changed(self, files: tuple[Path, ...]) -> bool:
        """Wait for an event or for the next look; whether one of `files` may have changed since this was last true.

        When it is true, `files` are watched. What is read then may name others, so the next call looks at once.
        """
        after_a_turn = self._after_a_turn
        if not after_a_turn:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self.wake.wait()
        self.wake.clear()
        paths, self._changed_paths = self._changed_paths, set()
        wanted, changed = await asyncio.to_thread(self._look, self._list, files, paths, after_a_turn)
        now = time.monotonic()
        if self._is_to_be_watched(wanted, paths) or now >= self._watch_again_at:
            await self._watch_folders(wanted)
            changed = True
        else:
            self._list = wanted
        if changed and self._interval == POLL:
            # Where only looking tells: two changes within one tick of the file system's clock look the same.
            self._read_again_at = now + SETTLE
        elif now >= self._read_again_at:
            self._read_again_at, changed = math.inf, True
        self._after_a_turn = changed
        return changed

    def _look(
        self, watched: "WatchList | None", files: tuple[Path, ...], paths: set[Path], after_a_turn: bool
    ) -> tuple["WatchList", bool]:
        """What is to be watched now, and whether a file may have changed. Runs in a thread."""
        known = self._signatures
        if watched is not None and not after_a_turn:
            self._signatures = watched.signatures()
            if self._signatures == known and not watched.has_any_of(paths) and not watched.has_moved():
                return watched, False
        wanted = watch_list(files)
        self._signatures = wanted.signatures()
        touched = watched is None or watched.has_any_of(paths)
        return wanted, touched or wanted != watched or self._signatures != known

    def _is_to_be_watched(self, wanted: "WatchList", paths: set[Path]) -> bool:
        """Whether the folders are others; also where one was named itself: its watch goes where it goes."""
        return self._list is None or self._list.folders != wanted.folders or not paths.isdisjoint(wanted.folders)

    async def _watch_folders(self, wanted: "WatchList") -> None:
        self.close()
        self._list = wanted
        self._watch_again_at = math.inf
        watchable, problems = await asyncio.to_thread(_watchable, wanted)
        self._events = FolderEvents(watchable, self._take)
        try:
            await self._events.start()
            self._failures = 0
        except OSError as error:
            self._failures += 1
            if isinstance(error, FileNotFoundError) and self._failures < MOST_FAILURES:
                self._list = None  # it went away meanwhile
                return
            problems = [_not_watched(wanted, error)]
            self._watch_again_at = time.monotonic() + RETRY
        self._interval = POLL if problems else TICK
        self._report_polled(tuple(problems))

    def close(self) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def _take(self, paths: set[Path] | None) -> None:
        if paths is None:
            self._list = None
        else:
            self._changed_paths |= paths
        self.wake.set()


# What the system tells


class FolderEvents:
    """The paths that change in `folders`, not below them, as watchfiles tells them in a thread.

    `report` is called in the event loop with the paths; with None if watchfiles failed, and everything is to be watched
    and read anew (it does so at a name that is not UTF-8). A folder that is moved or deleted is named itself.
    """

    def __init__(self, folders: Sequence[Path], report: Callable[[set[Path] | None], None]):
        self._folders = folders
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._begun: asyncio.Future[None] = self._loop.create_future()
        self._stop_event = _StopEvent(lambda: self._in_loop(self._begin))

    async def start(self) -> None:
        """Return once the folders are watched. Raises OSError if they cannot be."""
        threading.Thread(target=self._run, name="devproxy-watch").start()
        await self._begun

    def close(self) -> None:
        """Report nothing more. The thread ends after the look that it is waiting for, and the watch with it."""
        self._stop_event.stopped = True

    def _run(self) -> None:
        try:
            from watchfiles import watch

            # No timeout: at its end watchfiles drops what it has been told since its last look.
            for changed in watch(
                *self._folders,
                watch_filter=None,
                debounce=0,
                step=0,
                stop_event=self._stop_event,
                rust_timeout=0,
                debug=False,
                force_polling=False,
                recursive=False,
                ignore_permission_denied=False,
            ):
                self._in_loop(self._tell, {Path(path) for _, path in changed})
        except Exception as error:
            self._in_loop(self._fail, error)

    def _in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(function, *arguments)

    def _begin(self) -> None:
        if not self._begun.done():
            self._begun.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._begun.done():
            self._tell(None)
        else:
            self._begun.set_exception(error if isinstance(error, OSError) else OSError(str(error)))

    def _tell(self, paths: set[Path] | None) -> None:
        if not self._stop_event.stopped:
            self._report(paths)


class _StopEvent:
    """What watchfiles asks, before each look at what the system has told it, whether to stop; it also makes it wait.

    watchfiles gives changes when a second look finds no more than the first. Its own `step` is a sleep before each
    look, so that a change takes one and a half steps in the mean, for one wake-up a step. Here the sleep is before the
    first look of a pair only: half an interval, for one wake-up in each.
    """

    def __init__(self, begun: Callable[[], None]):
        self.stopped = False
        self._begun: Callable[[], None] | None = begun
        self._is_first = False

    def is_set(self) -> bool:
        if self._begun is not None:  # the first question comes when the folders are watched
            self._begun()
            self._begun = None
        self._is_first = not self._is_first
        if self._is_first and not self.stopped:
            time.sleep(LOOK)
        return self.stopped


# What has to be watched


Identity = tuple[int, int]  # device and inode
Signature = tuple[int, ...]
Signatures = dict[Path, Signature | None]


@dataclass(frozen=True, slots=True)
class WatchList:
    """`entries` are the paths that matter, without a symlink above them; `folders` hold them, each with who it is.

    `contents` are those of the entries that are folders: everything in them matters.
    """

    entries: frozenset[Path]
    contents: frozenset[Path]
    folders: dict[Path, Identity | None]

    def has_any_of(self, paths: Iterable[Path]) -> bool:
        """Whether a change of one of `paths` may change what the files say."""
        return any(path in self.entries or path.parent in self.contents for path in paths)

    def has_moved(self) -> bool:
        """Whether another folder stands where one of `folders` stood."""
        return any(_identity(folder) != identity for folder, identity in self.folders.items())

    def signatures(self) -> Signatures:
        """What lstat(2) says of each path: it differs after a change, but for two within a tick of the clock."""
        inside = (path for folder in self.contents for path in _listed(folder))
        return {path: signature(path) for path in (*self.entries, *inside)}


def watch_list(files: Iterable[Path]) -> WatchList:
    """What to watch so that no change of `files`, existing or not, is missed."""
    entries = frozenset(path for file in files for path in _walk(file.absolute()))
    contents = frozenset(path for path in entries if _is_folder(path))
    folders = {path.parent for path in entries} | contents
    return WatchList(entries, contents, {folder: _identity(folder) for folder in folders})


def _walk(file: Path) -> Iterator[Path]:
    """Every symlink on the way to `file`, and the file itself, or the first thing on the way that is not there."""
    here = Path(file.anchor)
    parts = list(reversed(file.parts[1:]))
    links = 0
    while parts:
        part = parts.pop()
        path = here.parent if part == ".." else here / part
        try:
            mode = path.lstat().st_mode
            target = path.readlink() if stat.S_ISLNK(mode) else None
        except (OSError, ValueError):  # ValueError: a NUL in the name
            yield path
            return
        if target is None:
            here = path
            if parts and not stat.S_ISDIR(mode):
                break
            continue
        yield path
        links += 1
        if links > MOST_LINKS:
            return
        here = Path(target.anchor) if target.anchor else here
        parts += reversed(target.parts[1:] if target.anchor else target.parts)
    yield here


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (OSError, ValueError):
        return []


def _identity(folder: Path) -> Identity | None:
    try:
        status = folder.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def signature(path: Path) -> Signature | None:
    """Who stands at `path` and what changes when it is written; None if nothing does."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


# Where no events can be had


# File systems, as mountinfo calls them, on which others than this system's kernel change files: a host's, a network's.
# Those served by a program of this machine (`fuse`, `fuse.sshfs`, …) are counted among them: only the program knows.
REMOTE = frozenset(
    {
        *("9p", "drvfs", "virtiofs", "vboxsf", "prl_fs", "vmhgfs", "fakeowner"),
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "coda", "lustre", "ncpfs", "ocfs2", "gfs2"),
    }
)

# Mount, parent, device, root, mount point, options, any number of tags; a dash; type, source, options.
_MOUNT = re.compile(r"^\d+ \d+ (\d{1,6}):(\d{1,8}) (?:[^ \n]+ )+?- ([^ \n]+) ", re.ASCII | re.MULTILINE)

# What watchfiles' errors say, why that is, and what to do.
_LIMITS = (
    (
        "watch limit",
        "other programs have taken every file watch that the system gives",
        f"raise the limit: {as_root('sysctl fs.inotify.max_user_watches=1048576')}",
    ),
    (
        "Too many open files",
        "the system gives no more file watchers, or this program no more open files",
        f"raise the limit: {as_root('sysctl fs.inotify.max_user_instances=1024')} (or `ulimit -n`)",
    ),
)


def file_systems(mountinfo: str) -> dict[int, str]:
    """Device number → type of its file system, as proc_pid_mountinfo(5) has them."""
    return {os.makedev(int(major), int(minor)): kind for major, minor, kind in _MOUNT.findall(mountinfo)}


def is_remote(kind: str) -> bool:
    """Whether files on a file system of this type change without the kernel being told."""
    return kind in REMOTE or kind == "fuse" or kind.startswith("fuse.")


def _watchable(wanted: WatchList) -> tuple[list[Path], list[Problem]]:
    """The folders that events can be asked of, and a problem for each where they do not tell everything.

    What this system itself writes to a remote file system is told, so those are watched all the same.
    """
    kinds = _file_systems()
    watchable, problems = [], []
    for folder, identity in sorted(wanted.folders.items()):
        kind = kinds.get(identity[0], "") if identity is not None else ""
        if is_remote(kind):
            why = f"a file system of type {kind} does not tell of every change"
            problems.append(_polled(folder, why, "keep the files on a disk of this system (WSL: below ~, not /mnt)"))
        if identity is None:
            continue
        if not os.access(folder, os.R_OK):
            problems.append(_polled(folder, "this user may not read the folder", f"chmod u+r {quote(folder)}"))
        elif not _is_text(folder):
            problems.append(_polled(folder, "its name is not UTF-8", "rename it"))
        else:
            watchable.append(folder)
    return watchable, problems


def _file_systems() -> dict[int, str]:
    try:
        return file_systems(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))
    except OSError:  # another system: the tick has to do
        return {}


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_watched(wanted: WatchList, error: OSError) -> Problem:
    """No folder at all can be watched."""
    known = next((limit[1:] for limit in _LIMITS if limit[0] in str(error)), None)
    why, fix = known or (f"the system says: {error}", "")
    return _polled(min(wanted.folders), why, fix, also=", and in all others with registry files,")


def _polled(folder: Path, why: str, fix: str, also: str = "") -> Problem:
    return Problem(
        code=POLLED,
        severity="warning",
        file=str(folder),
        message=f"changes in this folder{also} are looked for every {POLL:g} s, because they are not told",
        why=why,
        fix=fix,
    )
