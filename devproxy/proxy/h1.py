"""HTTP/1.x on the client's side: bytes to requests.

Lives here: one connection of a client, request after request (RFC 9112 §9), pipelined ones in order.
Not here: grammar (`grammar.py`), decisions (`decide.py`), the way back and the ends (`connection.py`).

How it works: while an exchange is under way, bytes of its body are passed to it and later bytes wait. A field section
equal to the one before it on this connection is not read again, and one with the same special fields keeps its
Reading.
"""

from typing import TYPE_CHECKING, Final

from devproxy.proxy.connection import ClientConnection
from devproxy.proxy.decide import Control, Reading, Respond, absolute, decide, read, target_fault
from devproxy.proxy.exchange import Exchange
from devproxy.proxy.fields import Section, section
from devproxy.proxy.framing import ChunkedReader, ChunkError
from devproxy.proxy.gates import Dormant, shows_page
from devproxy.proxy.grammar import END, Fault, RequestHead, early_fault, request_head
from devproxy.proxy.held import Held
from devproxy.proxy.splice import SOURCE, WORTHWHILE
from devproxy.routing.table import Route

if TYPE_CHECKING:
    from devproxy.proxy.server import Proxy

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
                return self._await_start(gate, Held(self, reading, fields, decision, head), data)
            decision = gate.refusal
        if isinstance(decision, Control):
            return self.hand_over(data)
        self.answer_plainly(decision, reading, fields, method)
        return data[end:]

    def _await_start(self, gate: Dormant, held: Held, data: bytes) -> bytes:
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
        self.proxy.suspects.add(self)
        return True


def _too_large(limit: int) -> Fault:
    return Fault(431, "header-too-large", f"the request's header is over the limit of {limit} bytes (max_header)")
