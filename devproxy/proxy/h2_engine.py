"""HTTP/2 as bytes, for both sides of the proxy: the one module here that knows `ngh2`, which binds libnghttp2.

Lives here: the engine's names as the others may use them, and what every connection does alike: frames leave once a
turn of the loop, and windows open as bytes are taken.
Not here: what a stream means to a client (`h2.py`) or to a service (`h2_upstream.py`), header lists (`h2_fields.py`).
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from mypy_extensions import trait
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

from devproxy.http1.h2_fields import NO_ERROR

if TYPE_CHECKING:
    from devproxy.proxy.interfaces import ProxyState

__all__ = (
    "Connection",
    "ConnectionClosed",
    "ConnectionStateError",
    "DataReceived",
    "DenialOfServiceError",
    "EngineStream",
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
)

STREAM_WINDOW: Final = 1 << 18  # bytes of a body that may wait for whoever it is passed on to
_TRANSPORT_HIGH_WATER: Final = 1 << 18  # bytes of frames that may wait for the kernel
_HEADER_ROOM: Final = 4  # times the limit of a header, beyond which the connection ends instead of being answered
_HEADER_COUNT_ROOM: Final = 1024  # fields above `max_headers`, likewise
_HIGH_WATER: Final = 1 << 17  # bytes of a body that may wait in the engine before where it comes from is no longer read
_LOW_WATER: Final = 1 << 15
_SMALL_INCREMENT: Final = 1024  # bytes

# What the other end may do in vain: so many at once, and so many a second.
VAIN_BURST: Final = 1000.0
_VAIN_RATE: Final = 50.0
_AT_ONCE: Final = 1 << 18  # bytes of frames that are asked for at once


class EngineStream(Protocol):
    """A stream whose body may come faster than the other end takes it."""

    number: int

    def go_on(self) -> None:
        """The other end has caught up: read again where the body comes from."""


class Allowance:
    """What the other end may do in vain: below zero there was too much of it."""

    __slots__ = ("_at", "left")

    def __init__(self, now: float):
        self.left = VAIN_BURST
        self._at = now

    def use(self, now: float) -> None:
        """Once more."""
        if now > self._at:
            self.left = min(VAIN_BURST, self.left + (now - self._at) * _VAIN_RATE)
            self._at = now
        self.left -= 1


@trait
class FrameWriter:
    """How the frames of a connection leave, and what it means to either side that they do not."""

    proxy: "ProxyState"
    transport: asyncio.Transport
    _engine: Connection
    _choked: bool  # the transport takes no more
    _is_flushing: bool  # or will be, in this turn of the loop
    _owed_pause: dict[Any, None]  # EngineStreams whose bodies are not read where they come from, until these have left
    _allowance: "Allowance"
    _ends_when_sent: dict[int, int]  # streams that are reset as soon as what was said on them has left, with which code

    def _start_engine(self, role: Role, most_in: int, most_out: int) -> None:
        """Nothing has come, and nothing waits. `most_in`, `most_out`: bytes of a header section at most."""
        limits = Configuration(
            auto_window_update=False,
            max_inbound_header_list_size=most_in * _HEADER_ROOM,
            max_inbound_header_count=self.proxy.snapshot.settings.max_headers + _HEADER_COUNT_ROOM,
            max_send_header_block_length=most_out * _HEADER_ROOM,
        )
        self._engine = Connection(role, limits)
        self._choked = False
        self._is_flushing = False
        self._owed_pause = {}
        self._ends_when_sent = {}
        self._allowance = Allowance(self.proxy.clock)

    def _open(self, transport: asyncio.Transport, settings: dict[Setting, int], window: int) -> None:
        """Begin on a connection, with `settings` towards the other end and a `window` (bytes) for all its streams."""
        self.transport = transport
        transport.set_write_buffer_limits(_TRANSPORT_HIGH_WATER)
        self._engine.initiate_connection(settings)
        self._engine.set_local_window_size(window)

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
            self.proxy.loop.call_soon(self._flush_in_turn)

    def _flush_in_turn(self) -> None:
        """As the loop calls it, which ends no connection for what fails here."""
        try:
            self._flush()
        except Exception as error:
            self.proxy.report(error)
            self.transport.abort()

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
        """Count something that costs us and brings nobody anything."""
        self._allowance.use(self.proxy.clock)

    def _take(self, events: list[Event], handlers: Mapping[type, Callable[[Any, Any], None]]) -> None:
        """Let each event have its handler; those without one mean nothing here."""
        for event in events:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(self, event)

    def _window_updated(self, event: WindowUpdated) -> None:
        if event.increment < _SMALL_INCREMENT:
            self.in_vain()

    def _control_frame(self, _event: object) -> None:
        self.in_vain()

    def await_reader(self, stream: EngineStream) -> bool:
        """Whether so much waits for the other end that the body of `stream` is not to be read where it comes from,
        until that has left."""
        if self._engine.queued_body_size(stream.number) <= _HIGH_WATER:
            return False
        self._owed_pause[stream] = None
        return True

    def _go_on(self) -> None:
        """Read again what the other end has caught up with."""
        for stream in [one for one in self._owed_pause if self._engine.queued_body_size(one.number) <= _LOW_WATER]:
            self._owed_pause.pop(stream, None)
            stream.go_on()

    def end_when_sent(self, number: int, code: int = NO_ERROR) -> None:
        """Let the other end say no more on a stream once it has got what was said there (RFC 9113 §8.1)."""
        self._ends_when_sent[number] = code
        self.flush_soon()

    def _end_sent(self) -> bool:
        """End the streams on which all has left; whether there were any."""
        engine = self._engine
        ready = [number for number in self._ends_when_sent if not engine.queued_body_size(number)]
        for number in ready:
            engine.reset_stream(number, self._ends_when_sent.pop(number))
        return bool(ready)

    def _say_goodbye(self, last_stream: int, code: int) -> None:
        """Write what waits, and why nothing follows (GOAWAY, RFC 9113 §6.8)."""
        try:
            waiting = self._engine.data_to_send()
        except NGH2Error:  # it has refused what came, and says nothing more
            waiting = b""
        self.transport.write(waiting + _goaway(last_stream, code))

    def pause_writing(self) -> None:
        self._choked = True

    def resume_writing(self) -> None:
        self._choked = False
        self.flush_soon()


def _goaway(last_stream: int, code: int) -> bytes:
    return b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + last_stream.to_bytes(4, "big") + code.to_bytes(4, "big")
