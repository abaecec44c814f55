"""Bytes from one socket to another inside the kernel, by way of a pipe: splice(2). Linux alone has it.

Lives here: the pipe, what is taken from a source and what is handed on to a sink.
Not here: when it is worth it, and waiting until either side is ready (`proxy/splice.py`, `tcp/relay.py`).
"""

import contextlib
import os
import sys
from typing import Final

if sys.platform == "linux":
    import fcntl

CAPACITY: Final = 1 << 19  # bytes a pipe holds; the kernel may grant less


class KernelPipe:
    """A pipe, and how many bytes are in it (`held`). Raises OSError where no descriptors are left."""

    __slots__ = ("_into", "_out_of", "held")

    def __init__(self) -> None:
        assert sys.platform == "linux"
        self.held = 0
        self._out_of, self._into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # an unprivileged user's pipes have a limit in all; 64 KiB do as well
            fcntl.fcntl(self._into, fcntl.F_SETPIPE_SZ, CAPACITY)

    def take(self, source: int, most: int = CAPACITY) -> int:
        """Fill the pipe from a socket: the bytes taken, 0 at its end. Raises BlockingIOError where there are none yet,
        or where the pipe is full; OSError."""
        assert sys.platform == "linux"
        taken = os.splice(source, self._into, min(most, CAPACITY), flags=os.SPLICE_F_NONBLOCK)
        self.held += taken
        return taken

    def deliver(self, sink: int) -> None:
        """Hand everything that is held to a socket. Raises BlockingIOError where that takes no more; OSError."""
        assert sys.platform == "linux"
        while self.held:
            self.held -= os.splice(self._out_of, sink, self.held, flags=os.SPLICE_F_NONBLOCK)

    def close(self) -> None:
        """Let go of both ends."""
        os.close(self._out_of)
        os.close(self._into)


class PipePool:
    """Pipes at rest, to be lent out: most transfers are short, and a pipe costs two descriptors and four calls."""

    def __init__(self, most: int):
        self._most = most  # lent and at rest together
        self._made = 0
        self._at_rest: list[KernelPipe] = []

    def lend(self) -> KernelPipe | None:
        """An empty pipe; None where there are none left, or the system has none."""
        if self._at_rest:
            return self._at_rest.pop()
        if sys.platform != "linux" or self._made >= self._most:
            return None
        try:
            pipe = KernelPipe()
        except OSError:
            return None
        self._made += 1
        return pipe

    def take_back(self, pipe: KernelPipe) -> None:
        """A pipe is not needed any more; what it holds is lost with it."""
        if pipe.held:
            pipe.close()
            self._made -= 1
        else:
            self._at_rest.append(pipe)

    def close(self) -> None:
        """Let go of those at rest."""
        for pipe in self._at_rest:
            pipe.close()
        self._made -= len(self._at_rest)
        self._at_rest.clear()
