"""HTTP/2 as bytes, for both sides of the proxy: the one module that knows `ngh2`, which binds libnghttp2.

Lives here: the engine's names as the others may use them, and what every connection does alike: frames leave once a
turn of the loop, and windows open as bytes are taken.
Not here: what a stream means to a client (`h2.py`) or to a service (`h2_upstream.py`), header lists (`h2_fields.py`).
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ngh2 import (
    Configuration,
    Connection,
    ConnectionClosed,
    ConnectionStateError,
    DataReceived,
    DenialOfServiceError,
    Event,
    GoAwayReceived,
    InformationalResponseReceived,
    NGH2Error,
    PingReceived,
    PriorityUpdateReceived,
    RequestReceived,
    ResponseReceived,
    Role,
    Setting,
    SettingsReceived,
    StreamClosed,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)

if TYPE_CHECKING:
    from devproxy.proxy.interfaces import ProxyState

__all__ = (
    "Configuration",
    "Connection",
    "ConnectionClosed",
    "ConnectionStateError",
    "DataReceived",
    "DenialOfServiceError",
    "Event",
    "FrameWriter",
    "GoAwayReceived",
    "InformationalResponseReceived",
    "NGH2Error",
    "PingReceived",
    "PriorityUpdateReceived",
    "RequestReceived",
    "ResponseReceived",
    "Role",
    "Setting",
    "SettingsReceived",
    "StreamClosed",
    "StreamReset",
    "TrailersReceived",
    "WindowUpdated",
    "goaway",
)

HIGH_WATER: Final = 1 << 17  # bytes of a body that may wait in the engine before where it comes from is no longer read
LOW_WATER: Final = 1 << 15
SMALL_INCREMENT: Final = 1024  # bytes

# What the other end may do in vain: so many at once, and so many a second.
VAIN_BURST: Final = 1000.0
_VAIN_RATE: Final = 50.0
_AT_ONCE: Final = 1 << 18  # bytes of frames that are asked for at once


class FrameWriter(asyncio.Protocol):
    """How the frames of a connection leave."""

    if not TYPE_CHECKING:
        __slots__ = ()  # its attributes are slots of its subclasses: two bases cannot have any

    proxy: "ProxyState"
    transport: asyncio.Transport
    _engine: Connection
    _choked: bool  # the transport takes no more
    _is_flushing: bool  # or will be, in this turn of the loop
    _vain: float
    _calm_at: float

    @property
    def engine(self) -> Connection:
        """The state of the connection, for its streams."""
        return self._engine

    def _flush(self) -> None:
        """Write what there is, and hear what has come of that."""
        raise NotImplementedError

    def flush_soon(self) -> None:
        """Write what there is at the end of this turn of the loop."""
        if not self._is_flushing:
            self._is_flushing = True
            self.proxy.loop.call_soon(self._flush)

    def _write_frames(self) -> bool:
        """Write what the transport takes; False where the engine has failed."""
        engine, transport = self._engine, self.transport
        while not self._choked and not transport.is_closing():
            try:
                frames = engine.data_to_send(_AT_ONCE)
            except NGH2Error:
                transport.abort()
                return False
            if not frames:
                break
            transport.write(frames)
            if len(frames) < _AT_ONCE:
                break
        return True

    def took(self, number: int, size: int) -> None:
        """Somebody has taken `size` bytes of a stream's body: as many more may come."""
        if size and not self.transport.is_closing():
            with suppress(NGH2Error):  # no stream goes on after this one
                self._engine.acknowledge_received_data(size, number)
            self.flush_soon()

    def in_vain(self) -> None:
        """Count something that costs us and brings nobody anything: below zero there is too much of it."""
        now = self.proxy.clock
        if now > self._calm_at:
            self._vain = min(VAIN_BURST, self._vain + (now - self._calm_at) * _VAIN_RATE)
            self._calm_at = now
        self._vain -= 1

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self.flush_soon()


def goaway(last_stream: int, code: int) -> bytes:
    """The frame GOAWAY (RFC 9113 §6.8)."""
    return b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + last_stream.to_bytes(4, "big") + code.to_bytes(4, "big")
