"""A client's connection, whatever is asked on it: our own answers, the ends of exchanges, back-pressure and time.

Lives here: everything on the client's side that does not depend on how requests are read.
Not here: bytes to requests (`h1.py`), the request's way to its service (`exchange.py`).

How it works: one exchange at a time. Deadlines are a number that one timer for all connections looks at (`server.py`).
"""

import asyncio
from contextlib import suppress
from email.utils import formatdate
from typing import TYPE_CHECKING, Final, cast

from devproxy.net.reset import reset
from devproxy.net.sockets import is_gone
from devproxy.proxy.decide import Reading, Respond
from devproxy.proxy.error_pages import render
from devproxy.proxy.exchange import Exchange
from devproxy.proxy.fields import Section
from devproxy.proxy.forward import Origin
from devproxy.proxy.held import Held
from devproxy.proxy.pool import Address
from devproxy.proxy.tunnel import join
from devproxy.routing.table import Route

if TYPE_CHECKING:
    from devproxy.proxy.server import Proxy, Suspect

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
        "origin",
        "proxy",
        "transport",
    )

    transport: asyncio.Transport
    _address: Address

    def __init__(self, proxy: "Proxy"):
        self.proxy = proxy
        self.exchange: Exchange | Held | None = None  # what its last request is waiting for
        self.keep_alive = True
        self.deadline = 0.0
        self.origin = Origin(b"", b"http", b"")
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

    def answer(self, respond: Respond, exchange: Exchange | Held) -> None:
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

    def address_of(self, route: Route) -> Address:
        """The state of the address behind `route`; a TLS service has one for each name it is asked as."""
        if route is not self._route:
            upstream = route.service.upstream
            assert upstream is not None
            self._route = route
            self._address = self.proxy.pool.at(upstream, route.host if upstream.scheme == "https" else "")
        return self._address

    # The end of an exchange.

    def finished(self, exchange: Exchange | Held) -> None:
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

    def begin_again(self) -> None:
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

    def cut(self, exchange: Exchange | Held) -> None:
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
