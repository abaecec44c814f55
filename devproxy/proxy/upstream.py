"""A connection to a service, and the responses that come out of it.

Lives here: sending on it, and the reading of responses.
Not here: which service (`decide.py`), keeping connections for the next request (`pool.py`), what a failed attempt leads
to (`exchange.py`), connect() (`net/dial.py`).

How it works: a response head that equals the last one of its address is not read again (`Plan`). After any doubt about
framing a connection is not used again.
"""

import asyncio
import re
from base64 import b64encode
from hashlib import sha1
from typing import TYPE_CHECKING, Final, cast

from devproxy.net.sockets import is_gone
from devproxy.proxy.fields import Section, section
from devproxy.proxy.forward import delimited, nominated, response_lines, upgrade_protocols
from devproxy.proxy.framing import CHUNKED, UNTIL_CLOSE, ChunkedReader, ChunkError, response_length
from devproxy.proxy.grammar import Fault, StatusLine, printable, status_line
from devproxy.proxy.pool import Address
from devproxy.proxy.splice import WORTHWHILE

if TYPE_CHECKING:
    from devproxy.proxy.exchange import Exchange
    from devproxy.proxy.server import Suspect


# A response head as it is passed on: read once, kept for as long as the service sends the same one again.


_KEEP_ALIVE_DEFAULT: Final = 55.0
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Plan:
    """A response head, and what it means for the request's method.

    `head` is the bytes as they came; `length` as `framing.response_length` tells; `reusable` whether the connection
    may be used again, `idle_limit` for how many seconds; `plain` the head towards an HTTP/1.1 client whose connection
    stays open, empty where that cannot be; `simple` says that this head is the service's lines, each as its kind says.
    """

    __slots__ = (
        "fields",
        "head",
        "idle_limit",
        "length",
        "line",
        "method",
        "minor",
        "plain",
        "reusable",
        "simple",
        "status",
    )

    def __init__(self, head: bytes, line: StatusLine, fields: Section, length: int, method: bytes):
        self.minor, self.status, self.line, _, _ = line
        self.head = head
        self.fields = fields
        self.length = length
        self.method = method
        options = fields.connection
        self.reusable = b"close" not in options and (self.minor == 1 or b"keep-alive" in options)
        self.idle_limit = _idle_limit(fields)
        self.plain = self.towards(1, b"") if delimited(length, 1) else b""
        self.simple = bool(self.plain) and self.status != 426 and not nominated(fields)

    def again(self, head: bytes, line: StatusLine, fields: Section, method: bytes) -> "Plan | None":
        """The plan of another head that differs from this one in plain fields only; None where it differs in more."""
        if line[1] != self.status or line[2] != self.line or line[0] != self.minor or method != self.method:
            return None
        if fields.special != self.fields.special or not self.simple:
            return None
        plan = Plan.__new__(Plan)
        plan.minor, plan.status, plan.line, plan.method = self.minor, self.status, self.line, method
        plan.length, plan.reusable, plan.idle_limit = self.length, self.reusable, self.idle_limit
        plan.head = head
        plan.fields = fields
        plan.simple = True
        plan.plain = b"HTTP/1.1 %b%b\r\n" % (self.line, fields.down)
        return plan

    def towards(self, minor: int, connection: bytes) -> bytes:
        """The head for a client of HTTP/1.`minor`; `connection` is the value of our Connection field, or empty."""
        lines = response_lines(self.fields, chunks=minor == 1)
        protocols = upgrade_protocols(self.fields) if self.status in (101, 426) else b""
        if protocols:
            lines += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % protocols
        if connection:
            lines += b"Connection: %b\r\n" % connection
        return b"HTTP/1.1 %b%b\r\n" % (self.line, lines)


def _idle_limit(fields: Section) -> float:
    """A second less than the service keeps an idle connection, where it says so (`Keep-Alive: timeout=5`)."""
    value = fields.get(b"keep-alive")
    if value is None:
        return _KEEP_ALIVE_DEFAULT
    for parameter in value.split(b","):
        name, _, seconds = parameter.strip().partition(b"=")
        if name.lower() == b"timeout" and seconds.isdigit():
            return min(_KEEP_ALIVE_DEFAULT, max(0.5, int(seconds[:6]) - 1.0))
    return _KEEP_ALIVE_DEFAULT


def read_plan(buffer: bytes, method: bytes, max_headers: int, last: Plan | None = None) -> Plan | Fault | None:
    """The response head at the start of `buffer`; None while it is incomplete.

    `method` is HEAD or empty; `last` a plan of the same address, which this one may turn out to resemble.
    """
    line = status_line(buffer)
    if line is None or isinstance(line, Fault):
        return line
    minor, status, _, start, end = line
    fields = section(buffer[start : end - 4], max_headers)
    if isinstance(fields, Fault):
        return Fault(502, "upstream-invalid", f"the response header is not HTTP: {fields.detail}")
    plan = None if last is None else last.again(buffer[:end], line, fields, method)
    if plan is not None:
        return plan
    length = response_length(fields, minor, status, method)
    if isinstance(length, Fault):
        return Fault(502, "upstream-invalid", f"the response cannot be framed: {length.detail}")
    return Plan(buffer[:end], line, fields, length, method)


def early_answer_fault(buffer: bytes, limit: int) -> Fault | None:
    """Why bytes that are no whole head yet cannot become one."""
    if not buffer.startswith(b"HTTP/1."[: len(buffer)]):
        return Fault(502, "upstream-invalid", f"it answered something that is not HTTP/1.x: {printable(buffer)}")
    if len(buffer) > limit:
        return Fault(502, "upstream-invalid", f"its response header is over {limit} bytes (max_header)")
    if _BARE_LF.search(buffer) is not None:
        return Fault(502, "upstream-invalid", f"a line of its response header ends in a bare LF: {printable(buffer)}")
    return None


def switch_fault(plan: Plan, asked: bytes, key: bytes | None) -> Fault | None:
    """Why a 101 is no right answer to a request for `asked` with a Sec-WebSocket-Key (RFC 6455 §4.2.2)."""
    granted = upgrade_protocols(plan.fields).lower()
    wanted = [protocol.strip() for protocol in asked.lower().split(b",")]
    if not asked:
        return Fault(502, "upstream-invalid", "it switched protocols (101) though nobody asked it to")
    if granted not in wanted:
        return Fault(
            502, "upstream-invalid", f"it switched to {printable(granted)}, and {printable(asked)} was asked for"
        )
    if granted == b"websocket" and key is not None:
        expected = b64encode(sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest())
        if plan.fields.all(b"sec-websocket-accept") != [expected]:
            return Fault(502, "upstream-invalid", "its Sec-WebSocket-Accept does not match the handshake")
    return None


IDLE_LIMIT: Final = 55.0  # seconds an unused connection is kept, unless the service's Keep-Alive says less
_INFORMATIONAL_LIMIT: Final = 64

_HEAD: Final = -3  # `_left` while a response head is awaited


class UpstreamConnection(asyncio.Protocol):
    """One connection to a service: at most one exchange at a time."""

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
        "idle_limit",
        "idle_since",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, address: Address):
        self.address = address
        self.exchange: Exchange | None = None
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

    def begin(self, exchange: "Exchange", data: bytes) -> None:
        """Send the head (and what there is of the body) of a request; its response goes to `exchange`."""
        self.exchange = exchange
        self._left = _HEAD
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:  # bytes nobody asked for: what they belong to is in doubt
            self.discard()
        elif self._left == _HEAD:
            plan = self.address.plan
            if plan is None or self._held or not data.startswith(plan.head) or plan.method is not exchange.plan_method:
                self._read_head(exchange, data)
            else:
                self._respond(exchange, plan, data, len(plan.head))
        elif self._left >= 0:
            self._fixed(exchange, data)
        elif self._left == CHUNKED:
            self._chunked(exchange, data)
        else:
            exchange.on_body(data)

    def _read_head(self, exchange: "Exchange", data: bytes) -> None:
        buffer = self._held + data if self._held else data
        settings = exchange.settings
        while True:
            plan = read_plan(buffer, exchange.plan_method, settings.max_headers, self.address.plan)
            if plan is None:
                fault = early_answer_fault(buffer, settings.max_header)
                if fault is None:
                    self._held = buffer
                    return
                plan = fault
            if isinstance(plan, Fault):
                exchange.on_invalid(plan)
                return
            if plan.status >= 200 or plan.status == 101:
                break
            self._informational += 1
            if self._informational > _INFORMATIONAL_LIMIT:
                exchange.on_invalid(Fault(502, "upstream-invalid", "an endless run of 1xx responses"))
                return
            exchange.on_informational(plan)
            buffer = buffer[len(plan.head) :]
            self._held = b""
            if not buffer:
                return
        self._held = b""
        self._informational = 0
        if plan.status == 101:
            exchange.on_switch(plan, buffer[len(plan.head) :])
            return
        self.address.plan = plan
        self._respond(exchange, plan, buffer, len(plan.head))

    def _respond(self, exchange: "Exchange", plan: Plan, data: bytes, offset: int) -> None:
        """Pass on a response head with what came of its body."""
        self._reusable = plan.reusable
        self.idle_limit = plan.idle_limit
        length = plan.length
        if length >= 0:
            left = length - len(data) + offset
            if left < 0:
                self._reusable = False
                exchange.on_head(plan, data[offset : offset + length])
                self._end(exchange)
                return
            self._left = left
            exchange.on_head(plan, data[offset:])
            if left == 0:
                self._end(exchange)
            return
        self._left = length
        if length == UNTIL_CLOSE:
            exchange.on_head(plan, data[offset:])
            return
        self._reader = reader = ChunkedReader()
        try:
            payload = reader.feed(data[offset:])
        except ChunkError as fault:
            exchange.on_invalid(Fault(502, "upstream-invalid", str(fault)))
            return
        exchange.on_head(plan, payload)
        if reader.done:
            self._end_chunked(exchange, reader)

    def _fixed(self, exchange: "Exchange", data: bytes) -> None:
        left = self._left - len(data)
        if left < 0:
            self._reusable = False
            data = data[:left]
            left = 0
        self._left = left
        if left >= WORTHWHILE and exchange.splice_response(self, data, left):
            return
        exchange.on_body(data)
        if left == 0:
            self._end(exchange)

    def _chunked(self, exchange: "Exchange", data: bytes) -> None:
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

    def _end_chunked(self, exchange: "Exchange", reader: ChunkedReader) -> None:
        if reader.rest:
            self._reusable = False
        self._reader = None
        self._end(exchange, reader.trailers)

    def _end(self, exchange: "Exchange", trailers: bytes = b"") -> None:
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

    def finish_spliced(self, exchange: "Exchange") -> None:
        """The rest of the body went past us."""
        self._left = 0
        self._paused = True  # not through us
        self._end(exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        address = self.address
        address.opened.discard(self)
        if self in address.idle:
            address.idle.remove(self)
        exchange = self.exchange
        if exchange is None:
            return
        self.exchange = None
        if self._left == UNTIL_CLOSE and exc is None:
            exchange.on_end(b"")
        elif self._left == _HEAD:
            exchange.on_closed(exc, answered=bool(self._held or self._informational))
        else:
            exchange.cut()

    def detach(self) -> None:
        """Give the socket to a tunnel: this connection is no longer a request's."""
        self.exchange = None
        self.address.opened.discard(self)

    def discard(self) -> None:
        """Close without waiting: nothing that is still to come is wanted."""
        self.exchange = None
        if self in self.address.idle:
            self.address.idle.remove(self)
        self.transport.abort()

    def pause_writing(self) -> None:
        self._choked = True
        if self.exchange is not None:
            self.exchange.front.pause()

    def resume_writing(self) -> None:
        self._choked = False
        if self.exchange is not None:
            self.exchange.front.resume()

    def pause(self) -> None:
        """Stop reading until `resume`: the client is slower than the service."""
        if self.exchange is not None and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()
            self.exchange.proxy.suspects.add(self)

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def check(self, suspects: "set[Suspect]") -> None:
        """Called once a second while this connection is not read: a service that is gone shows only when it is read."""
        exchange = self.exchange
        if exchange is None or exchange.splice is not None or self.transport.is_reading():
            suspects.discard(self)
        elif is_gone(self.transport):
            self.resume()  # what it sent before is bounded by the kernel's buffer
