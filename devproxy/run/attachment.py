"""One `devproxy attach` at a service of `devproxy up`: what is typed there, byte by byte, and what the service shows.

How it works: two pipes with names (fifo(7)) in the folder of the `up` files, which is for us alone; a socket's path may
have some hundred characters, a pipe's any number. `attach` makes them, and asks `up` (`group_state.py`), which opens
them and takes their names away: from then on they end with either process, however that ends. Nobody waits for the
other: what a reader does not take is kept up to `MOST` bytes, and then dropped from the beginning.
Not here: the service's terminal (`terminal.py`), the person's (`cli/attach.py`).
"""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Callable
from typing import NamedTuple

from devproxy.paths import Paths
from devproxy.run.terminal import CHUNK

MOST = 1 << 20  # bytes that wait for a reader
RECENT = 4096  # bytes of what a service showed last, for whoever attaches to it
# What a terminal answers, as if somebody had typed it: no question of before is asked again (ECMA-48, xterm's ctlseqs)
_QUESTION = re.compile(rb"\x1b\[[0-9;?>=]*[nc]|\x1b\[\?[0-9;]*\$p|\x1b\][0-9;]*;\?(?:\x07|\x1b\\)|\x1bZ")


class AttachRequest(NamedTuple):
    """The process that wants to attach, and the size of its terminal; 0 where it has none."""

    pid: int
    rows: int
    columns: int

    @property
    def text(self) -> str:
        return f"{self.pid} {self.rows} {self.columns}"

    @classmethod
    def of_text(cls, text: str) -> "AttachRequest":
        """Raises ValueError."""
        pid, rows, columns = map(int, text.split())
        return cls(pid, rows, columns)


class AttachEnds(NamedTuple):
    """The descriptors of `attach`: what the service shows is read from one, what is typed is written to the other."""

    shown: int
    typed: int


def make_pipes(paths: Paths) -> AttachEnds:
    """Those of this process. Raises OSError."""
    assert sys.platform != "win32"
    typed, shown = paths.attach_pipes(os.getpid())
    remove_pipes(paths)
    for file in (typed, shown):
        os.mkfifo(file, 0o600)
    # to read and write: what is typed before `up` has opened its end waits there
    return AttachEnds(os.open(shown, os.O_RDONLY | os.O_NONBLOCK), os.open(typed, os.O_RDWR | os.O_NONBLOCK))


def remove_pipes(paths: Paths) -> None:
    """Their names, which are gone already where `up` has opened them."""
    for file in paths.attach_pipes(os.getpid()):
        file.unlink(missing_ok=True)


def recent(before: bytes, data: bytes) -> bytes:
    """The end of what was shown, `data` last: from the beginning of a line on, if there is one in it. Pure."""
    shown = before + data
    if len(shown) <= RECENT:
        return shown
    shown = shown[-RECENT:]
    return shown[shown.find(b"\n") + 1 :]


class Attachment:
    """The side of `up`. `typed` gets what comes, `gone` is called once the other side has left. Raises OSError."""

    def __init__(self, paths: Paths, pid: int, *, typed: Callable[[bytes], None], gone: Callable[["Attachment"], None]):
        files = paths.attach_pipes(pid)
        self.pid = pid
        self._typed = typed
        self._gone = gone
        self._waiting = b""
        self._loop = asyncio.get_running_loop()
        self._reading = os.open(files[0], os.O_RDONLY | os.O_NONBLOCK)
        try:
            self._writing = os.open(files[1], os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            os.close(self._reading)
            raise
        for file in files:
            file.unlink(missing_ok=True)
        self._loop.add_reader(self._reading, self._read)

    def begin(self, shown: bytes) -> None:
        """Show the end of what was shown before."""
        self.show(_QUESTION.sub(b"", shown))

    def show(self, data: bytes) -> None:
        """Something that the service has written to its terminal."""
        self._waiting = (self._waiting + data)[-MOST:]
        self._write()

    def close(self) -> None:
        """The service is over."""
        if self._reading >= 0:
            self._loop.remove_reader(self._reading)
            self._loop.remove_writer(self._writing)
            os.close(self._reading)
            os.close(self._writing)
            self._reading = self._writing = -1

    def _read(self) -> None:
        try:
            data = os.read(self._reading, CHUNK)
        except BlockingIOError:
            return
        if data:
            self._typed(data)
        else:
            self._leave()

    def _write(self) -> None:
        if self._writing < 0:
            return
        with contextlib.suppress(BlockingIOError):
            try:
                self._waiting = self._waiting[os.write(self._writing, self._waiting) :]
            except BrokenPipeError:
                self._leave()
                return
        if self._waiting:
            self._loop.add_writer(self._writing, self._write)
        else:
            self._loop.remove_writer(self._writing)

    def _leave(self) -> None:
        self.close()
        self._gone(self)
