"""Two protocols of this process, connected as if by a socket: how devproxy's own pages are an upstream like any other.

Lives here: a pair of transports (asyncio's Transport interface) that hand each other's bytes over in the next turn of
the loop, with back-pressure and half-close. Bytes that are written are not copied.
"""

import asyncio
from typing import Any, Final, TypeVar

from devproxy.proxy.forward import Peer

_HIGH_WATER: Final = 1 << 16  # bytes that may wait for a reader that is paused before the writer is

P = TypeVar("P", bound=asyncio.Protocol)


def connect_in_process(client: P, server: asyncio.BaseProtocol, peer: Peer) -> P:
    """Connect `client` to `server`; the server sees `peer` as the other end. Returns the client."""
    assert isinstance(server, asyncio.Protocol)
    near, far = _Transport(client, {}), _Transport(server, {"peername": (peer.address.decode(), 0)})
    near.other, far.other = far, near
    server.connection_made(far)
    client.connection_made(near)
    return client


class _Transport(asyncio.Transport):
    """One end. What is written here is received by the protocol of `other`."""

    other: "_Transport"

    def __init__(self, protocol: asyncio.Protocol, extra: dict[str, Any]):
        self._about = extra  # not in the base's slot, which a compiled class never frees
        self._loop = asyncio.get_running_loop()
        self._protocol: asyncio.BaseProtocol = protocol
        self._waiting: list[bytes] = []  # what the other end wrote and our protocol has not received
        self._scheduled = False  # whether that is on its way
        self._paused = False
        self._stopped_writer = False  # the other end waits until ours has received what there is
        self._eof_sent = False
        self._eof_received = False
        self._closing = False
        self._lost = False
        self._error: Exception | None = None

    # What our protocol calls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._about.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self._closing and not self._eof_sent:
            self.other.take(bytes(data))

    def write_eof(self) -> None:
        if not self._eof_sent and not self._closing:
            self._eof_sent = True
            self.other.deliver_later()

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.other._waiting))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self.deliver_later()

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def is_closing(self) -> bool:
        return self._closing

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def close(self) -> None:
        """End; what was written before still arrives."""
        if not self._closing:
            self._closing = True
            self._waiting.clear()
            self._loop.call_soon(self._lose)
            self.other.deliver_later()

    def abort(self) -> None:
        self.other._waiting.clear()
        self.close()

    # What the other end calls

    def take(self, data: bytes) -> None:
        """Receive `data`, in the next turn of the loop."""
        if self._closing:
            return
        self._waiting.append(data)
        self.deliver_later()
        if self._paused and not self._stopped_writer and self.other.get_write_buffer_size() > _HIGH_WATER:
            self._stopped_writer = True
            self.other._protocol.pause_writing()

    def deliver_later(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        protocol = self._protocol
        assert isinstance(protocol, asyncio.Protocol)
        while self._waiting and not self._paused and not self._closing:
            data = b"".join(self._waiting)
            self._waiting.clear()
            try:
                protocol.data_received(data)
            except Exception as error:  # which ends the connection, as it does on a socket's
                self._loop.call_exception_handler({"message": "a protocol failed", "exception": error})
                self._error = error
                self.abort()
        if self._closing or self._waiting:
            return
        if self._stopped_writer:
            self._stopped_writer = False
            if not self.other._closing:
                self.other._protocol.resume_writing()
        if self.other._closing:
            self.close()
        elif self.other._eof_sent and not self._eof_received and not self._paused:
            self._eof_received = True
            if not protocol.eof_received():
                self.close()

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(self._error)
