"""After a 101: bytes both ways, half-close kept.

Lives here: the two ends of a tunnel (RFC 9110 §7.8), each of which passes on what it reads and slows down for the
other. Not here: the handshake (`exchange.py`).

An idle tunnel costs its two sockets and two small objects; nothing looks at it until bytes or an end come.
"""

import asyncio
from typing import TYPE_CHECKING

from devproxy.net.sockets import is_gone
from devproxy.registry.model import Upstream

if TYPE_CHECKING:
    from devproxy.proxy.server import LivenessWatched, Proxy


class TunnelEnd(asyncio.Protocol):
    """One side. `other` is set by `join`, which makes both; `upstream` is where the tunnel leads."""

    __slots__ = ("_finished", "other", "proxy", "transport", "upstream")

    other: "TunnelEnd"

    def __init__(self, proxy: "Proxy", transport: asyncio.Transport, upstream: Upstream):
        self.proxy = proxy
        self.transport = transport
        self.upstream = upstream
        self._finished = False  # its peer has sent FIN

    def data_received(self, data: bytes) -> None:
        self.other.transport.write(data)

    def pause_writing(self) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.pause_reading()
            self.proxy.watch_liveness(self.other)

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
        self.proxy.watch_liveness(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy.end_tunnel(self)
        if exc is None:
            self.other.transport.close()
        else:
            self.other.transport.abort()

    def check_liveness(self, liveness_watched: "set[LivenessWatched]") -> None:
        """Called once a second while this side is half-closed or not read: end the tunnel if nobody is there."""
        if not self._finished and not is_paused(self.transport):
            liveness_watched.discard(self)
        elif is_gone(self.transport):
            self.transport.abort()
            self.other.transport.abort()


def is_paused(transport: asyncio.Transport) -> bool:
    """Whether nobody reads from `transport` at present."""
    return not transport.is_closing() and not transport.is_reading()


def join(proxy: "Proxy", client: asyncio.Transport, service: asyncio.Transport, upstream: Upstream) -> None:
    """Make a tunnel of two connected transports."""
    near, far = TunnelEnd(proxy, client, upstream), TunnelEnd(proxy, service, upstream)
    near.other, far.other = far, near
    client.set_protocol(near)
    service.set_protocol(far)
    proxy.tunnels.add(near)
    proxy.tunnels.add(far)
    for transport in (client, service):
        if is_paused(transport):
            transport.resume_reading()
