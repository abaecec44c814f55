"""Large bodies of a known length, moved from socket to socket inside the kernel: splice(2).

Lives here: one transfer through a pipe, from where its bytes need no more looking at to its end.
Not here: the pipe (`net/kernel_pipe.py`), which bodies (`exchange.py`, `h1.py`), what an early end means.

How it works: reading is paused on the source's transport and nothing waits in the sink's, so that both sockets are ours
through duplicates of their descriptors; the loop says when either is ready. Only Linux has splice, and TLS needs its
bytes seen: elsewhere bodies take the ordinary way through the transports.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from typing import Final

from devproxy.net.kernel_pipe import KernelPipe
from devproxy.net.sockets import is_tls

WORTHWHILE: Final = 1 << 20  # bytes left, below which the set-up costs more than it saves
_TURN: Final = 4 << 20  # bytes moved before other connections get their turn
SOURCE: Final = "source"
SINK: Final = "sink"


def possible(source: asyncio.Transport, sink: asyncio.Transport) -> bool:
    """Whether bytes may go from one transport to the other without passing through either."""
    if sys.platform != "linux" or sink.get_write_buffer_size() or sink.is_closing() or source.is_closing():
        return False
    return _is_plain_socket(source) and _is_plain_socket(sink)


def _is_plain_socket(transport: asyncio.Transport) -> bool:
    return transport.get_extra_info("socket") is not None and not is_tls(transport)


def splice(
    source: asyncio.Transport, sink: asyncio.Transport, first: bytes, left: int, ended: Callable[[str | None], None]
) -> "Splice | None":
    """A transfer under way, or None where the transports or the descriptors that are left do not allow one."""
    if not possible(source, sink):
        return None
    try:
        return Splice(source, sink, first=first, left=left, ended=ended)
    except OSError:
        return None


class Splice:
    """One transfer: `first`, bytes that were read already, then `left` more from `source`.

    `ended` is called once: with None when all bytes are with the sink, else with SOURCE or SINK, the side that ended
    early. Raises OSError where no descriptors are left.
    """

    __slots__ = (
        "_ended",
        "_first",
        "_left",
        "_loop",
        "_pipe",
        "_seen",
        "_sink",
        "_source",
        "_waits",
    )

    def __init__(
        self,
        source: asyncio.Transport,
        sink: asyncio.Transport,
        *,
        first: bytes,
        left: int,
        ended: Callable[[str | None], None],
    ):
        self._loop = asyncio.get_running_loop()
        self._first = memoryview(first)
        self._left = left
        self._seen = left
        self._ended = ended
        self._waits: int | None = None  # the descriptor the loop watches
        with contextlib.ExitStack() as undo:
            self._pipe = KernelPipe()
            undo.callback(self._pipe.close)
            self._source = os.dup(source.get_extra_info("socket").fileno())
            undo.callback(os.close, self._source)
            self._sink = os.dup(sink.get_extra_info("socket").fileno())
            undo.pop_all()
        source.pause_reading()
        self._loop.call_soon(self._move)

    def _move(self) -> None:
        """Move what can be moved, then wait for what cannot."""
        if self._sink < 0:
            return
        turn = _TURN
        while turn > 0:
            try:
                delivered = self._deliver()
            except OSError:
                self._finish(SINK)
                return
            if not delivered:
                self._wait(self._sink)
                return
            if not self._left:
                self._finish(None)
                return
            taken = self._take()
            if taken < 0:
                self._wait(self._source)
                return
            if taken == 0:
                self._finish(SOURCE)
                return
            turn -= taken
        self._wait(None)
        self._loop.call_soon(self._move)

    @property
    def held(self) -> int:
        """Bytes that were taken from the source and are not with the sink."""
        return self._pipe.held + len(self._first)

    def progressed(self) -> bool:
        """Whether bytes were taken since this was asked the last time."""
        seen, self._seen = self._seen, self._left
        return seen != self._left

    def _deliver(self) -> bool:
        """Hand what is held to the sink; False where it takes no more at present."""
        try:
            while self._first:
                written = os.write(self._sink, self._first)
                self._first = self._first[written:]
            self._pipe.deliver(self._sink)
        except BlockingIOError:
            return False
        return True

    def _take(self) -> int:
        """Fill the pipe from the source: bytes taken, 0 at its end, -1 where there are none yet."""
        try:
            taken = self._pipe.take(self._source, self._left)
        except BlockingIOError:
            return -1
        except OSError:
            return 0
        self._left -= taken
        return taken

    def _wait(self, descriptor: int | None) -> None:
        """Let the loop watch one of the two sockets, or none."""
        if descriptor == self._waits:
            return
        if self._waits == self._source:
            self._loop.remove_reader(self._source)
        elif self._waits is not None:
            self._loop.remove_writer(self._sink)
        self._waits = descriptor
        if descriptor == self._source:
            self._loop.add_reader(self._source, self._move)
        elif descriptor is not None:
            self._loop.add_writer(self._sink, self._move)

    def _finish(self, error: str | None) -> None:
        self.close()
        self._ended(error)

    def close(self) -> None:
        """Stop where it is and let go of every descriptor."""
        if self._sink < 0:
            return
        self._wait(None)
        os.close(self._source)
        os.close(self._sink)
        self._pipe.close()
        self._sink = -1
