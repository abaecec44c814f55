"""One request and its answer, whoever gives it: a service, devproxy's own pages, or the proxy itself.

Lives here: the order of things between a stream (the client's side) and a connection to a service, the time that an
exchange may take, and its end, where it is counted and logged. Every answer is an exchange, ours as well.
Not here: bytes to heads and back (`h1.py`, `upstream.py`), whether and where to (`dispatch.py`), how answers of our own
look (`error_pages.py`).

How it works: callbacks only. A request takes a pooled connection and is written in the same call; only where there is
none, a task dials. A failed attempt is made again by the rules of RFC 9110 §9.2.2: a request that may have been acted
on is not sent twice.

Time runs from the last byte that moved on either side. While a request has a body the deadline is only the next time at
which it is looked whether anything has: what the service has not read waits in our buffers, in the kernel's or in its
own, and the kernel tells (`net/sockets.py`). Who stood still is named.

A request that waits for its service to be started is held: a value in `ProxyState.held`, of whose body nothing is
read. Once the gate opens it is dispatched again (`dispatch.py`): by then the service may have another port, and the
registry may say something else.
"""

import asyncio
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from devproxy.http1.fields import Section
from devproxy.http1.framing import CHUNKED
from devproxy.http1.grammar import Fault
from devproxy.http1.h2_fields import INTERNAL_ERROR, WEBSOCKET
from devproxy.http1.response import ENDLESS_INTERIM, Pitfalls, ResponseHead, switch_fault
from devproxy.proxy.answers import (
    Respond,
    closed_early,
    invalid_answer,
    no_answer,
    own_fault,
    reset_early,
    too_many_waiting,
)
from devproxy.proxy.decide import Reading, own_pages
from devproxy.proxy.error_pages import render
from devproxy.proxy.forward import pass_mark
from devproxy.proxy.gates import Dormant, start_timeout
from devproxy.proxy.in_process import connect_in_process
from devproxy.proxy.interfaces import ClientStream, ResponseReceiver
from devproxy.proxy.pitfalls import note_pitfalls
from devproxy.proxy.pool import UpstreamAddress, UpstreamStream
from devproxy.proxy.retry import Retry
from devproxy.proxy.splice import Splice, splice
from devproxy.proxy.upstream import UpstreamConnection
from devproxy.registry.model import ProxySettings
from devproxy.routing.table import Route

SAFE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
NEVER: Final = float("inf")
_IDEMPOTENT: Final = SAFE | {b"PUT", b"DELETE"}
_LOOKS: Final = 8  # times within `response_timeout` at which it is looked whether the service takes the body
_LOOK_EVERY: Final = 1.0  # seconds between two looks at a service that stands still
_HELD_LIMIT: Final = 65536  # bytes of a body that wait for a connection before the client has to
WAITING_LIMIT = 1 << 26  # bytes that all requests at gates may keep together
_WAITING_COST: Final = 8192  # of them for each, whatever it has sent: its objects, and those of its connection


class Exchange(ResponseReceiver):
    """A request and its answer.

    `deadline` is on the loop's clock. `request_done`: all of the request has come; `wants_body`: what comes of its body
    is to be handed over. `responded`: a byte of a service's response has gone out. `bytes_out` counts the response's
    body bytes. `service_id` is empty where no service is concerned. `ended`: it is over, however it went.
    """

    __slots__ = (
        "_head",
        "_held",
        "_held_trailers",
        "_informed",
        "_keeps_body",
        "_moved_at",
        "_pooled",
        "_retry",
        "_sent_body",
        "_undelivered",
        "_waiting",
        "_was_paused",
        "added",
        "address",
        "bytes_out",
        "deadline",
        "ended",
        "fields",
        "head_method",
        "length",
        "method",
        "proxy",
        "reading",
        "request_done",
        "responded",
        "route",
        "service_id",
        "settings",
        "splice",
        "started",
        "status",
        "stream",
        "target",
        "upstream",
        "wants_body",
    )

    route: Route
    address: UpstreamAddress
    _head: bytes
    _pooled: bool

    def __init__(self, stream: ClientStream, method: bytes, target: bytes, reading: Reading, fields: Section):
        self.stream = stream
        self.proxy = proxy = stream.proxy
        self.method = method
        self.target = target
        self.reading = reading
        self.fields = fields
        self.settings: ProxySettings = proxy.snapshot.settings
        self.length = length = reading.length
        self.head_method = b"HEAD" if method == b"HEAD" else b""
        self.request_done = length == 0
        self.wants_body = False
        self.responded = False
        self.ended = False
        self.status = 0
        self.bytes_out = 0
        self.service_id = ""
        self.added = b""  # lines of ours that the response gains
        self.deadline = NEVER
        self.started = proxy.loop.time() if proxy.access_log is not None else proxy.clock
        self.upstream: UpstreamStream | None = None
        self.splice: Splice | None = None
        self._held = b""  # the body so far while no connection is there to take it
        self._held_trailers: bytes | None = None  # and its trailers, once it is whole
        self._sent_body = False
        self._keeps_body = False  # of what was sent, in `_held`
        self._waiting = 0  # bytes that it keeps while it is held
        self._informed = False
        self._was_paused = False
        self._moved_at = 0.0
        self._undelivered = -1  # at the last look
        self._retry: Retry | None = None
        proxy.exchanges.add(self)

    # What becomes of it, by `dispatch.py`.

    def concerns(self, route: Route) -> None:
        """Remember whose request it is."""
        self.route = route
        self.service_id = route.service.id

    def forward(self, route: Route) -> None:
        """Send the request to the service of `route`."""
        self.route = route
        self.service_id = route.service.id
        stream, reading, target = self.stream, self.reading, self.target
        self._head = b"%b %b HTTP/1.1\r\n%b%b%08x\r\n\r\n" % (
            self.method,
            target if not route.strip else route.target(target),
            reading.lines(self.fields, route, self.method),
            reading.added(route, stream.peer, self.settings.trusted_forwarded),
            pass_mark(self.method, target),
        )
        self.address = stream.address_of(route)
        self.deadline = self.proxy.clock + route.service.response_timeout
        if self.request_done:
            self.start()
        else:
            self.wants_body = True
            stream.send_request_body(self)

    def hold(self) -> None:
        """Wait at the gate of the service for as long as a request may, if there is room for one more."""
        self.deadline = self.proxy.clock + start_timeout(self.route.service)
        self.proxy.held.add(self)
        self.keep_waiting(_WAITING_COST + len(self.fields.raw) + self.stream.waiting())

    def keep_waiting(self, size: int) -> None:
        """Count `size` bytes more that this request keeps while it is held; it ends where all keep too many."""
        self._waiting += size
        self.proxy.waiting_bytes += size
        if self.proxy.waiting_bytes > WAITING_LIMIT:
            self.answer(too_many_waiting(self.route.service))

    def let_go(self) -> None:
        """Wait at the gate no longer."""
        self.deadline = NEVER
        self._leave_gate()

    def _leave_gate(self) -> None:
        self.proxy.held.discard(self)
        if self._waiting:
            self.proxy.waiting_bytes -= self._waiting
            self._waiting = 0

    def answer(self, respond: Respond) -> None:
        """End with an answer of our own; where a response has begun it can only be cut."""
        if self.ended:
            return
        self.release()
        if self.responded:
            self._end_with_cut()
            return
        self.status = respond.status
        self.service_id = self.service_id or respond.service
        self._record()
        self.stream.answer(self, respond)
        self.proxy.exchanges.discard(self)

    def rendered(self, respond: Respond, *, close: bool) -> bytes:
        """An answer of our own, as a response of HTTP/1.1."""
        # A head that could not be read says nothing of its client: JSON, where nothing echoed passes for markup.
        accept = self.fields.any(b"accept") if self.reading.host else b"application/problem+json"
        return render(
            respond,
            accept=accept,
            method=self.method,
            date=formatdate(usegmt=True),
            close=close,
            minor=self.reading.minor,
            pages=own_pages(self.reading),
        )

    # The request, from the stream.

    def start(self) -> None:
        """Send the request's head, on a connection that is there or on a new one.

        An upload gets a new one: a kept one may have ended unnoticed, and what is sent on it could not be sent again.
        """
        if self.address.multiplexes and not self.reading.upgrade:
            pooled = self.address.open_stream()
        elif not self.request_done and (self.length > _HELD_LIMIT or self.length == CHUNKED):
            pooled = self.address.take_none()
        else:
            pooled = self.address.take(self.proxy.clock, repeatable=self.method in SAFE)
        if pooled is None:
            self._dial()
        else:
            self._pooled = True
            self.use(pooled)

    @property
    def opens_websocket(self) -> bool:
        upgrade = self.reading.upgrade
        return bool(upgrade) and self.method == b"GET" and not self.length and WEBSOCKET in upgrade.lower().split(b", ")

    def _dial(self) -> None:
        self._pooled = False
        control = self.proxy.control
        if control is not None and self.address.is_in_process:
            self.use(connect_in_process(UpstreamConnection(self.address), control(), self.stream.peer))
            return
        if self._retry is None:
            self._retry = Retry(self)
        self._retry.start()

    def progress(self) -> None:
        """More of the request's body has come: the time to answer begins again, unless the answer has begun."""
        if not self.responded:
            self._moved_at = clock = self.proxy.clock
            self.deadline = clock + self.route.service.response_timeout / _LOOKS

    def on_request_body(self, payload: bytes) -> None:
        """Pass on body bytes, without their framing."""
        if self.upstream is None:
            self._held += payload
            if len(self._held) > _HELD_LIMIT:
                self.stream.pause()
        else:
            self._sent_body = True
            if self._keeps_body:
                self._keep(payload)
            self.upstream.send_body(payload)

    def _keep(self, payload: bytes) -> None:
        """Keep what was sent until it is answered: the service may refuse the stream, and another takes it."""
        self._held += payload
        if len(self._held) > _HELD_LIMIT:
            self._held, self._keeps_body = b"", False

    def splice_request(self, data: bytes, left: int, ended: Callable[[str | None], None]) -> bool:
        """Let the kernel move `data` and the `left` bytes behind it to the service; False where it cannot."""
        source = self.stream.splice_end()
        sink = self.upstream.splice_end() if self.upstream is not None else None
        if source is None or sink is None or self.splice is not None:
            return False
        self.splice = splice(source, sink, data, left, ended)
        self._sent_body = True
        return self.splice is not None

    def on_request_end(self, trailers: bytes) -> None:
        """The request is whole. `trailers` are field lines, checked."""
        self.request_done = True
        self.wants_body = False
        if self.upstream is None or self._keeps_body:
            self._held_trailers = trailers
        if self.upstream is None:
            return
        if self.length == CHUNKED:
            self._sent_body = True
            self.upstream.send_end(trailers)

    def use(self, connection: UpstreamStream) -> None:
        """Send what there is of the request on `connection`."""
        self.upstream = connection
        if self.length == 0:
            connection.begin(self, self._head)
            return
        held, self._held = self._held, b""
        if self.address.multiplexes and len(held) <= _HELD_LIMIT:
            self._held, self._keeps_body = held, True
        if not held and self._held_trailers is None:
            connection.begin(self, self._head)
            return
        self._sent_body = True
        connection.begin_with_body(self, self._head, held, self._held_trailers)
        self.stream.resume()

    def on_closed(self, error: Exception | None, *, answered: bool) -> None:
        """The service closed before a whole response head; `answered` says whether part of one had come."""
        self.upstream = None
        if error is not None and not isinstance(error, OSError):  # what it sent, we failed to handle
            self.answer(own_fault(error))
            return
        repeatable = not answered and not self._sent_body
        if self._pooled and not answered and self.address.client is not None:
            self.cut()  # what the service knew of this client is gone with it: the two connections end together
        elif repeatable and self._pooled and self.method in _IDEMPOTENT:
            self._dial()  # it had been idle: the service may have closed it before it saw the request
        elif not (repeatable and self.method in SAFE and self._schedule_retry()):
            self.answer(closed_early(self.route.service, error, answered=answered))

    def on_reset(self, code: int, *, untouched: bool) -> None:
        self.upstream = None
        is_kept = self._keeps_body or not self._sent_body
        if untouched and is_kept and (self._pooled or self._schedule_retry(is_up=True)):
            self._sent_body = self._keeps_body = False
            if self._pooled:
                self._dial()
        else:
            self.answer(reset_early(self.route.service, code, is_lost=untouched and not is_kept))

    def _schedule_retry(self, *, is_up: bool = False) -> bool:
        if self.address.is_in_process:
            return False  # there is no socket to dial
        if self._retry is None:
            self._retry = Retry(self)
        return self._retry.schedule(is_up=is_up)

    # The response, from the connection to the service.

    def on_informational(self, response: ResponseHead) -> None:
        self._informed = True
        self.stream.inform(response)

    def on_pitfalls(self, pitfalls: Pitfalls) -> None:
        note_pitfalls(self, pitfalls)

    def on_head(self, response: ResponseHead, body: bytes) -> None:
        self.responded = True
        self.status = response.status
        self.address.alive_at = self.proxy.clock
        self.deadline = NEVER
        self.bytes_out = len(body)
        if self._keeps_body:
            self._held, self._keeps_body = b"", False
        self.stream.head(self, response, body)

    def on_body(self, data: bytes) -> None:
        self.bytes_out += len(data)
        self.stream.body(data)

    def splice_response(self, service: asyncio.Transport, data: bytes, left: int) -> bool:
        sink = self.stream.splice_end()
        if sink is None or self.splice is not None:
            return False
        self.splice = splice(service, sink, data, left, self._response_spliced)
        if self.splice is None:
            return False
        self.bytes_out += len(data) + left
        return True

    def _response_spliced(self, error: str | None) -> None:
        self.splice = None
        upstream = self.upstream
        if error is not None or upstream is None:
            self.cut()
        else:
            upstream.finish_spliced(self)

    def on_end(self, trailers: bytes) -> None:
        self.upstream = None
        if self.splice is not None:
            self._end_splice()
        self._record()
        self.stream.end(self, trailers)
        self.proxy.exchanges.discard(self)

    def on_switch(self, response: ResponseHead, first: bytes) -> None:
        """The service answered 101: from here on there is a tunnel, if that was asked for."""
        key = self.reading.fields.get(b"sec-websocket-key")
        fault = switch_fault(response, self.reading.upgrade, key)
        upstream = self.upstream
        if fault is not None or not self.request_done or upstream is None:
            early = Fault(502, "upstream-invalid", "it switched protocols before the request was whole")
            self.answer(invalid_answer(self.route.service, fault or early))
            return
        self.responded = True
        self.status = 101
        self.address.alive_at = self.proxy.clock
        self.upstream = None
        upstream.detach()
        self._record()
        self.stream.switch(self, upstream.transport, response, first)
        self.proxy.exchanges.discard(self)

    # Ends that are not the good one.

    def on_invalid(self, fault: Fault) -> None:
        """What came is no HTTP; on a kept connection it may belong to the request before, so once more on a new one."""
        upstream = self.upstream
        repeatable = self._pooled and not self._sent_body and self.method in SAFE and self.address.client is None
        if not repeatable or upstream is None or fault is ENDLESS_INTERIM:
            self.answer(invalid_answer(self.route.service, fault))
            return
        self.upstream = None
        upstream.discard()
        self._dial()

    def cut(self, code: int = INTERNAL_ERROR) -> None:
        self.release()
        if not self.ended:
            self._end_with_cut(code)

    def _end_with_cut(self, code: int = INTERNAL_ERROR) -> None:
        self._record()
        self.stream.cut(self, code)
        self.proxy.exchanges.discard(self)

    @property
    def is_broken(self) -> bool:
        """Whether something of ours failed in it: seen between two calls of the loop's, nobody goes on with it, or its
        stream has not heard that it has ended."""
        if self.ended:
            return True
        if self.upstream is not None:
            return self.upstream.exchange is not self
        retry = self._retry
        return not (self in self.proxy.held or (retry is not None and retry.is_under_way and not self.responded))

    def collapse(self) -> None:
        """Something of ours has failed in it. End it with no word to its client, of whom nobody knows what it got."""
        self.proxy.exchanges.discard(self)
        try:
            self.stream.cut(self)
        finally:
            self.release()
            if not self.ended:
                self._record()

    def refuse_body(self, fault: Fault) -> None:
        """A fault in the request's body: the service must never see it end well."""
        self.release()
        if self.responded:
            self.cut()
        else:
            self.answer(Respond.to(fault))

    def expire(self) -> None:
        """The deadline has passed, which says little while a body is on its way."""
        service = self.route.service
        if self in self.proxy.held:
            self.answer(self.late())
        elif not (self.length and self._is_moving()):
            unread = self._undelivered if self.length else 0
            unasked = not self._informed and not self._sent_body and self.fields.any(b"expect") is not None
            whole = self.request_done or unasked
            if not ((whole or unread > 0) and self._is_paused()):
                self.answer(no_answer(service, service.response_timeout, whole=whole, unread=max(0, unread)))

    def _is_paused(self) -> bool:
        """Whether the service could not answer in its time: then it gets all of it anew, once its process goes on."""
        clock, paused = self.proxy.clock, self.proxy.is_paused(self.service_id, self.deadline)
        if paused is None:  # somebody looks: the deadline is past at the next tick, too
            return True
        if paused:
            self._was_paused = True
            self.deadline = clock + _LOOK_EVERY
        elif self._was_paused:
            self._was_paused = False
            self._moved_at = clock
            self.deadline = clock + self.route.service.response_timeout
        else:
            return False
        return True

    def _is_moving(self) -> bool:
        """Whether a byte of the request has moved within `response_timeout`; sets the time of the next look."""
        now, timeout = self.proxy.clock, self.route.service.response_timeout
        waiting = len(self._held) if self.upstream is None else self.upstream.undelivered()
        moved = self.splice is not None and self.splice.progressed()
        if self.splice is not None:
            waiting += self.splice.held
        if moved or waiting != self._undelivered >= 0:
            self._moved_at = now
        self._undelivered = waiting
        until = self._moved_at + timeout
        self.deadline = min(until, now + timeout / _LOOKS)
        return now < until

    @property
    def waits(self) -> bool:
        """Whether it has a connection to its service, and nothing has come back over it."""
        return self.upstream is not None and not self.responded and not self.address.is_in_process

    def waits_since(self) -> float:
        """When the wait for its service began, on the loop's clock: with the last byte of its body that moved."""
        return max(self.started, self._moved_at) if self.waits and self.request_done else NEVER

    def late(self) -> Respond:
        """The answer to a request that can wait at the gate no longer."""
        gate = self.proxy.gates.get(self.service_id)
        dormant = gate.dormant if gate is not None else None
        return (dormant or Dormant(self.route.service)).late

    def abandon(self) -> None:
        """The client is gone."""
        if not self.ended:
            self.release()
            self.finish()

    def release(self) -> None:
        """Let go of everything: nobody waits for the response any more."""
        self.wants_body = False
        self._leave_gate()
        self._end_splice()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self.upstream is not None:
            self.upstream.discard()
            self.upstream = None

    def _end_splice(self) -> None:
        if self.splice is not None:
            self.splice.close()
            self.splice = None

    def finish(self) -> None:
        """It is over, and its stream knows."""
        self._record()
        self.proxy.exchanges.discard(self)

    def _record(self) -> None:
        """The one place where an exchange is counted and logged. It stays among those that are open until its stream
        has heard of its end: one that ended and is there still has failed (`is_broken`)."""
        self.ended = True
        self._retry = None  # which knows this exchange
        proxy = self.proxy
        proxy.counts[self.service_id][self.status] += 1
        if proxy.access_log is not None:
            proxy.log(self)
