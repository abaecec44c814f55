"""The person's terminal and the one that the command gets: a pseudo-terminal (pty(7)) with bytes copied in between.

Lives here: opening it, window sizes (tty_ioctl(4), TIOCGWINSZ), raw mode (termios(3)), the copying, in the event loop.
Not here: the command (`supervisor.py`), signals and exit codes (`session.py`).

Each of stdin, stdout and stderr that is a terminal becomes ours; the others are passed on as they are, so that
`devproxy run … < file` and `… 2> log` do what they do without devproxy. The person's terminal is in raw mode meanwhile:
the command's own decides what Ctrl-C means. Where we are in the background of the shell (`devproxy run … &`) nothing is
read from it. It is POSIX only; on Windows the command has the console itself.
"""

import asyncio
import contextlib
import os
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

STANDARD = (0, 1, 2)
CHUNK = 65536
ROWS, COLUMNS = 24, 80  # where nobody looks: in a terminal without columns tqdm and others show nothing
MOST_TYPED = 1 << 20  # bytes


def standard_terminals() -> tuple[int, ...]:
    """Which of the standard descriptors are terminals."""
    return tuple(fd for fd in STANDARD if _is_terminal(fd)) if sys.platform != "win32" else ()


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


class Terminal:
    """A pseudo-terminal. `real` is the person's descriptor that it stands for, None where the output goes to `output`.

    `slave` is the command's side, closed by `started`.
    """

    def __init__(self, real: int | None, output: Callable[[bytes], None]):
        self.real = real
        self.interrupted: float | None = None  # when Ctrl-C was last typed that means SIGINT (or Ctrl-\\: SIGQUIT)
        self.master, self.slave = os.openpty()
        self._output = output
        self._waiting = b""  # typed, and not taken by the command yet
        self._saved: list[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.resize()

    def set_size(self, rows: int, columns: int) -> None:
        """Of one that stands for no person's; 0 where nobody looks."""
        import fcntl
        import termios

        if self.master >= 0:
            size = struct.pack("HHHH", rows or ROWS, columns or COLUMNS, 0, 0)
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def resize(self) -> None:
        """Give the command's terminal the size of the person's; the kernel tells its foreground group (SIGWINCH)."""
        import fcntl
        import termios

        if self.real is not None:
            with contextlib.suppress(OSError):
                size = fcntl.ioctl(self.real, termios.TIOCGWINSZ, bytes(8))
                fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def started(self, loop: asyncio.AbstractEventLoop) -> None:
        """The command has its side: begin to copy."""
        os.close(self.slave)
        os.set_blocking(self.master, False)
        self._loop = loop
        loop.add_reader(self.master, self._from_command)
        self.enter_raw_mode()

    def enter_raw_mode(self) -> None:
        """Put the person's terminal into raw mode and read from it, if we are in its foreground and it is stdin."""
        import termios
        import tty

        if self.real is None or self._saved is not None or self._loop is None or not _is_foreground(self.real):
            return
        with contextlib.suppress(termios.error, OSError):
            self._saved = termios.tcgetattr(self.real)
            tty.setraw(self.real, termios.TCSADRAIN)
            if self.real != 1:  # stdout goes through a pipe to somebody who writes to this terminal: `… | tee log`
                attributes = termios.tcgetattr(self.real)
                attributes[1] |= termios.OPOST
                termios.tcsetattr(self.real, termios.TCSADRAIN, attributes)
            if _is_terminal(0):
                self._loop.add_reader(0, self._from_person)

    def leave_raw_mode(self) -> None:
        """The person's terminal as it was; nothing is read from it any more."""
        import termios

        if self._saved is None or self.real is None or self._loop is None:
            return
        self._loop.remove_reader(0)
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(self.real, termios.TCSADRAIN, self._saved)
        self._saved = None

    def close(self) -> None:
        """Pass on what the command wrote last, and let go."""
        self.leave_raw_mode()
        if self._loop is None:
            os.close(self.slave)
        elif self.master >= 0:
            while self._from_command():
                pass
        self._forget()

    @property
    def is_raw(self) -> bool:
        return self._saved is not None

    def _from_command(self) -> bool:
        if self.master < 0:
            return False
        try:
            data = os.read(self.master, CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the other side any more
            data = b""
        if not data:
            self._forget()
            return False
        self._output(data)
        return True

    def _from_person(self) -> None:
        try:
            data = os.read(0, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            if self.signals_in(data):
                self.interrupted = time.monotonic()
            self.write(data)
        elif self._loop is not None:
            self._loop.remove_reader(0)

    def signals_in(self, data: bytes) -> list[int]:
        """The signals that the command's terminal makes of what is typed, and that are to end it (termios(3), ISIG)."""
        import termios

        if self.master < 0:
            return []
        try:
            attributes = termios.tcgetattr(self.master)
        except termios.error:
            return []
        if not attributes[3] & termios.ISIG:
            return []
        keys = {attributes[6][termios.VINTR]: signal.SIGINT, attributes[6][termios.VQUIT]: signal.SIGQUIT}
        return [keys[key] for key in map(bytes, zip(data, strict=True)) if key in keys]

    def write(self, data: bytes) -> None:
        """Something typed; what the command does not read for long is kept, up to `MOST_TYPED` bytes."""
        self._waiting = (self._waiting + data)[-MOST_TYPED:]
        self._to_command()

    def _to_command(self) -> None:
        """Write what was typed; the person is read from again once the command has taken it."""
        if self.master < 0 or self._loop is None:
            return
        try:
            self._waiting = self._waiting[os.write(self.master, self._waiting) :]
        except BlockingIOError:
            pass
        except OSError:
            self._waiting = b""
        if self._waiting:
            self._loop.remove_reader(0)
            self._loop.add_writer(self.master, self._to_command)
        else:
            self._loop.remove_writer(self.master)
            if self.is_raw and _is_terminal(0):
                self._loop.add_reader(0, self._from_person)

    def _forget(self) -> None:
        if self.master >= 0:
            if self._loop is not None:
                self._loop.remove_reader(self.master)
                self._loop.remove_writer(self.master)
            os.close(self.master)
            self.master = -1


def _is_foreground(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:  # not our controlling terminal: there is no foreground to be in
        return True


def write_all(fd: int, data: bytes) -> None:
    """Write everything, whatever the descriptor takes at once; what nobody reads any more is dropped."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            import select

            select.select([], [fd], [])
        except OSError:
            return
