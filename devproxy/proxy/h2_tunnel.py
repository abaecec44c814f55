"""A stream of HTTP/2 as a transport, so that a tunnel can be made of it (RFC 8441 §5).

Lives here: asyncio's Transport interface over DATA frames, for a client's stream and for a service's: windows as
back-pressure, END_STREAM as the half-close, RST_STREAM as the abort.
Not here: the tunnel (`tunnel.py`), what else a stream is (`h2.py`, `h2_upstream.py`).
"""

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, cast

from devproxy.http1.h2_fields import CANCEL

if TYPE_CHECKING:
    from devproxy.proxy.h2_engine import FrameWriter


class TunnelStream(Protocol):
    """A stream of either side that has become a tunnel."""

    number: int

    def go_on(self) -> None:
        """The other end has caught up."""

    def left(self) -> None:
        """The tunnel is over, and hears no more of the stream."""


class StreamTransport(asyncio.Transport):
    """A stream as a transport, for a tunnel: what is written leaves as DATA (RFC 8441 §5)."""

    def __init__(self, stream: TunnelStream, connection: "FrameWriter"):
        self._stream = stream  # the base's slot stays empty: a compiled class never frees it
        self._connection = connection
        self._protocol: asyncio.Protocol | None = None
        self._received = b""  # while reading is paused
        self._has_finished = False  # the other end says no more
        self._told_of_end = False
        self._paused = False
        self._writer_paused = False
        self._eof_sent = False
        self._closing = False
        self._lost = False

    # What the tunnel calls.

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is no socket of its own, so it tells how it is reset (`net/sockets.py`)."""
        return self._reset_when_sent if name == "reset_when_sent" else default

    def is_closing(self) -> bool:
        return self._closing or self._lost

    def is_reading(self) -> bool:
        return not self._paused

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        data, self._received = self._received, b""
        self.receive(data, is_last=self._has_finished)

    def can_write_eof(self) -> bool:
        return True

    @property
    def _is_over(self) -> bool:
        """Whether nothing can be sent any more: the stream has gone, or its connection goes."""
        return self._lost or self._connection.transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return 0 if self._is_over else self._connection.engine.queued_body_size(self._stream.number)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not data or self._is_over or self._eof_sent:
            return
        self._connection.engine.send_data(self._stream.number, data)
        self._connection.flush_soon()
        if not self._writer_paused and self._connection.await_reader(self._stream):
            self._writer_paused = True
            assert self._protocol is not None
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        if not self._is_over and not self._eof_sent:
            self._eof_sent = True
            self._connection.engine.end_stream(self._stream.number)
            self._connection.flush_soon()

    def close(self) -> None:
        """End; what was written before still leaves."""
        if not self._closing and not self._lost:
            self._closing = True
            self.write_eof()
            if not self._has_finished:
                self._connection.end_when_sent(self._stream.number)
            self._connection.proxy.loop.call_soon(self._lose_now)

    def _reset_when_sent(self) -> None:
        """End as a connection ends that is reset (RFC 8441 §5); what was written before still leaves."""
        if self._closing or self._lost:
            return
        self._closing = True
        if not self._is_over and not (self._eof_sent and self._has_finished):
            self._connection.end_when_sent(self._stream.number, CANCEL)
        self._connection.proxy.loop.call_soon(self._lose_now)

    def abort(self) -> None:
        if self._lost:
            return
        self._closing = True
        if not self._is_over and not (self._eof_sent and self._has_finished):
            self._connection.engine.reset_stream(self._stream.number, CANCEL)
            self._connection.flush_soon()
        self._connection.proxy.loop.call_soon(self._lose_now)

    def _lose_now(self) -> None:
        self._stream.left()
        self.lose(None)

    # What the stream calls.

    def receive(self, data: bytes, *, is_last: bool) -> None:
        """The other end has sent `data`, and says no more where it `is_last`."""
        self._has_finished = is_last
        if self._closing or self._lost or self._protocol is None:
            self._connection.took(self._stream.number, len(data))
        elif self._paused:
            self._received += data  # the window bounds it
        else:
            if data:
                self._protocol.data_received(data)
                self._connection.took(self._stream.number, len(data))
            if is_last and not self._told_of_end:
                self._told_of_end = True
                if not self._protocol.eof_received():
                    self.close()

    def sent(self) -> None:
        """The other end has caught up."""
        if self._writer_paused and self._protocol is not None:
            self._writer_paused = False
            self._protocol.resume_writing()

    def closed(self) -> None:
        """The stream is gone, whoever ended it."""
        self.lose(None if self._eof_sent and self._has_finished else ConnectionResetError("the stream was reset"))

    def lose(self, error: Exception | None) -> None:
        """It is over."""
        if not self._lost:
            self._lost = True
            self._connection.took(self._stream.number, len(self._received))
            self._received = b""
            if self._protocol is not None:
                self._protocol.connection_lost(error)
