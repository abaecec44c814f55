"""HTTP/2 on the client's side: frames to requests, and answers to frames (RFC 9113, RFC 8441).

Lives here: one connection of a client, and a ClientStream for each of its streams: flow control with back-pressure to
the services, an orderly end, and what a hostile client may not do. Frames, HPACK, the states of streams, priorities
(RFC 9218) and malformed messages are the engine's (`h2_engine.py`).
Not here: what a request says (`h2_fields.py` gives it the form of HTTP/1.1, so every rule behind is the same), what
becomes of it (`dispatch.py`).

How it works: the engine is fed what arrives, and tells events. What goes out is asked for once a turn of the loop, so
that the answers of several services leave in one write, and in the engine's order. A section equal to the one before it
on this connection is not read again.

Memory is bounded. A client may send as much of a body as a stream's window holds, which opens only as the service
takes it; the connection's window holds the windows of all streams, so that a slow one stalls no other. A response waits
in the engine up to a mark, then its service is no longer read.
"""

import asyncio
import os
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

from devproxy.http1.fields import Section, section
from devproxy.http1.framing import ChunkError, checked_trailers
from devproxy.http1.grammar import Fault, head_too_large, request_fault
from devproxy.http1.h2_fields import (
    ENHANCE_YOUR_CALM,
    HTTP_1_1_REQUIRED,
    INTERNAL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    WEBSOCKET,
    Pair,
    PseudoFields,
    lines_of_list,
    list_of_lines,
    pseudo_fields,
    request_section,
    response_fields,
    switched_fields,
)
from devproxy.http1.response import ResponseHead, http_date
from devproxy.proxy.answers import Respond, invalid_answer
from devproxy.proxy.decide import Reading, misdirected, read, target_fault
from devproxy.proxy.dispatch import dispatch
from devproxy.proxy.exchange import NEVER, Exchange
from devproxy.proxy.forward import Peer
from devproxy.proxy.h2_engine import (
    STREAM_WINDOW,
    VAIN_BURST,
    Connection,
    ConnectionClosed,
    ConnectionStateError,
    DataReceived,
    DenialOfServiceError,
    FrameWriter,
    NGH2Error,
    PingReceived,
    PriorityUpdateReceived,
    RequestReceived,
    Role,
    Setting,
    SettingsReceived,
    StreamClosed,
    TrailersReceived,
    WindowUpdated,
)
from devproxy.proxy.h2_tunnel import StreamTransport
from devproxy.proxy.interfaces import ClientConnection, ClientStream, ProxyState, empty_request
from devproxy.proxy.pool import UpstreamAddress
from devproxy.proxy.tunnel import join
from devproxy.routing.table import Route

STREAMS: Final = 128  # at once on a connection
_LONG_TARGET: Final = 2048  # bytes from which on the limit of a header is looked at, though its fields are known
_FAREWELL: Final = 1.0  # seconds in which requests that are on their way at a shutdown may still arrive


_SETTINGS: Final = {
    Setting.MAX_CONCURRENT_STREAMS: STREAMS,
    Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
    Setting.ENABLE_CONNECT_PROTOCOL: 1,
    Setting.NO_RFC7540_PRIORITIES: 1,
}


class Http2Connection(ClientConnection, FrameWriter):
    """One connection of a client that speaks HTTP/2. `streams` are those whose exchange or tunnel is under way."""

    __slots__ = (
        "_address",
        "_allowance",
        "_choked",
        "_ends_when_sent",
        "_engine",
        "_fields",
        "_is_flushing",
        "_known",
        "_last_stream",
        "_owed_pause",
        "_reading",
        "_retiring",
        "_route",
        "proxy",
        "streams",
    )

    _address: UpstreamAddress
    _engine: Connection

    def __init__(self, proxy: ProxyState):
        self.proxy = proxy
        self.keep_alive = True
        self.deadline = 0.0
        self.peer = Peer(b"", b"http", b"")
        self.streams: dict[int, Http2Stream] = {}
        self._retiring = False
        self._last_stream = 0
        self._route: Route | None = None  # of the last request
        self._known: tuple[bytes, tuple[Pair, ...], bool] | None = None  # the last section, as it came
        self._fields: Section | None = None  # and as it was read
        self._reading: Reading | None = None
        settings = proxy.snapshot.settings
        self._start_engine(Role.SERVER, settings.max_header, settings.max_response_header)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        settings = self.proxy.snapshot.settings
        offered = {**_SETTINGS, Setting.MAX_HEADER_LIST_SIZE: settings.max_header}
        self._open(cast(asyncio.Transport, transport), offered, STREAMS * STREAM_WINDOW)
        refusal = self.proxy.admit(self)
        if refusal is not None:
            reading, fields = empty_request(self.proxy)
            exchange = Exchange(Http2Stream(self, 0), b"", b"", reading, fields)
            exchange.status = refusal.status
            exchange.finish()
            self._end(ENHANCE_YOUR_CALM)
            return
        self._flush()

    # What arrives.

    def data_received(self, data: bytes) -> None:
        self._is_flushing = True  # at the end of this
        engine = self._engine
        try:
            engine.receive_data(data)
        except NGH2Error as error:
            self._end(_code_of(error))
            return
        try:
            self._take(engine.events(), _HANDLERS)
        except NGH2Error:
            self._give_up()
            return
        if self._allowance.left < 0:
            self._end(ENHANCE_YOUR_CALM)
        else:
            self._flush()

    def _begin(self, event: RequestReceived) -> None:
        """Make an exchange of a request."""
        number, headers = event.stream_id, event.headers
        self._last_stream = max(self._last_stream, number)
        stream = Http2Stream(self, number)
        stream.is_whole = event.end_stream
        self.streams[number] = stream
        self.deadline = NEVER
        pseudo = pseudo_fields(headers)
        stream.is_websocket = pseudo.protocol == WEBSOCKET and pseudo.method == b"CONNECT"
        known = (pseudo.authority, headers[pseudo.end :], event.end_stream)
        fields: Section | Fault | None = self._fields
        if fields is None or stream.is_websocket or known != self._known or len(pseudo.target) > _LONG_TARGET:
            fields = self._read_section(stream, pseudo, known)
        method = b"GET" if stream.is_websocket else pseudo.method
        if isinstance(fields, Fault):
            self._refuse(stream, fields, pseudo)
            return
        reading = self._read(stream, pseudo, method, fields)
        if isinstance(reading, Fault):
            self._refuse(stream, reading, pseudo)
            return
        stream.exchange = exchange = Exchange(stream, method, pseudo.target, reading, fields)
        dispatch(exchange)

    def _read(self, stream: "Http2Stream", pseudo: PseudoFields, method: bytes, fields: Section) -> Reading | Fault:
        """What a request means: the last Reading where it holds, else a new one."""
        target = pseudo.target
        fault = request_fault(method, target) or (target_fault(method, target) if target[:1] != b"/" else None)
        if fault is not None:
            return fault
        if pseudo.protocol and not stream.is_websocket:
            return Fault(501, "unsupported-protocol", "the one protocol that CONNECT is taken for is websocket")
        table, reading = self.proxy.snapshot.table, self._reading
        if reading is not None and reading.holds_for(fields, 1, table):
            return reading
        made = read(fields, 1, table)
        if not isinstance(made, Fault):
            if isinstance(made.refusal, Respond) and self._is_anothers(made.host):
                made.refusal = misdirected(table)
            self._reading = made
        return made

    def _is_anothers(self, host: str) -> bool:
        """Whether the connection was made for another name, and has no certificate of this one: a client that shares
        it between names is sent away from it (RFC 9113 §9.1.1)."""
        name = self.transport.get_extra_info("server_name")
        return bool(name) and name != host

    def _read_section(
        self, stream: "Http2Stream", pseudo: PseudoFields, known: tuple[bytes, tuple[Pair, ...], bool]
    ) -> Section | Fault:
        settings = self.proxy.snapshot.settings
        authority, headers, is_whole = known
        key = b64encode(os.urandom(16)) if stream.is_websocket else b""
        raw = request_section(authority, headers, has_body=not is_whole and not key, key=key)
        if isinstance(raw, Fault):
            return raw
        if len(raw) + len(pseudo.target) > settings.max_header:
            return head_too_large(b"%b %b HTTP/2\r\n%b" % (pseudo.method, pseudo.target, raw), settings.max_header)
        fields = section(raw, settings.max_headers)
        if not isinstance(fields, Fault) and not key:
            self._known, self._fields = known, fields
        return fields

    def _refuse(self, stream: "Http2Stream", fault: Fault, pseudo: PseudoFields) -> None:
        reading, fields = empty_request(self.proxy)
        stream.exchange = exchange = Exchange(stream, pseudo.method, pseudo.target, reading, fields)
        exchange.answer(Respond.to(fault))

    def _take_data(self, event: DataReceived) -> None:
        data = event.data
        stream = self.streams.get(event.stream_id)
        if not data and not event.end_stream:
            self.in_vain()
        if stream is None:
            self.took(event.stream_id, len(data))
            return
        if data:
            self.moved()
        stream.take(data, is_last=event.end_stream)

    def _take_trailers(self, event: TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.take_trailers(event.headers)

    def _stream_closed(self, event: StreamClosed) -> None:
        number = event.stream_id
        self._ends_when_sent.pop(number, None)
        stream = self.streams.pop(number, None)
        if stream is None:
            return
        self._owed_pause.pop(stream, None)
        if stream.closed():
            self.in_vain()
        if not self.streams:
            self._at_rest()

    def moved(self) -> None:
        """Part of a body has passed: clients measure what a connection can carry, by two PINGs at most for each."""
        self._allowance.left = min(VAIN_BURST, self._allowance.left + 2)

    def _closed(self, _event: ConnectionClosed) -> None:
        """Either side has ended the connection, and no stream is under way."""
        self._flush()
        self._close()

    def eof_received(self) -> bool:
        """A client that says no more reads no more: with HTTP/2 there is no half-close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy.forget(self)
        streams, self.streams = self.streams, {}
        self._owed_pause.clear()
        for stream in streams.values():
            try:
                stream.closed()
            except Exception as error:
                self.proxy.report(error)

    # What leaves.

    def _flush(self) -> None:
        self._is_flushing = False
        if not self._write_frames():
            return
        try:
            self._see_what_has_left()
        except NGH2Error:
            self._give_up()

    def _see_what_has_left(self) -> None:
        engine = self._engine
        self._take(engine.events(), _HANDLERS)  # streams that have ended with it
        if self.transport.is_closing():
            return
        if self._owed_pause:
            self._go_on()
        if self._ends_when_sent and self._end_sent():
            self._flush()
        elif not engine.want_read and not engine.want_write and not self._choked:
            self._close()

    def _give_up(self) -> None:
        """The engine is ending the connection: it says why, and takes nothing for its streams any more."""
        self._write_frames()
        self._close()

    # Its end.

    def _at_rest(self) -> None:
        """No stream is under way."""
        if self._retiring:
            self._end(NO_ERROR)
        else:
            self.deadline = self.proxy.clock + self.proxy.snapshot.settings.idle_timeout

    def expire(self) -> None:
        if self.transport.is_closing():
            self.transport.abort()  # it does not read what it was told at the end
        elif self._retiring and self.streams:
            with suppress(NGH2Error):
                self._engine.send_goaway(NO_ERROR)
            self.deadline = NEVER
            self.flush_soon()
        else:
            self._end(NO_ERROR)

    def retire(self) -> None:
        """In two steps, so that no request that is on its way gets lost (RFC 9113 §6.8)."""
        self.keep_alive = False
        self._retiring = True
        if not self.streams:
            self._end(NO_ERROR)
        else:
            with suppress(NGH2Error):  # it is ending already
                self._engine.send_shutdown_notice()
            self.deadline = self.proxy.clock + _FAREWELL
            self.flush_soon()

    def _end(self, code: int) -> None:
        """Say why in a GOAWAY, and close."""
        if not self.transport.is_closing():
            self._say_goodbye(self._last_stream, code)
            self._close()

    def _close(self) -> None:
        self.deadline = self.proxy.clock + _FAREWELL  # for what is still to be read
        self.transport.close()

    # For its streams.

    def address_of(self, route: Route) -> UpstreamAddress:
        """The same for every stream of the connection that goes the same way."""
        if route is not self._route:
            self._route = route
            self._address = self.proxy.pool.of_route(route)
        return self._address


def _code_of(error: NGH2Error) -> int:
    """What to say of an error that ends the connection."""
    # A connection that is terminating has been reset too often: the one end that the engine calls by itself.
    return ENHANCE_YOUR_CALM if isinstance(error, DenialOfServiceError | ConnectionStateError) else PROTOCOL_ERROR


_HANDLERS: Final[dict[type, Callable[[Http2Connection, Any], None]]] = {
    RequestReceived: Http2Connection._begin,
    DataReceived: Http2Connection._take_data,
    TrailersReceived: Http2Connection._take_trailers,
    StreamClosed: Http2Connection._stream_closed,
    WindowUpdated: Http2Connection._window_updated,
    PingReceived: Http2Connection._control_frame,
    SettingsReceived: Http2Connection._control_frame,
    PriorityUpdateReceived: Http2Connection._control_frame,
    ConnectionClosed: Http2Connection._closed,
}


class Http2Stream(ClientStream):
    """One stream: the client's side of one exchange, or of one WebSocket.

    `is_whole`: all of the request has come.
    """

    __slots__ = (
        "_body",
        "_connection",
        "_has_ended",
        "_is_body_wanted",
        "_is_paused",
        "_trailers",
        "_untaken",
        "exchange",
        "is_websocket",
        "is_whole",
        "number",
        "peer",
        "proxy",
        "tunnel",
    )

    def __init__(self, connection: Http2Connection, number: int):
        self._connection = connection
        self.proxy = connection.proxy
        self.peer = connection.peer
        self.number = number
        self.exchange: Exchange | None = None
        self.tunnel: StreamTransport | None = None
        self.is_whole = False
        self.is_websocket = False
        self._body = b""  # what has come of it while nobody takes it
        self._trailers = b""
        self._is_body_wanted = False  # the exchange takes it as it comes
        self._is_paused = False
        self._untaken = 0  # bytes that were passed on while the service is slower, and for which the window is shut
        self._has_ended = False  # the response is whole

    # The request.

    def take(self, data: bytes, *, is_last: bool) -> None:
        """More of the body has come."""
        if is_last:
            self.is_whole = True
        if self.tunnel is not None:
            self.tunnel.receive(data, is_last=is_last)
            return
        exchange = self.exchange
        if exchange is None or exchange.ended:
            self._connection.took(self.number, len(data))
        elif self._is_body_wanted and exchange.wants_body:
            self._pass_on(exchange, data)
            if is_last and not exchange.ended:
                exchange.on_request_end(b"")
        else:
            self._body += data
            if exchange in self.proxy.held:
                exchange.keep_waiting(len(data))

    def take_trailers(self, fields: tuple[Pair, ...]) -> None:
        """The request has ended with trailers."""
        self.is_whole = True
        if self.tunnel is not None:
            self.tunnel.receive(b"", is_last=True)
            return
        exchange = self.exchange
        if exchange is None or exchange.ended:
            return
        try:
            self._trailers = checked_trailers(lines_of_list(fields)) if fields else b""
        except ChunkError as fault:
            exchange.refuse_body(Fault(400, "bad-request", str(fault)))
            return
        if self._is_body_wanted and exchange.wants_body:
            exchange.on_request_end(self._trailers)

    def send_request_body(self, exchange: Exchange) -> None:
        self._is_body_wanted = True
        data, self._body = self._body, b""
        self._pass_on(exchange, data)
        if self.is_whole and not exchange.ended and exchange.wants_body:
            exchange.on_request_end(self._trailers)
        if not exchange.ended:
            exchange.start()

    def _pass_on(self, exchange: Exchange, data: bytes) -> None:
        exchange.progress()
        if data:
            exchange.on_request_body(data)
            self._count(len(data))

    def _count(self, size: int) -> None:
        if self._is_paused:
            self._untaken += size
        else:
            self._connection.took(self.number, size)

    def waiting(self) -> int:
        return len(self._body)

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            size, self._untaken = self._untaken, 0
            self._connection.took(self.number, size)

    def closed(self) -> bool:
        """The stream is gone, whoever ended it; whether that was in the middle."""
        exchange, self.exchange = self.exchange, None
        tunnel, self.tunnel = self.tunnel, None
        self._connection.took(self.number, self._untaken + len(self._body))
        self._untaken, self._body = 0, b""
        if tunnel is not None:
            tunnel.closed()
        if exchange is None or exchange.ended:
            return False
        exchange.abandon()
        return True

    # The response.

    def address_of(self, route: Route) -> UpstreamAddress:
        return self._connection.address_of(route)

    def splice_end(self) -> asyncio.Transport | None:
        return None  # frames have to be made

    @property
    def _is_open(self) -> bool:
        """Whether something can still be said on it."""
        connection = self._connection
        return self.number in connection.streams and not connection.transport.is_closing()

    def inform(self, response: ResponseHead) -> None:
        if self._is_open and not self.is_websocket:
            self._connection.engine.send_informational_response(self.number, response_fields(response))
            self._connection.flush_soon()

    def head(self, exchange: Exchange, response: ResponseHead, body: bytes) -> None:
        if not self._is_open:
            return
        if self.is_websocket and response.status < 300:
            fault = Fault(
                502, "upstream-invalid", f"it answered {response.status} to a WebSocket's handshake, and not 101"
            )
            exchange.status = fault.status
            self._send_answer(exchange, invalid_answer(exchange.route.service, fault))
            return
        if response.binds:  # it ties who its client is to the connection, and this one is many requests' at once
            self._has_ended = True
            self._reset(HTTP_1_1_REQUIRED)
            return
        pairs = response.pairs
        if pairs is None:
            pairs = response.pairs = response_fields(response)
        if not response.is_dated or exchange.added:
            date = [] if response.is_dated else [(b"date", http_date(int(time.time())))]
            pairs = [*pairs, *date, *list_of_lines(exchange.added)]
        engine, number = self._connection.engine, self.number
        length = response.length
        if length == 0:
            self._has_ended = True
            engine.send_response(number, pairs, end_stream=True)
        else:
            engine.send_response(number, pairs)
            if body:
                self._has_ended = len(body) == length
                engine.send_data(number, body, end_stream=self._has_ended)
                self._slow_down(exchange)
        self._connection.flush_soon()

    def body(self, data: bytes) -> None:
        if self._is_open and not self._has_ended:
            self._connection.engine.send_data(self.number, data)
            self._connection.moved()
            if self.exchange is not None:
                self._slow_down(self.exchange)
            self._connection.flush_soon()

    def _slow_down(self, exchange: Exchange) -> None:
        if exchange.upstream is not None and self._connection.await_reader(self):
            exchange.upstream.pause()

    def go_on(self) -> None:
        """The client has caught up."""
        if self.tunnel is not None:
            self.tunnel.sent()
        elif self.exchange is not None and self.exchange.upstream is not None:
            self.exchange.upstream.resume()

    def end(self, exchange: Exchange, trailers: bytes) -> None:
        self.exchange = None
        if not self._is_open:
            return
        if not self._has_ended:
            self._has_ended = True
            if trailers:
                self._connection.engine.send_trailers(self.number, list_of_lines(trailers))
            else:
                self._connection.engine.end_stream(self.number)
        if not self.is_whole:
            self._connection.end_when_sent(self.number)
        self._connection.flush_soon()

    def answer(self, exchange: Exchange, respond: Respond) -> None:
        if self._is_open:
            self._send_answer(exchange, respond)
        self.end(exchange, b"")

    def _send_answer(self, exchange: Exchange, respond: Respond) -> None:
        head, _, body = exchange.rendered(respond, close=False).partition(b"\r\n\r\n")
        lines = head.partition(b"\r\n")[2] + b"\r\n"
        engine = self._connection.engine
        engine.send_response(
            self.number, [(b":status", b"%d" % respond.status), *list_of_lines(lines)], end_stream=not body
        )
        if body:
            engine.send_data(self.number, body, end_stream=True)
        self._has_ended = True

    def cut(self, exchange: Exchange, code: int = INTERNAL_ERROR) -> None:
        self.exchange = None
        self._reset(code)

    def _reset(self, code: int) -> None:
        if self._is_open:
            self._connection.engine.reset_stream(self.number, code)
            self._connection.flush_soon()

    def switch(self, exchange: Exchange, service: asyncio.Transport, response: ResponseHead, first: bytes) -> None:
        self.exchange = None
        if not self._is_open:
            service.abort()
            return
        connection = self._connection
        connection.engine.send_response(self.number, switched_fields(response, exchange.added))
        self.tunnel = tunnel = StreamTransport(self, connection)
        near, far = join(tunnel, service, self.proxy, exchange.address.upstream)
        self.proxy.tunnels.add(near)
        self.proxy.tunnels.add(far)
        if first:
            tunnel.write(first)
        data, self._body = self._body, b""
        tunnel.receive(data, is_last=self.is_whole)
        connection.flush_soon()

    def left(self) -> None:
        self.tunnel = None
