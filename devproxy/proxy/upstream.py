"""A connection to a service, and the responses that come out of it.

Lives here: sending on it, and the reading of responses.
Not here: which service (`decide.py`), keeping connections for the next request (`pool.py`), what a failed attempt leads
to (`exchange.py`), connect() (`net/dial.py`).

How it works: a response head that equals the last one of its address is not read again (`ResponseHead`). After any
doubt about framing a connection is not used again.

A service may answer before it has read the whole request, and close: its answer is there, and RST behind it, when our
next write fails. What has arrived is read before that failure counts (RFC 9110 §15.5.14, RFC 9112 §9.6).
"""

import asyncio
from typing import Final, cast

from devproxy.http1.framing import CHUNKED, UNTIL_CLOSE, ChunkedReader, ChunkError, chunk, last_chunk
from devproxy.http1.grammar import Fault
from devproxy.http1.response import ENDLESS_INTERIM, INTERIM_LIMIT, ResponseHead, read_response_head
from devproxy.net.sockets import is_gone, undelivered, unread
from devproxy.proxy.interfaces import ResponseReceiver
from devproxy.proxy.pool import UpstreamAddress, UpstreamStream

IDLE_LIMIT: Final = 55.0  # seconds an unused connection is kept, unless the service's Keep-Alive says less
_HEAD: Final = -3  # `_left` while a response head is awaited
REMEMBERED: Final = 16384  # bytes of the longest response head that is kept to be compared with the next


class UpstreamConnection(asyncio.Protocol, UpstreamStream):
    """One connection to a service over HTTP/1.1: at most one exchange at a time."""

    __slots__ = (
        "_choked",
        "_held",
        "_informational",
        "_left",
        "_paused",
        "_reader",
        "_reusable",
        "address",
        "exchange",
    )

    def __init__(self, address: UpstreamAddress):
        self.address = address
        self.exchange: ResponseReceiver | None = None
        self.idle_since = 0.0
        self.idle_limit = IDLE_LIMIT
        self._held = b""
        self._left = _HEAD
        self._reader: ChunkedReader | None = None
        self._paused = False
        self._choked = False  # the service does not read what is sent to it
        self._reusable = True
        self._informational = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are Transports by shape, not by class
        self.address.opened.add(self)

    def begin(self, exchange: ResponseReceiver, head: bytes) -> None:
        self.exchange = exchange
        self._left = _HEAD
        self.transport.write(head)

    def begin_with_body(self, exchange: ResponseReceiver, head: bytes, body: bytes, trailers: bytes | None) -> None:
        self.exchange = exchange
        self._left = _HEAD
        if exchange.length == CHUNKED:
            body = chunk(body) if body else b""
            body += last_chunk(trailers) if trailers is not None else b""
        self.transport.write(head + body)

    def send_body(self, data: bytes) -> None:
        exchange = self.exchange
        self.transport.write(chunk(data) if exchange is not None and exchange.length == CHUNKED else data)

    def send_end(self, trailers: bytes) -> None:
        exchange = self.exchange
        if exchange is not None and exchange.length == CHUNKED:
            self.transport.write(last_chunk(trailers))

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:  # bytes nobody asked for: what they belong to is in doubt
            self.discard()
        elif self._left == _HEAD:
            response = self.address.last_response
            if (
                response is None
                or self._held
                or not data.startswith(response.head)
                or response.method is not exchange.head_method
            ):
                self._read_head(exchange, data)
            else:
                self._respond(exchange, response, data, len(response.head))
        elif self._left >= 0:
            self._fixed(exchange, data)
        elif self._left == CHUNKED:
            self._take_chunks(exchange, data)
        else:
            exchange.on_body(data)

    def _read_head(self, exchange: ResponseReceiver, data: bytes) -> None:
        buffer = self._held + data if self._held else data
        settings = exchange.settings
        while True:
            response = read_response_head(
                buffer,
                exchange.head_method,
                settings.max_response_header,
                settings.max_headers,
                self.address.last_response,
                checked=len(self._held),
                is_own=self.address.is_in_process,
                edit=self.address.response_edit,
            )
            if response is None:
                self._held = buffer
                return
            if isinstance(response, Fault):
                exchange.on_invalid(response)
                return
            if not response.is_interim:
                break
            self._informational += 1
            if self._informational > INTERIM_LIMIT:
                exchange.on_invalid(ENDLESS_INTERIM)
                return
            exchange.on_informational(response)
            buffer = buffer[len(response.head) :]
            self._held = b""
            if not buffer:
                return
        self._held = b""
        self._informational = 0
        if response.status == 101:
            exchange.on_switch(response, buffer[len(response.head) :])
            return
        pitfalls = response.pitfalls
        if pitfalls is not None:
            exchange.on_pitfalls(pitfalls)
        if len(response.head) <= REMEMBERED and (pitfalls is None or not pitfalls.insecure):
            self.address.last_response = response
        self._respond(exchange, response, buffer, len(response.head))

    def _respond(self, exchange: ResponseReceiver, response: ResponseHead, data: bytes, offset: int) -> None:
        """Pass on a response head with what came of its body."""
        self._reusable = response.reusable
        self.idle_limit = response.idle_limit
        length = response.length
        if length >= 0:
            left = length - len(data) + offset
            if left < 0:
                self._reusable = False
                exchange.on_head(response, data[offset : offset + length])
                self._end(exchange)
                return
            self._left = left
            exchange.on_head(response, data[offset:])
            if left == 0:
                self._end(exchange)
            return
        self._left = length
        if length == UNTIL_CLOSE:
            exchange.on_head(response, data[offset:])
            return
        self._reader = reader = ChunkedReader(of_response=True)
        try:
            payload = reader.feed(data[offset:])
        except ChunkError as fault:
            exchange.on_invalid(Fault(502, "upstream-invalid", str(fault)))
            return
        exchange.on_head(response, payload)
        if reader.done:
            self._end_chunked(exchange, reader)

    def _fixed(self, exchange: ResponseReceiver, data: bytes) -> None:
        left = self._left - len(data)
        if left < 0:
            self._reusable = False
            data = data[:left]
            left = 0
        self._left = left
        if left >= exchange.proxy.splice_from and exchange.splice_response(self.transport, data, left):
            return
        exchange.on_body(data)
        if left == 0:
            self._end(exchange)

    def _take_chunks(self, exchange: ResponseReceiver, data: bytes) -> None:
        reader = self._reader
        assert reader is not None
        try:
            payload = reader.feed(data)
        except ChunkError:
            exchange.cut()
            return
        if payload:
            exchange.on_body(payload)
        if reader.done and self.exchange is exchange:
            self._end_chunked(exchange, reader)

    def _end_chunked(self, exchange: ResponseReceiver, reader: ChunkedReader) -> None:
        if reader.rest:
            self._reusable = False
        self._reader = None
        self._end(exchange, reader.trailers)

    def _end(self, exchange: ResponseReceiver, trailers: bytes = b"") -> None:
        """The response is whole: keep this connection or close it, then let the exchange finish."""
        if self.exchange is not exchange:
            return
        self.exchange = None
        self._left = _HEAD
        address = self.address
        if not (self._reusable and exchange.request_done and len(address.idle) < address.capacity):
            self.discard()
        elif self._choked:
            self.transport.close()  # what it was sent and has not read yet still goes out
        else:
            self.idle_since = exchange.proxy.clock
            if self._paused:
                self.resume()
            address.idle.append(self)
        exchange.on_end(trailers)

    def finish_spliced(self, exchange: ResponseReceiver) -> None:
        self._left = 0
        self._paused = True  # not through us
        self._end(exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, OSError) and self.exchange is not None:
            rest = unread(self.transport)
            if rest:
                self.data_received(rest)
        address = self.address
        address.opened.discard(self)
        if self in address.idle:
            address.idle.remove(self)
        exchange = self.exchange
        self.exchange = None
        if exchange is None:
            pass
        elif self._left == UNTIL_CLOSE and exc is None:
            exchange.on_end(b"")
        elif self._left == _HEAD:
            exchange.on_closed(exc, answered=bool(self._held or self._informational))
        else:
            exchange.cut()
        if address.client is not None:
            address.client.retire()

    def move(self, address: UpstreamAddress) -> None:
        self.address.opened.discard(self)
        self.address = address
        address.opened.add(self)

    def detach(self) -> None:
        self.exchange = None
        self.address.opened.discard(self)

    def undelivered(self) -> int:
        return undelivered(self.transport)

    def splice_end(self) -> asyncio.Transport | None:
        return self.transport

    def discard(self) -> None:
        self.exchange = None
        if self in self.address.idle:
            self.address.idle.remove(self)
        self.transport.abort()

    def pause_writing(self) -> None:
        self._choked = True
        if self.exchange is not None:
            self.exchange.stream.pause()

    def resume_writing(self) -> None:
        self._choked = False
        if self.exchange is not None:
            self.exchange.stream.resume()

    def pause(self) -> None:
        if self.exchange is not None and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()
            self.exchange.proxy.watch_liveness(self)

    def resume(self) -> None:
        self._paused = False
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def check_liveness(self) -> bool:
        """Called now and then while this connection is not read: a service that is gone shows only when it is read."""
        exchange = self.exchange
        if exchange is None or exchange.splice is not None or self.transport.is_reading():
            return False
        if is_gone(self.transport):
            self.resume()  # what it sent before is bounded by the kernel's buffer
        return True
