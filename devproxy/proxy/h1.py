"""HTTP/1.x on the client's side: bytes to requests.

Lives here: one connection of a client, request after request (RFC 9112 §9), pipelined ones in order.
Not here: grammar (`http1/grammar.py`), decisions (`decide.py`), the way back and the ends (`h1.py`).

How it works: while an exchange is under way, bytes of its body are passed to it and later bytes wait. A field section
equal to the one before it on this connection is not read again, and one with the same special fields keeps its
Reading.
"""

import asyncio
from contextlib import suppress
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, cast

from devproxy.http1.fields import Section, section
from devproxy.http1.framing import ChunkedReader, ChunkError
from devproxy.http1.grammar import END, Fault, RequestHead, early_fault, request_head
from devproxy.net.sockets import is_gone, reset
from devproxy.proxy.answers import Respond
from devproxy.proxy.decide import Control, Reading, absolute, decide, read, target_fault
from devproxy.proxy.error_pages import render
from devproxy.proxy.exchange import Exchange, HeldRequest
from devproxy.proxy.forward import Peer
from devproxy.proxy.gates import Dormant, shows_page
from devproxy.proxy.pool import UpstreamAddress
from devproxy.proxy.splice import SOURCE, WORTHWHILE
from devproxy.proxy.tunnel import join
from devproxy.routing.table import Route

if TYPE_CHECKING:
    from devproxy.proxy.server import LivenessWatched, Proxy


# A client's connection, whatever is asked on it: our own answers, the ends of exchanges, back-pressure and time.
#
# How it works: one exchange at a time. Deadlines are a number that one timer for all connections looks at
# (`server.py`).


HIGH_WATER: Final = 1 << 19  # bytes that may wait for the client before its service is no longer read
_LINGER: Final = 2.0  # seconds in which what a client still sends is thrown away, so that it can read our answer
_NEVER: Final = float("inf")


class ClientConnection(asyncio.Protocol):
    """One connection of a client. `deadline` is on the loop's clock; `keep_alive` whether it outlives its exchange."""

    __slots__ = (
        "_address",
        "_buffer",
        "_choked",
        "_eof",
        "_lingering",
        "_paused",
        "_route",
        "deadline",
        "exchange",
        "keep_alive",
        "peer",
        "proxy",
        "transport",
    )

    transport: asyncio.Transport
    _address: UpstreamAddress

    def __init__(self, proxy: "Proxy"):
        self.proxy = proxy
        self.exchange: Exchange | HeldRequest | None = None  # what its last request is waiting for
        self.keep_alive = True
        self.deadline = 0.0
        self.peer = Peer(b"", b"http", b"")
        self._buffer = b""  # bytes that wait for the exchange to end, or for the client to read
        self._choked = False  # over HIGH_WATER
        self._eof = False
        self._paused = False
        self._route: Route | None = None  # of the last request
        self._lingering = False

    def resume_requests(self, data: bytes) -> None:
        """Go on with bytes that waited while an exchange was under way."""
        raise NotImplementedError

    def no_more_comes(self) -> None:
        """The client has sent FIN, and what waited before it has been begun: a request that is not whole stays so."""
        raise NotImplementedError

    @property
    def head_is_partial(self) -> bool:
        """Whether part of a request head has come."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are Transports by shape, not by class
        self.transport.set_write_buffer_limits(HIGH_WATER)
        refusal = self.proxy.admit(self)
        if refusal is not None:
            self._write_answer(refusal, b"GET")
            transport.close()

    # Bytes out.

    def answer(self, respond: Respond, exchange: Exchange | HeldRequest) -> None:
        """End `exchange` with an answer of our own."""
        if self.exchange is not exchange:
            return
        if exchange.responded:
            self.cut(exchange)
            return
        exchange.status = respond.status
        if respond.close or not exchange.request_done:
            self.keep_alive = False
        self._write_answer(respond, exchange.method, exchange.fields, exchange.reading.minor)
        self.finished(exchange)

    def answer_plainly(self, respond: Respond, reading: Reading, fields: Section, method: bytes) -> None:
        """Answer a request that has no exchange. One with a body ends the connection: its body is not read."""
        if reading.length or respond.close:
            self.keep_alive = False
        self._write_answer(respond, method, fields, reading.minor)
        if not self.keep_alive:
            self._linger()
        else:
            self.deadline = self.proxy.clock + self.proxy.snapshot.settings.idle_timeout

    def refuse(self, respond: Respond, begun: bytes | bytearray = b"") -> None:
        """Answer bytes that are not a request, and end the connection; `begun` is how they begin."""
        self.keep_alive = False
        self._write_answer(respond, b"HEAD" if begun.startswith(b"HEAD ") else b"")
        self._linger()

    def _write_answer(self, respond: Respond, method: bytes, fields: Section | None = None, minor: int = 1) -> None:
        accept = None if fields is None else fields.any(b"accept")
        self.transport.write(
            render(
                respond,
                accept=accept,
                method=method,
                date=formatdate(usegmt=True),
                close=not self.keep_alive,
                minor=minor,
            )
        )

    def await_answer(self, exchange: Exchange) -> None:
        """The time to answer begins again: the request has come further. It is over once the answer has begun."""
        if not exchange.responded:
            self.deadline = self.proxy.clock + exchange.route.service.response_timeout

    def address_of(self, route: Route) -> UpstreamAddress:
        """The state of the address behind `route`; a TLS service has one for each name it is asked as."""
        if route is not self._route:
            upstream = route.service.upstream
            assert upstream is not None
            self._route = route
            self._address = self.proxy.pool.at(upstream, route.host if upstream.scheme == "https" else "")
        return self._address

    # The end of an exchange.

    def finished(self, exchange: Exchange | HeldRequest) -> None:
        """The response of `exchange` is written: go on with the next request, or end."""
        self.exchange = None
        proxy = self.proxy
        if proxy.access_log is not None:
            proxy.log(exchange)
        if not self.keep_alive or not exchange.request_done:
            self._linger()
            return
        self.deadline = _NEVER  # it may take its time to read the response
        if not self._choked:
            self._go_on()

    def _go_on(self) -> None:
        """Begin what waited; not before the client has read, or many requests at once would fill the memory."""
        self.deadline = self.proxy.clock + self.proxy.snapshot.settings.idle_timeout
        if self._paused:
            self.resume()
        if self._buffer:
            data, self._buffer = self._buffer, b""
            self.resume_requests(data)
        if self._eof:
            self.no_more_comes()

    def dispatch_again(self) -> None:
        """The service that a request waited for is up: read the request as if it came just now."""
        self.exchange = None
        if not self._choked:
            self._go_on()

    def skip(self, size: int, *, has_body: bool) -> None:
        """Leave out the head of a request that waited; one with a body ends the connection, as its body is not read."""
        self._buffer = self._buffer[size:]
        if has_body:
            self.keep_alive = False

    def _linger(self) -> None:
        """Close in a way that lets the client read what was written: send FIN, then throw away what still comes."""
        self.keep_alive = False
        self._buffer = b""
        if self._eof or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._lingering = True
        self._paused = True  # a body on its way may have been moved without the transport
        self.deadline = self.proxy.clock + _LINGER
        with suppress(OSError):  # it was reset, and the loop has not told us yet
            self.transport.write_eof()
        self.resume()

    def cut(self, exchange: Exchange | HeldRequest) -> None:
        """Break the response off, with RST, so that nobody takes it for whole."""
        if self.exchange is not exchange:
            return
        self.exchange = None
        reset(self.transport)
        if self.proxy.access_log is not None:
            self.proxy.log(exchange)

    def switch(self, exchange: Exchange, upstream: asyncio.Transport, first: bytes) -> None:
        """Become a tunnel to `upstream`; `first` is the handshake's answer and what came behind it."""
        self.exchange = None
        waiting, self._buffer = self._buffer, b""
        self.proxy.forget(self)
        join(self.proxy, self.transport, upstream, exchange.address.upstream)
        self.transport.write(first)
        if waiting:
            upstream.write(waiting)
        if self._eof and upstream.can_write_eof():
            upstream.write_eof()
        if self.proxy.access_log is not None:
            self.proxy.log(exchange)

    def hand_over(self, data: bytes) -> bytes:
        """Give the connection to devproxy's own pages, from this request on; nothing is left of `data`."""
        control = self.proxy.control
        if control is None:
            self.refuse(Respond(404, "unknown-host", "devproxy's own pages are not served here"))
            return b""
        self.proxy.forget(self)
        protocol = control()
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        assert isinstance(protocol, asyncio.Protocol)
        protocol.data_received(data)
        return b""

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy.forget(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.release()
            if self.proxy.access_log is not None:
                self.proxy.log(exchange)

    def pause_writing(self) -> None:
        self._choked = True
        if self.exchange is not None and self.exchange.upstream is not None:
            self.exchange.upstream.pause()

    def resume_writing(self) -> None:
        self._choked = False
        if self.exchange is None:
            if not self._lingering and not self.transport.is_closing():
                self._go_on()
        elif self.exchange.upstream is not None:
            self.exchange.upstream.resume()

    def pause(self) -> None:
        """Stop reading until `resume`: the service is slower than the client."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()
            self.proxy.liveness_watched.add(self)

    def resume(self) -> None:
        """Read again."""
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    # Time.

    def check_liveness(self, liveness_watched: "set[LivenessWatched]") -> None:
        """Called once a second while this connection is half-closed or not read: let go if nobody is there."""
        if self.exchange is None or not (self._eof or self._paused):
            liveness_watched.discard(self)
        elif is_gone(self.transport):
            self.transport.abort()

    def expire(self) -> None:
        """The deadline has passed."""
        exchange = self.exchange
        if exchange is not None and exchange.splice is not None and exchange.splice.progressed():
            self.await_answer(exchange)
        elif exchange is not None:
            self.answer(exchange.expired(), exchange)
        elif self.head_is_partial and not self._lingering:
            self.refuse(Respond(408, "request-timeout", "the request's header did not arrive in time", close=True))
        elif self._lingering and self.transport.get_write_buffer_size():
            self.deadline = self.proxy.clock + _LINGER  # it is still reading what was written
        else:
            self.transport.abort() if self._lingering or self._choked else self.transport.close()

    def retire(self) -> None:
        """The proxy is stopping: end now if nothing is under way, else after the response."""
        self.keep_alive = False
        if self.exchange is None and not self._lingering:
            self.transport.close()


_CUT_SHORT: Final = "the connection ended in the middle of the request's body"
_PIPELINE_LIMIT: Final = 65536  # bytes of later requests that wait before reading stops


class Http1Connection(ClientConnection):
    """One connection of a client that speaks HTTP/1.x."""

    __slots__ = ("_chunks", "_fields", "_left", "_partial", "_reading", "_skipped")

    def __init__(self, proxy: "Proxy"):
        super().__init__(proxy)
        self._partial: bytearray | None = None  # a head that is not complete
        self._fields: Section | None = None  # of the last request
        self._reading: Reading | None = None
        self._chunks: ChunkedReader | None = None
        self._left = 0
        self._skipped = False

    @property
    def head_is_partial(self) -> bool:
        """Whether part of a request head has come."""
        return self._partial is not None

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            if self._choked:
                self._hold(data)
            elif not self._lingering:
                self.resume_requests(data)
        elif not exchange.request_done:
            self._take_body(exchange, data)
        else:
            self._hold(data)

    def _hold(self, data: bytes) -> None:
        """Keep requests whose turn has not come."""
        self._buffer += data
        if len(self._buffer) > _PIPELINE_LIMIT:
            self.pause()

    def resume_requests(self, data: bytes) -> None:
        """Begin as many requests as `data` holds, up to the first that has to be waited for."""
        if self._partial is not None:
            one = len(self._partial) == 1  # it may be the CR of an empty line
            whole = bytes(self._partial) + data if one else self._complete(self._partial, data)
            if whole is None:
                return
            self._partial = None
            data = whole
        while data:
            if not self._skipped and data.startswith(b"\r\n"):  # one empty line before a request, RFC 9112 §2.2
                self._skipped = True
                data = data[2:]
                continue
            head = request_head(data)
            if head is None:
                self._complete(bytearray(), data)
                return
            if isinstance(head, Fault):
                self.refuse(Respond.to(head), data)
                return
            self._skipped = False
            data = self._begin(head, data)
            if self.exchange is not None or self._choked or self._lingering or self.transport.is_closing():
                break
        self._buffer = data

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
            self.refuse(Respond.to(_too_large(limit)), partial)
            return None
        fault = early_fault(partial, checked)
        if fault is not None:
            self.refuse(Respond.to(fault), partial)
        return None

    def _begin(self, head: RequestHead, data: bytes) -> bytes:
        """Decide about a request and set it going; returns the bytes behind it."""
        snapshot = self.proxy.snapshot
        method, target, minor, start, end = head
        raw = data[start : end - 4]
        reading, fields = self._reading, self._fields
        if fields is None or fields.raw != raw:
            read_fields = section(raw, snapshot.settings.max_headers)
            if isinstance(read_fields, Fault):
                return self._refuse_head(read_fields, data)
            self._fields = fields = read_fields
        if (
            reading is None
            or not reading.holds_for(fields, minor, snapshot.table)
            or end > snapshot.settings.max_header
            or target[0] != 0x2F
            or method == b"CONNECT"
        ):
            prepared = self._read(head, fields)
            if isinstance(prepared, Fault):
                return self._refuse_head(prepared, data)
            reading, head = prepared
            method, target = head[:2]
        self.keep_alive = reading.keep_alive and not self.proxy.draining
        decision = decide(reading, fields, method, target)
        if isinstance(decision, Route):
            gate = self.proxy.gates.get(decision.service.id) if self.proxy.gates else None
            if gate is None or (not isinstance(gate, Dormant) and not gate.refuse):
                exchange = Exchange(self, reading, fields, decision, head)
                if gate is not None:
                    exchange.added = gate.field
                return self._forward(exchange, data, end)
            if isinstance(gate, Dormant):
                return self._await_start(gate, HeldRequest(self, reading, fields, decision, head), data)
            decision = gate.refusal
        if isinstance(decision, Control):
            return self.hand_over(data)
        self.answer_plainly(decision, reading, fields, method)
        return data[end:]

    def _await_start(self, gate: Dormant, held: HeldRequest, data: bytes) -> bytes:
        """Have a service started that does not run: a page says so, any other request waits for it."""
        respond = gate.instead or (gate.late if self.proxy.draining else None)
        if respond is None:
            self.proxy.wake(gate.service.id)
            if not shows_page(held.method, held.reading, held.fields):
                self.exchange = held
                held.wait()
                if len(data) > _PIPELINE_LIMIT:
                    self.pause()
                return data
            respond = gate.page
        self.answer_plainly(respond, held.reading, held.fields, held.method)
        return data[held.size :]

    def _refuse_head(self, fault: Fault, data: bytes) -> bytes:
        self.refuse(Respond.to(fault), data)
        return b""

    def _read(self, head: RequestHead, fields: Section) -> tuple[Reading, RequestHead] | Fault:
        """A new Reading, and the head with its target in origin-form."""
        snapshot = self.proxy.snapshot
        method, target, minor, start, end = head
        if end > snapshot.settings.max_header:
            return _too_large(snapshot.settings.max_header)
        whole = absolute(method, target)
        fault = None if whole else target_fault(method, target)
        if fault is not None:
            return fault
        reading = read(fields, minor, snapshot.table, whole[0] if whole else None)
        if isinstance(reading, Fault):
            return reading
        self._reading = None if whole else reading
        return reading, (method, whole[1] if whole else target, minor, start, end)

    def _forward(self, exchange: Exchange, data: bytes, end: int) -> bytes:
        """Set a request going with what has come of its body; returns the bytes behind it."""
        self.exchange = exchange
        self.await_answer(exchange)
        rest = data[end:]
        if not exchange.request_done:
            self._left = exchange.length
            self._chunks = ChunkedReader() if exchange.length < 0 else None
            self._take_body(exchange, rest)
            rest = self._buffer
        if self.exchange is exchange:
            exchange.start()
        return rest

    def _take_body(self, exchange: Exchange, data: bytes) -> None:
        self.await_answer(exchange)
        chunks = self._chunks
        if chunks is None:
            left = self._left - len(data)
            if left < 0:
                self._buffer = data[left:]
                data = data[:left]
                left = 0
            self._left = left
            if left >= WORTHWHILE and exchange.splice_request(data, left, self._spliced):
                return
            if data:
                exchange.on_request_body(data)
            if left == 0:
                exchange.on_request_end(b"")
            return
        try:
            payload = chunks.feed(data)
        except ChunkError as fault:
            self._bad_body(exchange, str(fault))
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
        if not isinstance(exchange, Exchange):
            return
        exchange.splice = None
        if error == SOURCE:
            self._eof = True
            self._bad_body(exchange, _CUT_SHORT)
            return
        if not self.transport.is_closing():
            self.transport.resume_reading()
        if error is None:
            self._left = 0
            self.await_answer(exchange)
            exchange.on_request_end(b"")

    def _bad_body(self, exchange: Exchange, detail: str) -> None:
        """A fault in a body: the service must never see it end well."""
        exchange.release()
        if exchange.responded:
            self.cut(exchange)
        else:
            self.answer(Respond.to(Fault(400, "bad-request", detail)), exchange)

    def no_more_comes(self) -> None:
        exchange = self.exchange
        if exchange is None:
            self.transport.close()
        elif not exchange.request_done:  # it began behind others, or before its service was up
            self._bad_body(exchange, _CUT_SHORT)

    def eof_received(self) -> bool:
        """FIN. After a whole request it is a half-close: the response still goes out (RFC 9112 §9.6)."""
        exchange = self.exchange
        if exchange is None:
            return False
        if not exchange.request_done:
            self._eof = True
            self._bad_body(exchange, _CUT_SHORT)
            return False
        self._eof = True
        self.proxy.liveness_watched.add(self)
        return True


def _too_large(limit: int) -> Fault:
    return Fault(431, "header-too-large", f"the request's header is over the limit of {limit} bytes (max_header)")
