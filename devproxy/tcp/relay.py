"""Two connected sockets joined: bytes both ways, untouched; a half-close or a reset of one side reaches the other.

Lives here: `Relay`, and `Flow`, one direction of it.
Not here: who is connected to whom (`connection.py`); tunnels of HTTP upgrades, whose ends belong to transports already
(`proxy/tunnel.py`).

How it works: the loop says when a socket can be read, and what was read is sent on at once, without a transport: one
recv(2) and one send(2) a piece, as nginx and HAProxy do it; through the loop's transports a query of a database costs a
third more. What the sink does not take is kept (at most one buffer), and nothing more is read until it has gone: memory
a connection is bounded, and none while it is idle. A piece that fills the buffer is the sign of a bulk transfer: from
then on the kernel moves the bytes (splice(2)), until the source has little to say again. There is no idle timeout; the
kernel probes a silent peer (`net/sockets.py`, `keep_alive`).

A side that fails: what had arrived from it is passed on before the other side is reset, so nobody loses an answer that
was sent before the end.
"""

import asyncio
import contextlib
import socket
from typing import Final, Protocol

from devproxy.net.kernel_pipe import KernelPipe, PipePool
from devproxy.net.sockets import is_reset, resets_at_close

_BUFFER: Final = bytearray(1 << 17)  # shared by all: what is left of a piece is copied
_VIEW: Final = memoryview(_BUFFER)
_BULK: Final = 1 << 16  # bytes: a turn that moves no more ends a bulk transfer
_TURN: Final = 4 << 20  # bytes moved in the kernel before other connections get their turn


class RelayOwner(Protocol):
    """Who looks after a relay."""

    loop: asyncio.AbstractEventLoop
    pipes: PipePool

    def watch_liveness(self, relay: "Relay") -> None:
        """Call its `check_liveness` now and then from now on."""

    def end_relay(self, relay: "Relay") -> None:
        """Both sides are about to be closed."""


class Relay:
    """Joins `client` and `service`, both connected and non-blocking, which are its own from now on.

    What the service sends is passed on at once, what the client sends from `begin` on.
    """

    __slots__ = ("_owner", "downward", "ended", "upward")

    def __init__(self, owner: RelayOwner, client: socket.socket, service: socket.socket):
        self._owner = owner
        self.ended = False
        self.upward = Flow(self, owner, client, service)
        self.downward = Flow(self, owner, service, client)

    def start(self) -> None:
        """Pass on what the service sends."""
        self.downward.start()

    def begin(self, first: bytes, *, finished: bool) -> None:
        """Pass on `first`, which the client has sent, then what it sends; `finished`: it has sent FIN behind that."""
        self.upward.start(first, finished=finished)

    def flow_ended(self) -> None:
        """A flow has come to its end, or cannot go on: its sink has failed."""
        for flow, other in ((self.upward, self.downward), (self.downward, self.upward)):
            if flow.broken and (other.finished or other.broken):
                self.break_off(flow.source)
                return
        if self.upward.finished and self.downward.finished:
            self.close()
        elif self.upward.finished or self.downward.finished:
            self._owner.watch_liveness(self)

    def break_off(self, rest: socket.socket) -> None:
        """One side has failed, and what had come from it is with the other, `rest`: that gets a reset."""
        if not self.ended:
            resets_at_close(rest)
            self.close()

    def close(self) -> None:
        """Close both sides."""
        if self.ended:
            return
        self.ended = True
        self.upward.stop()
        self.downward.stop()
        self._owner.end_relay(self)
        self.upward.source.close()
        self.downward.source.close()

    def check_liveness(self) -> bool:
        """Called now and then while one side has finished sending, and is not heard: a reset of it is passed on."""
        for flow in (self.upward, self.downward):
            if not self.ended and flow.finished and is_reset(flow.source):
                self.break_off(flow.sink)
        return not self.ended


class Flow:
    """One direction. `finished`: FIN came, and is passed on; `broken`: the sink has failed."""

    __slots__ = (
        "_eof",
        "_from",
        "_loop",
        "_pipe",
        "_pipes",
        "_relay",
        "_rest",
        "_to",
        "_waits",
        "began",
        "broken",
        "finished",
        "sink",
        "source",
    )

    def __init__(self, relay: Relay, owner: RelayOwner, source: socket.socket, sink: socket.socket):
        self._relay = relay
        self._loop = owner.loop
        self._pipes = owner.pipes
        self.source = source
        self.sink = sink
        self._from = source.fileno()
        self._to = sink.fileno()
        self._rest: memoryview | bytes = b""
        self._pipe: KernelPipe | None = None
        self._waits = False  # for the sink
        self._eof = False  # behind the rest
        self.began = False  # something has come from the source
        self.finished = False
        self.broken = False

    def start(self, first: bytes = b"", *, finished: bool = False) -> None:
        """Pass on `first`, then what can be read; `finished`: nothing can."""
        self._eof = finished
        if first:
            self._rest = first
            self._waits = True
            self._loop.add_writer(self._to, self._writable)
        else:
            self._go_on()

    def stop(self) -> None:
        """Look at neither side any more."""
        if self._waits:  # as statements: uvloop returns no bool here, and compiled code takes nothing else for a value
            self._loop.remove_writer(self._to)
        else:
            self._loop.remove_reader(self._from)
        self._waits = False
        self._rest = b""
        if self._pipe is not None:
            self._pipes.take_back(self._pipe)
            self._pipe = None

    def _readable(self) -> None:
        if self._pipe is not None:
            self._move()
            return
        try:
            count = self.source.recv_into(_BUFFER)
        except BlockingIOError:
            return
        except OSError:
            self._relay.break_off(self.sink)
            return
        if not count:
            self._finish()
            return
        self.began = True
        piece = _VIEW[:count]
        try:
            sent = self.sink.send(piece)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._break()
            return
        if count == len(_BUFFER):
            self._pipe = self._pipes.lend()
        if sent < count:
            self._rest = bytes(piece[sent:])
            self._wait()

    def _move(self) -> None:
        """A turn of a bulk transfer: from socket to socket inside the kernel."""
        pipe, moved = self._pipe, 0
        assert pipe is not None
        while moved < _TURN:
            try:
                taken = pipe.take(self._from)
            except BlockingIOError:
                if moved <= _BULK:
                    self._pipes.take_back(pipe)
                    self._pipe = None
                return
            except OSError:
                self._relay.break_off(self.sink)
                return
            if not taken:
                self._finish()
                return
            moved += taken
            try:
                pipe.deliver(self._to)
            except BlockingIOError:
                self._wait()
                return
            except OSError:
                self._break()
                return

    def _wait(self) -> None:
        """Read nothing more until the sink has taken what is left."""
        self._loop.remove_reader(self._from)
        self._waits = True
        self._loop.add_writer(self._to, self._writable)

    def _writable(self) -> None:
        try:
            if self._rest:
                sent = self.sink.send(self._rest)
                self._rest = memoryview(self._rest)[sent:]
                if self._rest:
                    return
                self._rest = b""
            if self._pipe is not None:
                self._pipe.deliver(self._to)
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        self._loop.remove_writer(self._to)
        self._waits = False
        self._go_on()

    def _go_on(self) -> None:
        if self._eof:
            self._finish()
        else:
            self._loop.add_reader(self._from, self._readable)

    def _finish(self) -> None:
        """Pass FIN on."""
        self.stop()
        self.finished = True
        with contextlib.suppress(OSError):  # the sink has gone: its own flow finds out
            self.sink.shutdown(socket.SHUT_WR)
        self._relay.flow_ended()

    def _break(self) -> None:
        """The sink has failed. What had come from it is still being passed on by the other flow, until its end."""
        self.stop()
        self.broken = True
        self._relay.flow_ended()
