"""Noticing that registry files changed, whatever way they were written.

Lives here: watching the right folders, watching others once the trail leads elsewhere, and telling the changes that
matter from those that do not.
Not here: reading the files (`loader.py`), which paths matter (`watch.py`).

How it holds together:
- Folders are watched, never files: a watch on a file dies at the first `os.replace`.
- Who is told to read does so after the watch stands, so nothing falls between the two: a turn is yielded after every
  (re)arming. Then the trail is walked again, because what was read may lead to other files.
- Watching is not all: a network file system says nothing, a folder further up can be moved, and the kernel can run out
  of watches. So once a `TICK` the files are compared by stat(2), more often where nothing can be watched at all.
- Linux: inotify in the event loop. Elsewhere: watchfiles, in a thread.
"""

import asyncio
import contextlib
import stat
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify


# What has to be watched so that no change of a file is missed: the trail of symlinks and folders that leads to it.
#
# A path changes its meaning where a symlink on it is swapped, where what is missing appears, and where the file itself
# changes. Each of these is an entry of one folder, and those folders exist: they are what is watched.


MOST_LINKS = 40  # as many as Linux follows

Identity = tuple[int, int]  # device and inode
Signature = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Trail:
    """`entries` are the paths that matter, without a symlink above them; `folders` hold them, each with who it is.

    `contents` are those of the entries that are folders: everything in them matters.
    """

    entries: frozenset[Path]
    contents: frozenset[Path]
    folders: dict[Path, Identity | None]

    def is_touched_by(self, paths: Iterable[Path]) -> bool:
        """Whether a change of one of `paths` may change what the files say."""
        return any(path in self.entries or path.parent in self.contents for path in paths)

    def has_moved(self) -> bool:
        """Whether another folder stands where one of `folders` stood."""
        return any(_identity(folder) != identity for folder, identity in self.folders.items())

    def signatures(self) -> dict[Path, Signature | None]:
        """What lstat(2) says of each entry: it differs after a change, but for two within a tick of the clock."""
        return {path: signature(path) for path in self.entries}


def follow(files: Iterable[Path]) -> Trail:
    """The trail of `files`, existing or not."""
    entries = frozenset(path for file in files for path in _walk(file.absolute()))
    contents = frozenset(path for path in entries if _is_folder(path))
    folders = {path.parent for path in entries} | contents
    return Trail(entries, contents, {folder: _identity(folder) for folder in folders})


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


TICK = 1.0  # seconds between two looks at the files by stat(2)
POLL = 0.1  # the same where folders cannot be watched
STEP, DEBOUNCE = 10, 30  # milliseconds; see `watchfiles.watch`

Heard = Callable[[set[Path] | None], None]


async def changes(files: Callable[[], Iterable[Path]], stop: asyncio.Event) -> AsyncIterator[None]:
    """Yield at the start, and then whenever one of `files()` may have changed, until `stop` is set.

    `files` is asked anew after each turn; a file need not exist, and of a folder everything directly in it counts.
    Changes that come during a turn make one more turn. What else happens in the same folders makes none.
    """
    watch = _Watch()
    stopper = asyncio.ensure_future(stop.wait())
    stopper.add_done_callback(lambda _: watch.wake.set())
    try:
        trail = follow(files())
        while not stop.is_set():
            if watch.is_armed_for(trail):
                if not await watch.wait(trail):
                    continue
                trail = follow(files())  # a symlink may lead elsewhere now
            if not watch.is_armed_for(trail):
                watch.arm(trail)
            if not stop.is_set():
                yield
                trail = follow(files())  # what was read may name other files
    finally:
        stopper.cancel()
        watch.close()


class _Watch:
    """The folders being watched, and what was heard of them since it was last asked."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self._paths: set[Path] = set()
        self._listener: _Listener | None = None
        self._folders: dict[Path, Identity | None] | None = None
        self._signatures: dict[Path, Signature | None] = {}

    def is_armed_for(self, trail: Trail) -> bool:
        return self._folders == trail.folders

    def arm(self, trail: Trail) -> None:
        self.close()
        self._paths.clear()
        self._folders = trail.folders
        try:
            self._listener = listen(trail.folders, self._hear)
        except OSError:
            self._listener = None
        self._signatures = trail.signatures()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def wait(self, trail: Trail) -> bool:
        """Wait until something is heard, at most a tick; whether a file may have changed since this was last asked."""
        for path in trail.entries - self._signatures.keys():
            self._signatures[path] = signature(path)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK if self._listener is not None else POLL):
                await self.wake.wait()
        is_tick = not self.wake.is_set()
        self.wake.clear()
        paths, self._paths = self._paths, set()
        before, self._signatures = self._signatures, trail.signatures()
        if not paths.isdisjoint(trail.folders) or (is_tick and trail.has_moved()):
            self._folders = None  # the watch of a folder goes where the folder goes
        if self._folders is None or trail.is_touched_by(paths):
            return True
        return any(before[path] != now for path, now in self._signatures.items())

    def _hear(self, paths: set[Path] | None) -> None:
        if paths is None:
            self._folders = None
        else:
            self._paths |= paths
        self.wake.set()


class _Listener(Protocol):
    def close(self) -> None: ...


def listen(folders: Iterable[Path], heard: Heard) -> _Listener:
    """Call `heard`, in the event loop, with the paths that change in `folders`. Raises OSError if there is no way."""
    if sys.platform == "linux":
        from devproxy.registry.inotify import Inotify

        return Inotify(folders, heard)
    return Watchfiles(folders, heard)


class Watchfiles:
    """`listen` by watchfiles (FSEvents, ReadDirectoryChangesW, kqueue), whose loop runs in a thread of its own."""

    def __init__(self, folders: Iterable[Path], heard: Heard):
        from watchfiles._rust_notify import RustNotify  # documented; `awatch` does not say when the watch stands

        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._closed = threading.Event()
        existing = [str(folder) for folder in folders if folder.is_dir()]
        notify = RustNotify(existing, False, False, 300, False, True)
        threading.Thread(target=self._run, args=(notify,), name="devproxy-watch", daemon=True).start()

    def close(self) -> None:
        self._closed.set()  # the thread ends within a step, and the watch with its last reference

    def _run(self, notify: "RustNotify") -> None:
        while True:
            found = notify.watch(DEBOUNCE, STEP, 0, self._closed)
            if isinstance(found, str):  # "stop"; there is no timeout, and signals go to the main thread
                return
            try:
                self._loop.call_soon_threadsafe(self._heard, {Path(path) for _, path in found})
            except RuntimeError:  # the loop is closed
                return
