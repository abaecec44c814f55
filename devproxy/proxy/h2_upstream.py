"""HTTP/2 on the service's side: requests to frames, and frames to answers (RFC 9113).

Lives here: one connection to a service, shared by the exchanges of many clients, and an UpstreamStream for each of
them: windows in both directions, what a reset or a GOAWAY means to the request, and the connection's end.
Not here: how a list becomes a head and back (`h2_fields.py`), which connection (`pool.py`), making one (`retry.py`).

How it works: an exchange hands over a head of HTTP/1.1 and gets one back, so that what passes, what is changed and what
is refused is one rule for every service. A connection is used once the service has sent its SETTINGS: then it is
known to speak HTTP/2, and how many streams it takes. A head equal to the last one on the connection is not read again.

Memory is bounded as on the client's side (`h2.py`): a stream's window opens as its client takes the body, the
connection's holds the windows of all, and of a request so much waits in the engine and no more.

A handshake for a WebSocket becomes an extended CONNECT where the service takes one, and its 2xx a 101 (RFC 8441 §5):
the client's key is answered here. From then on the stream is a transport (`h2_tunnel.py`).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

from devproxy.http1.framing import CHUNKED, ChunkError, checked_trailers
from devproxy.http1.grammar import Fault
from devproxy.http1.h2_fields import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    HTTP_1_1_REQUIRED,
    INADEQUATE_SECURITY,
    INTERNAL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Pair,
    connect_list,
    lines_of_list,
    list_of_lines,
    request_list,
    response_head,
    switching_head,
)
from devproxy.http1.response import ENDLESS_INTERIM, INTERIM_LIMIT, ResponseHead, accept_of, read_response_head
from devproxy.proxy.h2_engine import (
    STREAM_WINDOW,
    VAIN_BURST,
    Connection,
    ConnectionClosed,
    DataReceived,
    FrameWriter,
    GoAwayReceived,
    InformationalResponseReceived,
    NGH2Error,
    PingReceived,
    ResponseReceived,
    Role,
    Setting,
    SettingsReceived,
    StreamClosed,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from devproxy.proxy.h2_tunnel import StreamTransport
from devproxy.proxy.interfaces import ProxyState, ResponseReceiver
from devproxy.proxy.pool import SharedConnection, UpstreamAddress, UpstreamStream
from devproxy.proxy.upstream import IDLE_LIMIT, REMEMBERED
from devproxy.text import shown_bytes

_WINDOW: Final = 128 * STREAM_WINDOW
_STREAMS: Final = 1000  # at once on a connection, whatever the service allows
_BEGINNING: Final = 9  # bytes: the header of its first frame, which is SETTINGS (RFC 9113 §3.4)
_SETTINGS_FRAME: Final = 4
_NO_RESPONSE: Final = Fault(502, "upstream-invalid", "HTTP/2 has no response like that (RFC 9113 §8)")
_BROKEN: Final = "what it sent breaks the rules of HTTP/2, or is a header far over max_response_header"

# Codes of the service's that say as much to the client; any other is what a broken answer is.
_PASSED_ON: Final = frozenset((CANCEL, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY))


class Http2Upstream(SharedConnection, FrameWriter):
    """A connection to a service that speaks HTTP/2. `ready` is done once it may be used, with a Fault where the service
    speaks something else. `streams` are those that an exchange waits for or reads."""

    __slots__ = (
        "_address",
        "_allowance",
        "_choked",
        "_ends_when_sent",
        "_engine",
        "_first",
        "_idle_since",
        "_is_ending",
        "_is_flushing",
        "_known",
        "_limit",
        "_owed_pause",
        "_response",
        "proxy",
        "ready",
        "streams",
        "transport",
    )

    _engine: Connection
    transport: asyncio.Transport

    def __init__(self, address: UpstreamAddress, proxy: ProxyState):
        self.proxy = proxy
        self.streams: dict[int, Http2UpstreamStream] = {}
        self.ready: asyncio.Future[Fault | None] = asyncio.get_running_loop().create_future()
        self._address = address
        self._limit = 0
        self._is_ending = False  # no new stream
        self._first = b""  # how what the service sends begins
        self._idle_since = proxy.clock
        settings = proxy.snapshot.settings
        self._start_engine(Role.CLIENT, settings.max_response_header, settings.max_header)
        self._known: tuple[tuple[Pair, ...], bool, bytes] | None = None  # the last head, as it came
        self._response: ResponseHead | None = None  # and as it was read

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        settings = self.proxy.snapshot.settings
        offered = {
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            Setting.MAX_HEADER_LIST_SIZE: settings.max_response_header,
        }
        self._open(cast(asyncio.Transport, transport), offered, _WINDOW)
        self._address.opened.add(self)
        self._flush()

    # What arrives.

    def data_received(self, data: bytes) -> None:
        self._is_flushing = True  # at the end of this
        if len(self._first) < _BEGINNING:
            self._first += data[:64]
            begun = self._first
            if begun[:5] == b"HTTP/"[: len(begun)] or (len(begun) >= _BEGINNING and begun[3] != _SETTINGS_FRAME):
                self._fail(not_http2(begun))
                return
        try:
            self._engine.receive_data(data)
        except NGH2Error as error:
            self._fail(Fault(502, "upstream-invalid", f"what it sent is not HTTP/2: {error}"))
            return
        self._take(self._engine.events(), _HANDLERS)
        if self._allowance.left < 0:
            self._fail(Fault(502, "upstream-invalid", "an endless run of frames that say nothing"), ENHANCE_YOUR_CALM)
            return
        self._flush()

    def _take_data(self, event: DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if event.data:
            self.moved()
        elif not event.end_stream:
            self.in_vain()
        if stream is None:
            self.took(event.stream_id, len(event.data))
        else:
            stream.take(event.data, is_last=event.end_stream)

    def _take_response(self, event: ResponseReceived) -> None:
        self.moved()
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.respond(event.headers, is_whole=event.end_stream)

    def _take_interim(self, event: InformationalResponseReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.inform(event.headers)

    def _take_trailers(self, event: TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.take_trailers(event.headers)

    def _stream_reset(self, event: StreamReset) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.was_reset = True

    def _stream_closed(self, event: StreamClosed) -> None:
        self._ends_when_sent.pop(event.stream_id, None)
        stream = self.streams.get(event.stream_id)
        if stream is not None:
            stream.closed(event.error_code)

    def _take_settings(self, event: SettingsReceived) -> None:
        self.in_vain()
        self._limit = min(_STREAMS, event.settings.get(Setting.MAX_CONCURRENT_STREAMS, self._limit or _STREAMS))
        if not self.ready.done():
            self._address.shared.append(self)
            self.ready.set_result(None)

    def moved(self) -> None:
        """Part of a message has passed: servers measure what a connection can carry by PING meanwhile."""
        self._allowance.left = VAIN_BURST

    def _take_goaway(self, _event: GoAwayReceived) -> None:
        """The service takes no new streams; those that it has not looked at are closed by the engine."""
        self._is_ending = True

    def _closed(self, _event: ConnectionClosed) -> None:
        self._is_ending = True

    def remembered(self, known: tuple[tuple[Pair, ...], bool, bytes]) -> ResponseHead | None:
        """The last head, if this one is the same."""
        return self._response if known == self._known else None

    def remember(self, known: tuple[tuple[Pair, ...], bool, bytes], response: ResponseHead) -> None:
        """Keep a head to be compared with the next."""
        if len(response.head) <= REMEMBERED and (response.pitfalls is None or not response.pitfalls.insecure):
            self._known, self._response = known, response

    # What leaves.

    def _flush(self) -> None:
        self._is_flushing = False
        engine = self._engine
        if not self._write_frames():
            return
        self._take(engine.events(), _HANDLERS)
        if self._owed_pause:
            self._go_on()
        if self._ends_when_sent:
            with suppress(NGH2Error):  # it is ending
                if self._end_sent():
                    self.flush_soon()
        if not engine.want_read and not engine.want_write and not self._choked:
            self._is_ending = True
            if not self.transport.is_closing():
                self._refuse_all(Fault(502, "upstream-invalid", _BROKEN))
                self.transport.close()

    # Its streams.

    @property
    def is_open(self) -> bool:
        """Whether it may have new streams, now or later."""
        return not (self._is_ending or self.transport.is_closing()) and self._engine.can_send_request

    def open_stream(self) -> "UpstreamStream | None":
        if len(self.streams) >= max(1, self._limit) or not self.is_open:
            return None
        return Http2UpstreamStream(self, self._address)

    def let_go(self, stream: "Http2UpstreamStream") -> None:
        """Nobody waits for that stream any more."""
        self.streams.pop(stream.number, None)
        self._owed_pause.pop(stream, None)
        if not self.streams:
            self._idle_since = self.proxy.clock
            if self._is_ending:
                self._end(NO_ERROR)

    def reset(self, number: int, code: int) -> None:
        """Tell the service that a stream is over."""
        try:
            self._engine.reset_stream(number, code)
        except NGH2Error:  # it has ended it itself
            return
        self.flush_soon()

    # Its end.

    def eof_received(self) -> bool:
        """A service that says no more reads no more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_ending = True
        address = self._address
        address.opened.discard(self)
        if self in address.shared:
            address.shared.remove(self)
        if not self.ready.done():
            self.ready.set_exception(exc if isinstance(exc, ConnectionError) else ConnectionAbortedError())
            self.ready.exception()  # seen, whoever waits for it
        for stream in list(self.streams.values()):
            try:
                stream.lost(exc)
            except Exception as error:
                self.proxy.report(error)

    def _refuse_all(self, fault: Fault) -> None:
        if not self.ready.done():
            self.ready.set_result(fault)
        for stream in list(self.streams.values()):
            try:
                stream.invalid(fault)
            except Exception as error:
                self.proxy.report(error)

    def _fail(self, fault: Fault, code: int = PROTOCOL_ERROR) -> None:
        """What came is not what may come."""
        self._is_ending = True
        self._end(code)
        self._refuse_all(fault)

    def _end(self, code: int) -> None:
        """Say why in a GOAWAY, and close."""
        if not self.transport.is_closing():
            self._is_ending = True
            self._say_goodbye(0, code)
            self.transport.close()

    def expire(self, now: float) -> None:
        if not self.streams and now - self._idle_since > IDLE_LIMIT:
            self._end(NO_ERROR)

    def discard(self) -> None:
        self._is_ending = True
        self.transport.abort()


def not_http2(begun: bytes) -> Fault:
    """What a service is told that answers HTTP/2 with something else."""
    return Fault(
        502,
        "upstream-invalid",
        f"it is asked in HTTP/2, and does not speak it: {shown_bytes(begun)}",
        "write http:// in its upstream setting, or let it listen for HTTP/2 without TLS (prior knowledge)",
    )


_HANDLERS: Final[dict[type, Callable[[Http2Upstream, Any], None]]] = {
    ResponseReceived: Http2Upstream._take_response,
    DataReceived: Http2Upstream._take_data,
    InformationalResponseReceived: Http2Upstream._take_interim,
    TrailersReceived: Http2Upstream._take_trailers,
    StreamReset: Http2Upstream._stream_reset,
    StreamClosed: Http2Upstream._stream_closed,
    SettingsReceived: Http2Upstream._take_settings,
    WindowUpdated: Http2Upstream._window_updated,
    PingReceived: Http2Upstream._control_frame,
    GoAwayReceived: Http2Upstream._take_goaway,
    ConnectionClosed: Http2Upstream._closed,
}


class Http2UpstreamStream(UpstreamStream):
    """One request and its response. `was_reset`: by the service."""

    __slots__ = (
        "_address",
        "_connection",
        "_has_answered",
        "_has_no_body",
        "_informational",
        "_is_paused",
        "_left",
        "_untaken",
        "exchange",
        "number",
        "tunnel",
        "was_reset",
    )

    def __init__(self, connection: Http2Upstream, address: UpstreamAddress):
        self.transport = connection.transport
        self.tunnel: StreamTransport | None = None
        self.number = 0
        self.exchange: ResponseReceiver | None = None
        self.was_reset = False
        self._connection = connection
        self._address = address
        self._has_answered = False  # its head was passed on
        self._has_no_body = False
        self._informational = 0
        self._is_paused = False
        self._untaken = 0  # bytes that were passed on while the client is slower, and for which the window is shut
        self._left = 0  # of a request's body whose length is told

    # The request.

    @property
    def bridges(self) -> bool:
        return bool(self._connection.engine.remote_settings.get(Setting.ENABLE_CONNECT_PROTOCOL))

    def begin(self, exchange: ResponseReceiver, head: bytes) -> None:
        self._begin(exchange, head)
        self._connection.flush_soon()

    def begin_with_body(self, exchange: ResponseReceiver, head: bytes, body: bytes, trailers: bytes | None) -> None:
        self._begin(exchange, head)
        if body:
            self.send_body(body)
        if trailers is not None and exchange.length == CHUNKED:
            self.send_end(trailers)

    def _begin(self, exchange: ResponseReceiver, head: bytes) -> None:
        self.exchange = exchange
        self._left = exchange.length
        connection = self._connection
        scheme = b"https" if self._address.upstream.scheme == "https" else b"http"
        if exchange.opens_websocket:
            self.number = connection.engine.send_request(connect_list(head, scheme))
        else:
            self.number = connection.engine.send_request(request_list(head, scheme), end_stream=exchange.length == 0)
        connection.streams[self.number] = self

    def send_body(self, data: bytes) -> None:
        exchange, connection = self.exchange, self._connection
        if exchange is None:
            return
        is_last = False
        if self._left >= 0:
            self._left -= len(data)
            is_last = self._left == 0
        try:
            connection.engine.send_data(self.number, data, end_stream=is_last)
        except NGH2Error:  # it is ending
            connection.discard()
            return
        connection.moved()
        if connection.await_reader(self):
            exchange.stream.pause()
        connection.flush_soon()

    def send_end(self, trailers: bytes) -> None:
        if self.exchange is None:
            return
        connection, fields = self._connection, list_of_lines(trailers)
        try:
            if fields:
                connection.engine.send_trailers(self.number, fields)
            else:
                connection.engine.end_stream(self.number)
        except NGH2Error:
            connection.discard()
            return
        connection.flush_soon()

    def go_on(self) -> None:
        """The service has caught up."""
        if self.tunnel is not None:
            self.tunnel.sent()
        elif self.exchange is not None:
            self.exchange.stream.resume()

    def undelivered(self) -> int:
        return self._connection.engine.queued_body_size(self.number)

    def splice_end(self) -> asyncio.Transport | None:
        return None  # frames have to be made

    # The response.

    def inform(self, headers: tuple[Pair, ...]) -> None:
        """An interim response has come."""
        exchange = self.exchange
        if exchange is None:
            return
        self._informational += 1
        response = self._read(exchange, headers, is_whole=False)
        if self._informational > INTERIM_LIMIT:
            self.invalid(ENDLESS_INTERIM)
        elif isinstance(response, Fault):
            self.invalid(response)
        elif response.is_interim:
            exchange.on_informational(response)

    def respond(self, headers: tuple[Pair, ...], *, is_whole: bool) -> None:
        """The head of the response has come, and nothing follows where it `is_whole`."""
        exchange = self.exchange
        if exchange is None:
            return
        if exchange.opens_websocket and headers[0][1][:1] == b"2":
            self._switch(exchange, headers, is_whole=is_whole)
            return
        known = (headers, is_whole, exchange.head_method)
        response: ResponseHead | Fault | None = self._connection.remembered(known)
        if response is None:
            response = self._read(exchange, headers, is_whole=is_whole)
            if isinstance(response, Fault):
                self.invalid(response)
                return
            if response.pitfalls is not None:
                exchange.on_pitfalls(response.pitfalls)
            self._connection.remember(known, response)
        assert isinstance(response, ResponseHead)
        self._has_answered = True
        self._has_no_body = response.length == 0
        exchange.on_head(response, b"")
        if self._has_no_body or is_whole:
            self._end(b"", is_whole=is_whole)

    def _switch(self, exchange: ResponseReceiver, headers: tuple[Pair, ...], *, is_whole: bool) -> None:
        """The service has opened a WebSocket."""
        key = exchange.fields.get(b"sec-websocket-key") or b""
        response = self._head(exchange, switching_head(headers, accept_of(key)), b"")
        if response is None or isinstance(response, Fault):
            self.invalid(response or _NO_RESPONSE)
            return
        exchange.on_switch(response, b"")
        if is_whole and self.tunnel is not None:
            self.tunnel.receive(b"", is_last=True)

    def _read(self, exchange: ResponseReceiver, headers: tuple[Pair, ...], *, is_whole: bool) -> ResponseHead | Fault:
        method = exchange.head_method
        response = self._head(exchange, response_head(headers, method, is_whole=is_whole), method)
        if response is None or (isinstance(response, ResponseHead) and response.status == 101):
            return _NO_RESPONSE
        return response

    def _head(self, exchange: ResponseReceiver, head: bytes, method: bytes) -> ResponseHead | Fault | None:
        settings = exchange.settings
        return read_response_head(
            head,
            method,
            settings.max_response_header,
            settings.max_headers,
            edit=self._address.response_edit,
        )

    def take(self, data: bytes, *, is_last: bool) -> None:
        """More of the body has come."""
        if self.tunnel is not None:
            self.tunnel.receive(data, is_last=is_last)
            return
        exchange = self.exchange
        if exchange is None:
            return
        if data:
            exchange.on_body(data)
            if self._is_paused:
                self._untaken += len(data)
            else:
                self._connection.took(self.number, len(data))
        if is_last:
            self._end(b"", is_whole=True)

    def take_trailers(self, headers: tuple[Pair, ...]) -> None:
        """The response has ended with trailers."""
        if self.tunnel is not None:
            self.tunnel.receive(b"", is_last=True)
            return
        exchange = self.exchange
        if exchange is None:
            return
        try:
            trailers = checked_trailers(lines_of_list(headers), of_response=True) if headers else b""
        except ChunkError:
            self._connection.let_go(self)
            self.exchange = None
            exchange.cut()
            return
        self._end(trailers, is_whole=True)

    def _end(self, trailers: bytes, *, is_whole: bool) -> None:
        """The response is whole, and let the exchange finish; `is_whole`: the service's side of the stream, too."""
        exchange = self.exchange
        if exchange is None:  # its client went while it was told
            return
        self.exchange = None
        connection = self._connection
        is_said = exchange.request_done and not exchange.opens_websocket
        if not is_said or not is_whole or connection.engine.queued_body_size(self.number):
            connection.reset(self.number, NO_ERROR)
        self._give_back()
        connection.let_go(self)
        exchange.on_end(trailers)

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        self._give_back()

    def _give_back(self) -> None:
        size, self._untaken = self._untaken, 0
        self._connection.took(self.number, size)

    # Ends that are not the good one.

    def closed(self, code: int) -> None:
        """The stream is gone, whoever ended it."""
        exchange, self.exchange = self.exchange, None
        self._connection.let_go(self)
        if self.tunnel is not None:
            self.tunnel.closed()
        if exchange is None:
            return
        self._give_back()
        if self._has_answered:
            exchange.cut(code if self.was_reset and code in _PASSED_ON else INTERNAL_ERROR)
        elif self.was_reset and code == HTTP_1_1_REQUIRED and self._address.upstream.scheme == "https":
            self._address.is_http1_only = True
            self._address.multiplexes = False
            exchange.on_reset(code, untouched=True)
        elif self.was_reset or code == REFUSED_STREAM:  # also what the engine says of streams beyond a GOAWAY's last
            exchange.on_reset(code, untouched=code == REFUSED_STREAM)
        else:
            exchange.on_invalid(Fault(502, "upstream-invalid", "its response is malformed (RFC 9113 §8.1.1)"))

    def invalid(self, fault: Fault) -> None:
        """What came is no response."""
        if self.tunnel is not None:
            self.tunnel.lose(ConnectionResetError(fault.detail))
        exchange = self.exchange
        if exchange is None:
            return
        if self._has_answered:
            self.exchange = None
            self._connection.let_go(self)
            exchange.cut()
        else:
            exchange.on_invalid(fault)

    def lost(self, error: Exception | None) -> None:
        """The connection has ended."""
        exchange, self.exchange = self.exchange, None
        self._connection.let_go(self)
        if self.tunnel is not None:
            self.tunnel.lose(error or ConnectionResetError("the connection has ended"))
        if exchange is None:
            return
        if self._has_answered:
            exchange.cut()
        else:
            exchange.on_closed(error, answered=False)

    def move(self, address: UpstreamAddress) -> None:
        """A service cannot tie a client to a connection that is everybody's."""

    def detach(self) -> None:
        self.exchange = None
        self.transport = self.tunnel = StreamTransport(self, self._connection)

    def left(self) -> None:
        self.tunnel = None
        self._connection.let_go(self)

    def finish_spliced(self, exchange: ResponseReceiver) -> None:
        raise NotImplementedError  # nothing is spliced

    def discard(self) -> None:
        if self.exchange is not None:
            self.exchange = None
            self._connection.reset(self.number, CANCEL)
            self._give_back()
            self._connection.let_go(self)
