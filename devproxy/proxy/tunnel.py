"""After a 101: bytes both ways; what ends as a half-close or a reset on one side ends so on the other.

Lives here: the two ends of a tunnel (RFC 9110 §7.8), each of which passes on what it reads and slows down for the
other. It knows two transports and who looks after them, no proxy: any two connections can be joined.
Not here: the handshake (`exchange.py`).

An idle tunnel costs its two sockets and two small objects; nothing looks at it until bytes or an end come.
"""

import asyncio
from typing import Protocol

from devproxy.net.sockets import is_gone, is_reset, reset, reset_when_sent, unread
from devproxy.registry.model import Upstream


class TunnelOwner(Protocol):
    """Who looks after tunnels."""

    def watch_liveness(self, watched: "TunnelEnd") -> None:
        """Call `check_liveness` of this end now and then from now on."""

    def end_tunnel(self, end: "TunnelEnd") -> None:
        """This end is closed."""


class TunnelEnd(asyncio.Protocol):
    """One side. `other` is set by `join`, which makes both; `upstream` is where the tunnel leads."""

    __slots__ = ("_finished", "other", "owner", "transport", "upstream")

    other: "TunnelEnd"

    def __init__(self, owner: TunnelOwner, transport: asyncio.Transport, upstream: Upstream):
        self.owner = owner
        self.transport = transport
        self.upstream = upstream
        self._finished = False  # its peer has sent FIN

    def data_received(self, data: bytes) -> None:
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()
            self.owner.watch_liveness(self.other)

    def resume_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """Pass a half-close on; the tunnel ends when both sides have finished."""
        self._finished = True
        other = self.other.transport
        if self.other._finished or not other.can_write_eof():
            return False
        if not other.is_closing():
            other.write_eof()
        self.owner.watch_liveness(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.owner.end_tunnel(self)
        other = self.other.transport
        if exc is None:
            other.close()
            return
        rest = unread(self.transport)
        if rest and not other.is_closing():
            other.write(rest)
        reset_when_sent(other)

    def check_liveness(self) -> bool:
        """Called now and then while this side is half-closed or not read: end the tunnel if nobody is there."""
        if not self._finished and not is_paused(self.transport):
            return False
        if not is_gone(self.transport):
            return True
        if not self._finished:
            self.transport.resume_reading()  # what it sent before the end is bounded by the kernel's buffer
            return True
        if is_reset(self.transport):
            reset(self.other.transport)
        self.transport.abort()
        self.other.transport.abort()
        return False


def is_paused(transport: asyncio.Transport) -> bool:
    """Whether nobody reads from `transport` at present."""
    return not transport.is_closing() and not transport.is_reading()


def join(
    client: asyncio.Transport, service: asyncio.Transport, owner: TunnelOwner, upstream: Upstream
) -> tuple[TunnelEnd, TunnelEnd]:
    """Make a tunnel of two connected transports; returns the client's end and the service's."""
    near, far = TunnelEnd(owner, client, upstream), TunnelEnd(owner, service, upstream)
    near.other, far.other = far, near
    client.set_protocol(near)
    service.set_protocol(far)
    for transport in (client, service):
        if is_paused(transport):
            transport.resume_reading()
    return near, far
