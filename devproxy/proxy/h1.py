"""The client's side of HTTP/1.x: bytes in, requests out, and the way back.

Lives here: one connection of a client, request after request (RFC 9112 §9), pipelined ones in order.
Not here: grammar (`grammar.py`), decisions (`decide.py`), the request's way to its service (`exchange.py`).

How it works: one exchange at a time; while it runs, bytes of its body are passed to it and later bytes wait. A field section equal
to the one before it on this connection keeps its Reading. Deadlines are a number that one timer for all connections looks at.
"""

import asyncio
import socket
import struct
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, cast

from devproxy.net.liveness import is_gone
from devproxy.proxy.decide import CONTROL, Reading, Respond, absolute, decide, read, target_fault
from devproxy.proxy.exchange import Exchange
from devproxy.proxy.forward import Origin
from devproxy.proxy.framing import BadChunk, ChunkedReader
from devproxy.proxy.grammar import END, Fault, RequestHead, early_fault, request_head, section
from devproxy.proxy.outcome import no_upstream, unsupported
from devproxy.proxy.pages import render
from devproxy.proxy.tunnel import join
from devproxy.routing.table import Route

if TYPE_CHECKING:
    from devproxy.proxy.server import Proxy, Suspect

_PIPELINE_LIMIT: Final = 65536  # bytes of later requests that wait before reading stops
_LINGER: Final = 2.0  # seconds in which what a client still sends is thrown away, so that it can read our answer
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close sends RST, socket(7)
_SPOKEN: Final = frozenset(("http", "https"))


class ClientConnection(asyncio.Protocol):
    """One connection of a client. `deadline` is on the loop's clock; `keep_alive` whether it outlives its exchange."""

    __slots__ = (
        "_buffer",
        "_chunks",
        "_eof",
        "_left",
        "_lingering",
        "_partial",
        "_paused",
        "_reading",
        "_skipped",
        "deadline",
        "exchange",
        "keep_alive",
        "origin",
        "proxy",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, proxy: "Proxy"):
        self.proxy = proxy
        self.exchange: Exchange | None = None
        self.keep_alive = True
        self.deadline = 0.0
        self.origin = Origin(b"", b"http", b"")
        self._buffer = b""  # whole bytes that wait for the exchange to end
        self._partial: bytearray | None = None  # a head that is not complete
        self._reading: Reading | None = None
        self._chunks: ChunkedReader | None = None
        self._left = 0
        self._eof = False
        self._paused = False
        self._lingering = False
        self._skipped = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are Transports by shape, not by class
        refusal = self.proxy.admit(self)
        if refusal is not None:
            self._write_answer(refusal, b"GET")
            transport.close()

    # Bytes in.

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            if not self._lingering:
                self._take(data)
        elif not exchange.request_done:
            self._take_body(exchange, data)
        else:
            self._buffer += data
            if len(self._buffer) > _PIPELINE_LIMIT:
                self.pause()

    def _take(self, data: bytes) -> None:
        """Begin as many requests as `data` holds, up to the first that has to be waited for."""
        if self._partial is not None:
            whole = self._complete(self._partial, data)
            if whole is None:
                return
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
                self._refuse(Respond.to(head))
                return
            self._skipped = False
            data = self._begin(head, data)
            if self.exchange is not None or self._lingering or self.transport.is_closing():
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
            self._refuse(Respond.to(_too_large(limit)))
            return None
        fault = early_fault(partial, checked)
        if fault is not None:
            self._refuse(Respond.to(fault))
        return None

    def _begin(self, head: RequestHead, data: bytes) -> bytes:
        """Decide about a request and set it going; returns the bytes behind it."""
        snapshot = self.proxy.snapshot
        method, target, minor, fields, end = head
        raw = data[fields:end]
        reading = self._reading
        if (
            reading is None
            or reading.fields.raw != raw
            or reading.table is not snapshot.table
            or reading.minor != minor
            or end > snapshot.settings.max_header
            or target[0] != 0x2F
            or method == b"CONNECT"
        ):
            prepared = self._read(head, raw)
            if isinstance(prepared, Fault):
                self._refuse(Respond.to(prepared))
                return b""
            reading, target = prepared
        self.keep_alive = reading.keep_alive and not self.proxy.draining
        decision = decide(reading, method, target)
        if decision.__class__ is Route:
            return self._forward(reading, decision, method, target, data, end)
        if decision is CONTROL:
            self._hand_over(data)
            return b""
        assert isinstance(decision, Respond)
        self._answer(decision, reading, method)
        return data[end:]

    def _read(self, head: RequestHead, raw: bytes) -> tuple[Reading, bytes] | Fault:
        """A new Reading, and the target in origin-form."""
        snapshot = self.proxy.snapshot
        if head.end > snapshot.settings.max_header:
            return _too_large(snapshot.settings.max_header)
        fields = section(raw, snapshot.settings.max_headers)
        if isinstance(fields, Fault):
            return fields
        whole = absolute(head.target)
        fault = None if whole else target_fault(head.method, head.target)
        if fault is not None:
            return fault
        reading = read(fields, head.minor, snapshot.table, whole[0] if whole else None)
        if isinstance(reading, Fault):
            return reading
        self._reading = None if whole else reading
        return reading, whole[1] if whole else head.target

    def _forward(self, reading: Reading, route: Route, method: bytes, target: bytes, data: bytes, end: int) -> bytes:
        upstream = route.service.upstream
        if upstream is None or upstream.scheme not in _SPOKEN:
            refusal = no_upstream(route.service) if upstream is None else unsupported(route.service, upstream.scheme)
            self._answer(refusal, reading, method)
            return data[end:]
        self.exchange = exchange = Exchange(self, reading, route, method, target)
        self.deadline = self.proxy.clock + route.service.response_timeout
        rest = data[end:]
        if not exchange.request_done:
            self._left = reading.length
            self._chunks = ChunkedReader() if reading.length < 0 else None
            self._take_body(exchange, rest)
            rest = b""
        if self.exchange is exchange:
            exchange.start()
        return rest

    def _take_body(self, exchange: Exchange, data: bytes) -> None:
        self.deadline = self.proxy.clock + exchange.route.service.response_timeout
        chunks = self._chunks
        if chunks is None:
            left = self._left - len(data)
            if left < 0:
                self._buffer = data[left:]
                data = data[:left]
                left = 0
            self._left = left
            if data:
                exchange.on_request_body(data)
            if left == 0:
                exchange.on_request_end(b"")
            return
        try:
            payload = chunks.feed(data)
        except BadChunk as fault:
            self._bad_body(exchange, str(fault))
            return
        if payload:
            exchange.on_request_body(payload)
        if chunks.done:
            self._chunks = None
            self._buffer = chunks.rest
            exchange.on_request_end(chunks.trailers)

    def _bad_body(self, exchange: Exchange, detail: str) -> None:
        """A fault in a body: the service must never see it end well."""
        exchange.release()
        if exchange.responded:
            self.cut(exchange)
        else:
            self.answer(Respond.to(Fault(400, "bad-request", detail)), exchange)

    # Bytes out.

    def write(self, data: bytes) -> None:
        """Pass on bytes of a response."""
        self.transport.write(data)

    def answer(self, respond: Respond, exchange: Exchange) -> None:
        """End `exchange` with an answer of our own."""
        if self.exchange is not exchange:
            return
        if exchange.responded:
            self.cut(exchange)
            return
        exchange.status = respond.status
        if respond.close or not exchange.request_done:
            self.keep_alive = False
        self._write_answer(respond, exchange.method, exchange.reading)
        self.finished(exchange)

    def _answer(self, respond: Respond, reading: Reading, method: bytes) -> None:
        """Answer a request that has no exchange. One with a body ends the connection: its body is not read."""
        if reading.length or respond.close:
            self.keep_alive = False
        self._write_answer(respond, method, reading)
        if not self.keep_alive:
            self._linger()
        else:
            self.deadline = self.proxy.clock + self.proxy.snapshot.settings.idle_timeout

    def _refuse(self, respond: Respond) -> None:
        """Answer bytes that are not a request, and end the connection."""
        self._partial = None
        self.keep_alive = False
        self._write_answer(respond, b"")
        self._linger()

    def _write_answer(self, respond: Respond, method: bytes, reading: Reading | None = None) -> None:
        accept = None if reading is None else reading.fields.value(b"accept")
        self.transport.write(
            render(
                respond,
                accept=accept,
                method=method,
                date=formatdate(usegmt=True),
                close=not self.keep_alive,
                minor=1 if reading is None else reading.minor,
            )
        )

    # The end of an exchange.

    def finished(self, exchange: Exchange) -> None:
        """The response of `exchange` is written: go on with the next request, or end."""
        self.exchange = None
        proxy = self.proxy
        if proxy.access_log is not None:
            proxy.log(exchange)
        if not self.keep_alive or not exchange.request_done:
            self._linger()
            return
        self.deadline = proxy.clock + proxy.snapshot.settings.idle_timeout
        if self._paused:
            self.resume()
        if self._buffer:
            data, self._buffer = self._buffer, b""
            self._take(data)
        if self._eof and self.exchange is None:
            self.transport.close()

    def _linger(self) -> None:
        """Close in a way that lets the client read what was written: send FIN, then throw away what still comes."""
        self.keep_alive = False
        self._buffer = b""
        if self._eof or not self.transport.can_write_eof():
            self.transport.close()
            return
        self._lingering = True
        self.deadline = self.proxy.clock + _LINGER
        self.transport.write_eof()
        self.resume()

    def cut(self, exchange: Exchange) -> None:
        """Break the response off, with RST, so that nobody takes it for whole."""
        if self.exchange is not exchange:
            return
        self.exchange = None
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()
        if self.proxy.access_log is not None:
            self.proxy.log(exchange)

    def switch(self, exchange: Exchange, upstream: asyncio.Transport, first: bytes) -> None:
        """Become a tunnel to `upstream`; `first` is the handshake's answer and what came behind it."""
        self.exchange = None
        waiting, self._buffer = self._buffer, b""
        self.proxy.forget(self)
        join(self.proxy, self.transport, upstream)
        self.transport.write(first)
        if waiting:
            upstream.write(waiting)
        if self._eof and upstream.can_write_eof():
            upstream.write_eof()
        if self.proxy.access_log is not None:
            self.proxy.log(exchange)

    def _hand_over(self, data: bytes) -> None:
        """Give the connection to devproxy's own pages, from this request on."""
        control = self.proxy.control
        if control is None:
            self._refuse(Respond(404, "unknown-host", "devproxy's own pages are not served here"))
            return
        self.proxy.forget(self)
        protocol = control()
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
        assert isinstance(protocol, asyncio.Protocol)
        protocol.data_received(data)

    # The transport.

    def eof_received(self) -> bool:
        """FIN. After a whole request it is a half-close: the response still goes out (RFC 9112 §9.6)."""
        exchange = self.exchange
        if exchange is None:
            return False
        if not exchange.request_done:
            self._eof = True
            self._bad_body(exchange, "the connection ended in the middle of the request's body")
            return False
        self._eof = True
        self.proxy.suspects.add(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy.forget(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.release()
            if self.proxy.access_log is not None:
                self.proxy.log(exchange)

    def pause_writing(self) -> None:
        if self.exchange is not None and self.exchange.upstream is not None:
            self.exchange.upstream.pause()

    def resume_writing(self) -> None:
        if self.exchange is not None and self.exchange.upstream is not None:
            self.exchange.upstream.resume()

    def pause(self) -> None:
        """Stop reading until `resume`: the service is slower than the client."""
        if not self._paused and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()
            self.proxy.suspects.add(self)

    def resume(self) -> None:
        """Read again."""
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    # Time.

    def check(self, suspects: "set[Suspect]") -> None:
        """Called once a second while this connection is half-closed or not read: let go if nobody is there."""
        if self.exchange is None or not (self._eof or self._paused):
            suspects.discard(self)
        elif is_gone(self.transport):
            self.transport.abort()

    def expire(self) -> None:
        """The deadline has passed."""
        exchange = self.exchange
        if exchange is not None:
            self.answer(exchange.expired(), exchange)
        elif self._partial is not None:
            self._refuse(Respond(408, "request-timeout", "the request's header did not arrive in time", close=True))
        else:
            self.transport.abort() if self._lingering else self.transport.close()

    def retire(self) -> None:
        """The proxy is stopping: end now if nothing is under way, else after the response."""
        self.keep_alive = False
        if self.exchange is None and not self._lingering:
            self.transport.close()


def _too_large(limit: int) -> Fault:
    return Fault(431, "header-too-large", f"the request's header is over the limit of {limit} bytes (max_header)")
