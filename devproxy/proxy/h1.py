"""HTTP/1.x on the client's side: bytes to requests, and answers to bytes.

Lives here: one connection of a client, request after request (RFC 9112 §9), pipelined ones in order; it is the
ClientStream of each of them. Framing towards the client, back-pressure, and how a connection ends.
Not here: grammar (`http1/`), what becomes of a request (`dispatch.py`), how long it may take (`exchange.py`).

How it works: one exchange at a time; while it is under way, bytes of its body are passed to it and later bytes wait.
A field section equal to the one before it on this connection is not read again, and one with the same special fields
keeps its Reading. The connection has a deadline of its own only while no exchange is under way; one timer for all looks
at both (`server.py`).

Over TLS nothing is half-closed: to the libraries of either side close_notify means that both ways end. So who ends its
side while it waits for an answer has gone, and how the connection ends is left to its transport (`tls_transport.py`).
"""

import asyncio
import time
from contextlib import suppress
from typing import Final, cast

from devproxy.http1.fields import Section, section
from devproxy.http1.framing import CHUNKED, ChunkedReader, ChunkError, chunk, delimited, last_chunk
from devproxy.http1.grammar import END, Fault, RequestHead, early_fault, head_too_large, known_request, request_head
from devproxy.http1.h2_fields import INTERNAL_ERROR
from devproxy.http1.response import ResponseHead, date_line
from devproxy.net.sockets import is_gone, reset
from devproxy.proxy.answers import Respond
from devproxy.proxy.decide import Reading, absolute, read, target_fault
from devproxy.proxy.dispatch import dispatch
from devproxy.proxy.exchange import NEVER, Exchange
from devproxy.proxy.forward import Peer
from devproxy.proxy.interfaces import ClientConnection, ClientStream, ProxyState, empty_request
from devproxy.proxy.pool import UpstreamAddress
from devproxy.proxy.splice import SOURCE
from devproxy.proxy.tunnel import join
from devproxy.routing.table import Route

HIGH_WATER: Final = 1 << 19  # bytes that may wait for the client before its service is no longer read
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\n"  # how HTTP/2 begins, up to its empty line (RFC 9113 §3.4)
_LINGER: Final = 2.0  # seconds after its last byte in which what a client still sends is thrown away, so that it can
_LINGER_MOST: Final = 30.0  # read our answer; and in all
_COPIED: Final = 1 << 16  # bytes that are copied into one write with what makes a chunk of them
_PIPELINE_LIMIT: Final = 65536  # bytes of later requests that wait before reading stops
_CUT_SHORT: Final = "the connection ended in the middle of the request's body"


class Http1Connection(ClientConnection, ClientStream):
    """One connection of a client that speaks HTTP/1.x."""

    __slots__ = (
        "_address",
        "_buffer",
        "_choked",
        "_chunked",
        "_chunks",
        "_eof",
        "_fields",
        "_is_reading_requests",
        "_left",
        "_lingering",
        "_lingers_until",
        "_owned",
        "_partial",
        "_paused",
        "_reading",
        "_route",
        "_skipped",
        "exchange",
        "proxy",
    )

    _address: UpstreamAddress

    def __init__(self, proxy: ProxyState):
        self.proxy = proxy
        self.exchange: Exchange | None = None  # what its last request has become
        self.keep_alive = True
        self.deadline = 0.0
        self.peer = Peer(b"", b"http", b"")
        self._buffer = b""  # bytes that wait for the exchange to end, or for the client to read
        self._choked = False  # over HIGH_WATER
        self._eof = False
        self._paused = False
        self._lingering = False
        self._lingers_until = 0.0
        self._is_reading_requests = False
        self._route: Route | None = None  # of the last request
        self._owned: dict[UpstreamAddress, UpstreamAddress] | None = None  # services' connections for this client alone
        self._partial: bytearray | None = None  # a head that is not complete
        self._fields: Section | None = None  # of the last request
        self._reading: Reading | None = None
        self._chunks: ChunkedReader | None = None  # of a request's body
        self._chunked = False  # the client gets chunked coding
        self._left = 0
        self._skipped = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are Transports by shape, not by class
        self.transport.set_write_buffer_limits(HIGH_WATER)
        refusal = self.proxy.admit(self)
        if refusal is not None:
            exchange = self._exchange_without_head(b"", b"")
            self.exchange = None
            exchange.status = refusal.status
            exchange.finish()
            self._write_answer(refusal, exchange)
            transport.close()

    # Requests.

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            if self._choked:
                self._keep(data)
            elif self._lingering:
                self.deadline = min(self.proxy.clock + _LINGER, self._lingers_until)
            else:
                self._read_requests(data)
        elif exchange.wants_body:
            self._take_body(exchange, data)
        else:
            self._keep(data)

    def _keep(self, data: bytes) -> None:
        """Keep bytes whose turn has not come."""
        self._buffer += data
        if len(self._buffer) > _PIPELINE_LIMIT:
            self.pause()
        exchange = self.exchange
        if exchange is not None and exchange in self.proxy.held:
            exchange.keep_waiting(len(data))

    def _read_requests(self, data: bytes) -> None:
        """Begin as many requests as `data` holds, up to the first that has to be waited for."""
        if self._partial is not None:
            one = len(self._partial) == 1  # it may be the CR of an empty line
            whole = bytes(self._partial) + data if one else self._complete(self._partial, data)
            if whole is None:
                return
            self._partial = None
            data = whole
        self._is_reading_requests = True
        while data:
            if not self._skipped and data.startswith(b"\r\n"):  # one empty line before a request, RFC 9112 §2.2
                self._skipped = True
                data = data[2:]
                continue
            head = request_head(data)
            if head is None:
                self._complete(bytearray(), data)
                data = b""
                break
            if isinstance(head, Fault):
                if not self._become_http2(data):
                    self._refuse(Respond.to(head, self.proxy.https_port), data)
                break
            self._skipped = False
            self._begin(head, data)
            data = self._buffer
            if self.exchange is not None or self._choked or self._lingering or self.transport.is_closing():
                break
            self._buffer = b""
        self._is_reading_requests = False

    def _complete(self, partial: bytearray, data: bytes) -> bytes | None:
        """Add to a head that is not complete; the bytes once it is. Looks at each byte once."""
        checked = max(0, len(partial) - 3)
        if not partial:
            self.deadline = self.proxy.clock + self.proxy.snapshot.settings.header_timeout
        partial += data
        if partial.find(END, checked) >= 0:
            self._partial = None
            return bytes(partial)
        self._partial = partial
        limit = self.proxy.snapshot.settings.max_header
        if len(partial) > limit:
            self._refuse(Respond.to(head_too_large(partial, limit)), partial)
            return None
        fault = early_fault(partial, checked)
        if fault is not None and not PREFACE.startswith(partial):
            self._refuse(Respond.to(fault, self.proxy.https_port), partial)
        return None

    def _become_http2(self, data: bytes) -> bool:
        """Give the connection to HTTP/2, where its client begins with that (RFC 9113 §3.3), and it is spoken here."""
        front = self.proxy.fronts.get("h2")
        if self._fields is not None or front is None or not data.startswith(PREFACE):
            return False
        self.proxy.forget(self)
        connection = front()
        self.transport.set_protocol(connection)
        connection.connection_made(self.transport)
        connection.data_received(data)
        return True

    def _begin(self, head: RequestHead, data: bytes) -> None:
        """Make an exchange of a request; the bytes behind its head are in the buffer then, but for those it took."""
        proxy = self.proxy
        settings = proxy.snapshot.settings
        method, target, minor, start, end = head
        raw = data[start : end - 4] if start < end - 4 else b""
        reading, fields = self._reading, self._fields
        if fields is None or fields.raw != raw:
            read_fields = section(raw, settings.max_headers)
            if isinstance(read_fields, Fault):
                self._refuse(Respond.to(read_fields), data)
                return
            self._fields = fields = read_fields
        if (
            reading is None
            or not reading.holds_for(fields, minor, proxy.snapshot.table)
            or end > settings.max_header
            or target[0] != 0x2F
            or method == b"CONNECT"
        ):
            limit = settings.max_header
            prepared = self._read(head, fields) if end <= limit else head_too_large(data[:end], limit)
            if isinstance(prepared, Fault):
                self._refuse(Respond.to(prepared), data)
                return
            reading, target = prepared
        self.keep_alive = reading.keep_alive and not proxy.draining
        self._buffer = data[end:]
        self.deadline = NEVER
        self.exchange = exchange = Exchange(self, method, target, reading, fields)
        dispatch(exchange)
        if self._buffer and len(self._buffer) > _PIPELINE_LIMIT and not exchange.ended:
            self.pause()

    def _read(self, head: RequestHead, fields: Section) -> tuple[Reading, bytes] | Fault:
        """A new Reading, and the target in origin-form."""
        method, target, minor, _, _ = head
        whole = absolute(method, target)
        fault = None if whole else target_fault(method, target)
        if fault is not None:
            return fault
        reading = read(fields, minor, self.proxy.snapshot.table, whole[0] if whole else None)
        if isinstance(reading, Fault):
            return reading
        self._reading = None if whole else reading
        if fields.binds and self._owned is None:
            self._owned = {}
            self._route = None
        return reading, whole[1] if whole else target

    def _refuse(self, respond: Respond, begun: bytes | bytearray) -> None:
        """Answer bytes that are not a request, and end the connection; `begun` is how they begin."""
        self._partial = None
        self._buffer = b""
        self.keep_alive = False
        exchange = self._exchange_without_head(*known_request(begun))
        exchange.answer(respond)

    def _exchange_without_head(self, method: bytes, target: bytes) -> Exchange:
        reading, fields = empty_request(self.proxy)
        exchange = Exchange(self, method, target, reading, fields)
        self.exchange = exchange
        return exchange

    # The request's body.

    def send_request_body(self, exchange: Exchange) -> None:
        if self._paused:  # it was held, and reads on
            self.resume()
        data, self._buffer = self._buffer, b""
        self._left = exchange.length
        self._chunks = ChunkedReader() if exchange.length < 0 else None
        self._take_body(exchange, data)
        if exchange.ended:
            return
        if self._eof and exchange.wants_body:  # it began behind others, or before its service was up
            exchange.refuse_body(Fault(400, "bad-request", _CUT_SHORT))
            return
        exchange.start()

    def _take_body(self, exchange: Exchange, data: bytes) -> None:
        exchange.progress()
        chunks = self._chunks
        if chunks is None:
            left = self._left - len(data)
            if left < 0:
                self._buffer = data[left:]
                data = data[:left]
                left = 0
            self._left = left
            if left >= self.proxy.splice_from and exchange.splice_request(data, left, self._spliced):
                return
            if data:
                exchange.on_request_body(data)
            if left == 0:
                exchange.on_request_end(b"")
            return
        try:
            payload = chunks.feed(data)
        except ChunkError as fault:
            exchange.refuse_body(Fault(400, "bad-request", str(fault)))
            return
        if payload:
            exchange.on_request_body(payload)
        if chunks.done:
            self._chunks = None
            self._buffer = chunks.rest
            exchange.on_request_end(chunks.trailers)

    def _spliced(self, error: str | None) -> None:
        """The body went past us, or one of the sides ended it early."""
        exchange = self.exchange
        if exchange is None:
            return
        exchange.splice = None
        if error == SOURCE:
            self._eof = True
            exchange.refuse_body(Fault(400, "bad-request", _CUT_SHORT))
            return
        if not self.transport.is_closing():
            self.transport.resume_reading()
        if error is None:
            self._left = 0
            exchange.progress()
            exchange.on_request_end(b"")

    def eof_received(self) -> bool:
        """FIN. After a whole request it is a half-close: the response still goes out (RFC 9112 §9.6)."""
        exchange = self.exchange
        if exchange is None and not self._waits_for_reader:
            return False
        self._eof = True
        if exchange is None:
            return True
        if exchange.wants_body:
            exchange.refuse_body(Fault(400, "bad-request", _CUT_SHORT))
            return False
        if self.peer.scheme == b"https" or is_gone(self.transport):  # all of it has ended, not only what it sends
            self.transport.abort()
            return False
        self.proxy.watch_liveness(self)
        return True

    # The stream of its exchange.

    def address_of(self, route: Route) -> UpstreamAddress:
        if route is not self._route:
            self._route = route
            address = self.proxy.pool.of_route(route)
            self._address = address if self._owned is None else self._own(self._owned, address)
        return self._address

    def _own(self, owned: dict[UpstreamAddress, UpstreamAddress], address: UpstreamAddress) -> UpstreamAddress:
        """What stands for `address` on a connection whose client a service knows by the connection."""
        if address.is_in_process:
            return address
        own = owned.get(address)
        if own is None:
            own = owned[address] = self.proxy.pool.own(address, self)
        return own

    def _bind(self, exchange: Exchange) -> None:
        """Keep the connection to the service for this client alone."""
        if exchange.upstream is None or exchange.address.client is not None:
            return
        if self._owned is None:
            self._owned = {}
        self._route = None
        exchange.address = self._own(self._owned, exchange.address)
        exchange.upstream.move(exchange.address)

    def _disown(self) -> None:
        for own in (self._owned or {}).values():
            self.proxy.pool.disown(own)
        self._owned = None

    def splice_end(self) -> asyncio.Transport | None:
        return self.transport

    def waiting(self) -> int:
        return len(self._buffer)

    def inform(self, response: ResponseHead) -> None:
        """Not to a client of HTTP/1.0, which knows no 1xx (RFC 9110 §15.2)."""
        exchange = self.exchange
        if exchange is not None and exchange.reading.minor:
            self.transport.write(response.towards(1, b""))

    def head(self, exchange: Exchange, response: ResponseHead, body: bytes) -> None:
        minor = exchange.reading.minor
        head = response.plain
        if not (head and minor and exchange.request_done and self.keep_alive):
            head = self._head_of(exchange, response)
        if response.length == CHUNKED and minor:
            self._chunked = True
            body = chunk(body) if body else body
        if exchange.added:
            head = head[:-2] + exchange.added + b"\r\n"
        self.transport.write(head + body if body else head)

    def _head_of(self, exchange: Exchange, response: ResponseHead) -> bytes:
        """A head that has to be made: no Date, a connection that ends or binds, or a client of HTTP/1.0."""
        minor = exchange.reading.minor
        if not (exchange.request_done and delimited(response.length, minor)):
            self.keep_alive = False
        if response.binds:
            self._bind(exchange)
        if self.keep_alive and minor and response.undated:
            return response.undated + date_line(int(time.time()))
        connection = b"" if self.keep_alive and minor else b"keep-alive" if self.keep_alive else b"close"
        head = response.towards(minor, connection)
        return head if response.is_dated else head[:-2] + date_line(int(time.time()))

    def body(self, data: bytes) -> None:
        if not self._chunked:
            self.transport.write(data)
        elif len(data) <= _COPIED:
            self.transport.write(chunk(data))
        else:  # the end by write: asyncio's writelines asks for no pause in CPython 3.12.0–8, 3.13.0–1 (CVE-2024-12254)
            self.transport.writelines((b"%x\r\n" % len(data), data))
            self.transport.write(b"\r\n")

    def end(self, exchange: Exchange, trailers: bytes) -> None:
        """And go on with the next request, or end."""
        if self._chunked:
            self._chunked = False
            self.transport.write(last_chunk(trailers))
        self.exchange = None
        if not self.keep_alive or not exchange.request_done:
            self._linger()
        elif not self._choked:  # else it may take its time to read the response
            self.deadline = self.proxy.clock + self.proxy.snapshot.settings.idle_timeout
            if (self._buffer or self._paused or self._eof) and not self._is_reading_requests:
                self._go_on()

    def answer(self, exchange: Exchange, respond: Respond) -> None:
        if respond.close or not exchange.request_done:
            self.keep_alive = False  # what is left of its body is not read
        self._write_answer(respond, exchange)
        self.end(exchange, b"")

    def cut(self, exchange: Exchange, code: int = INTERNAL_ERROR) -> None:
        """With RST."""
        if self.exchange is exchange:  # else one behind it has begun, and ends with the connection
            self.exchange = None
        self._chunked = False
        reset(self.transport)

    def switch(self, exchange: Exchange, service: asyncio.Transport, response: ResponseHead, first: bytes) -> None:
        self.exchange = None
        waiting, self._buffer = self._buffer, b""
        self.proxy.forget(self)
        near, far = join(self.transport, service, self.proxy, exchange.address.upstream)
        self.proxy.tunnels.add(near)
        self.proxy.tunnels.add(far)
        self.transport.write(response.towards(1, b"")[:-2] + exchange.added + b"\r\n" + first)
        if waiting:
            service.write(waiting)
        if self._eof and service.can_write_eof():
            service.write_eof()
        self._disown()

    def _write_answer(self, respond: Respond, exchange: Exchange) -> None:
        self.transport.write(exchange.rendered(respond, close=not self.keep_alive))

    # Between exchanges, and the end of the connection.

    def _go_on(self) -> None:
        """Begin what waited; not before the client has read, or many requests at once would fill the memory."""
        if self._paused:
            self.resume()
        if self._buffer:
            data, self._buffer = self._buffer, b""
            self._read_requests(data)
        if self._eof and self.exchange is None and not self._waits_for_reader:
            self.transport.close()

    @property
    def _waits_for_reader(self) -> bool:
        """Whether there are requests whose turn comes once the client has read what was answered before."""
        return bool(self._choked and self._buffer) and not self._lingering

    def _linger(self) -> None:
        """Close in a way that lets the client read what was written: send FIN, then throw away what still comes, as
        a transport of TLS does by itself."""
        self.keep_alive = False
        self._buffer = b""
        if self._eof or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._lingering = True
        self._paused = True  # a body on its way may have been moved without the transport
        self.deadline = self.proxy.clock + _LINGER
        self._lingers_until = self.proxy.clock + _LINGER_MOST
        with suppress(OSError):  # it was reset, and the loop has not told us yet
            self.transport.write_eof()
        self.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy.forget(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abandon()
        if self._owned is not None:
            self._disown()

    def pause_writing(self) -> None:
        self._choked = True
        if self.exchange is not None and self.exchange.upstream is not None:
            self.exchange.upstream.pause()

    def resume_writing(self) -> None:
        self._choked = False
        if self.exchange is None:
            if not self._lingering and not self.transport.is_closing():
                self.deadline = self.proxy.clock + self.proxy.snapshot.settings.idle_timeout
                self._go_on()
        elif self.exchange.upstream is not None:
            self.exchange.upstream.resume()

    def pause(self) -> None:
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()
            self.proxy.watch_liveness(self)

    def resume(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def check_liveness(self) -> bool:
        """Called now and then while this connection is half-closed or not read: let go if nobody is there."""
        if self.exchange is None or not (self._eof or self._paused):
            return False
        if is_gone(self.transport):
            self.transport.abort()
        return True

    def expire(self) -> None:
        """The deadline has passed, and no exchange is under way."""
        if self._partial is not None and not self._lingering:
            late = Respond(408, "request-timeout", "the request's header did not arrive in time", close=True)
            self._refuse(late, self._partial)
        elif self._lingering and self.transport.get_write_buffer_size():
            self.deadline = self.proxy.clock + _LINGER  # it still reads what was written
        elif self._lingering or self._choked:
            self.transport.abort()
        else:
            self.transport.close()

    def retire(self) -> None:
        """The proxy is stopping: end now if nothing is under way, else after the response."""
        self.keep_alive = False
        if self.exchange is None and not self._lingering:
            self.transport.close()
