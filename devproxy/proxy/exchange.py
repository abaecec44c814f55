"""One request and its response: both bodies, back-pressure, and what is done when the service fails.

Lives here: the order of things between a front (the client's side) and an upstream connection.
Not here: bytes to heads and back (`h1.py`, `upstream.py`), whether and where to (`decide.py`), how answers of our own
look (`error_pages.py`).

How it works: callbacks only. A request takes a pooled connection and is written in the same call; only where there is
none, a task dials. A failed attempt is made again by the rules of RFC 9110 §9.2.2: a request that may have been acted
on is not sent twice.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from devproxy.http1.fields import Section
from devproxy.http1.framing import CHUNKED, chunk, delimited, last_chunk
from devproxy.http1.grammar import Fault, RequestHead
from devproxy.http1.response import ResponseHead, switch_fault
from devproxy.proxy.answers import Respond, closed_early, invalid_answer, no_answer
from devproxy.proxy.decide import Reading
from devproxy.proxy.forward import chain_entry
from devproxy.proxy.gates import Dormant
from devproxy.proxy.pool import UpstreamAddress
from devproxy.proxy.retry import Retry
from devproxy.proxy.splice import Splice, splice
from devproxy.proxy.upstream import UpstreamConnection
from devproxy.registry.model import ProxySettings
from devproxy.routing.table import Route

if TYPE_CHECKING:
    from devproxy.proxy.h1 import ClientConnection


SAFE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
_IDEMPOTENT: Final = SAFE | {b"PUT", b"DELETE"}
_HELD_LIMIT: Final = 65536  # bytes of a body that wait for a connection before the client has to
_NEVER: Final = float("inf")


class Exchange:
    """A request on its way. `front` is the client's connection; `bytes_out` counts the response's body bytes."""

    __slots__ = (
        "_chunks",
        "_head",
        "_held",
        "_pooled",
        "_retry",
        "_sent_body",
        "added",
        "address",
        "bytes_out",
        "fields",
        "front",
        "head_method",
        "length",
        "method",
        "proxy",
        "reading",
        "request_done",
        "responded",
        "route",
        "settings",
        "splice",
        "started",
        "status",
        "target",
        "upstream",
    )

    def __init__(self, front: "ClientConnection", reading: Reading, fields: Section, route: Route, head: RequestHead):
        self.front = front
        self.proxy = proxy = front.proxy
        self.settings: ProxySettings = proxy.snapshot.settings
        self.reading = reading
        self.route = route
        self.fields = fields
        self.method = method = head[0]
        self.target = target = head[1]
        self.length = reading.length
        self.head_method = b"HEAD" if method == b"HEAD" else b""
        self.request_done = self.length == 0
        self.responded = False
        self.status = 0
        self.bytes_out = 0
        self.added = b""  # lines of ours that the response gains
        self.started = proxy.loop.time() if proxy.access_log is not None else 0.0
        self.upstream: UpstreamConnection | None = None
        self.splice: Splice | None = None
        self._held = b""  # the body so far while no connection is there to take it
        self._chunks = False  # the client gets chunked coding
        self._sent_body = False
        self._pooled = False
        self._retry: Retry | None = None
        self._head = b"%b %b HTTP/1.1\r\n%b%b%b\r\n\r\n" % (
            method,
            target if not route.strip else route.target(target),
            reading.lines(fields, route),
            reading.added(route, front.peer, self.settings.trusted_forwarded),
            chain_entry(route, method, target),
        )
        self.address: UpstreamAddress = front.address_of(route)

    # The request, from the front.

    def start(self) -> None:
        """Send the request's head, on a connection that is there or on a new one."""
        pooled = self.address.take(self.proxy.clock, repeatable=self.method in SAFE)
        if pooled is None:
            self._dial()
        else:
            self._pooled = True
            self.use(pooled)

    def _dial(self) -> None:
        self._pooled = False
        if self._retry is None:
            self._retry = Retry(self)
        self._retry.start()

    def on_request_body(self, payload: bytes) -> None:
        """Pass on body bytes, without their framing."""
        if self.upstream is None:
            self._held += payload
            if len(self._held) > _HELD_LIMIT:
                self.front.pause()
        else:
            self._sent_body = True
            self.upstream.transport.write(chunk(payload) if self.length == CHUNKED else payload)

    def splice_request(self, data: bytes, left: int, ended: Callable[[str | None], None]) -> bool:
        """Let the kernel move `data` and the `left` bytes behind it to the service; False where it cannot."""
        if self.upstream is None or self.splice is not None:
            return False
        self.splice = splice(self.front.transport, self.upstream.transport, data, left, ended)
        self._sent_body = True
        return self.splice is not None

    def on_request_end(self, trailers: bytes) -> None:
        """The request is whole. `trailers` are field lines, checked."""
        self.request_done = True
        if self.length == CHUNKED:
            if self.upstream is None:
                self._held_trailers(trailers)
            else:
                self._sent_body = True
                self.upstream.transport.write(last_chunk(trailers))

    def _held_trailers(self, trailers: bytes) -> None:
        self._held = (chunk(self._held) if self._held else b"") + last_chunk(trailers)

    def use(self, connection: UpstreamConnection) -> None:
        """Send what there is of the request on `connection`."""
        self.upstream = connection
        if not self._held:
            connection.begin(self, self._head)
            return
        held, self._held = self._held, b""
        self._sent_body = True
        framed = chunk(held) if self.length == CHUNKED and not self.request_done else held
        connection.begin(self, self._head + framed)
        self.front.resume()

    def on_closed(self, error: Exception | None, *, answered: bool) -> None:
        """The service closed before a whole response head; `answered` says whether part of one had come."""
        self.upstream = None
        repeatable = not answered and not self._sent_body
        if repeatable and self._pooled and self.method in _IDEMPOTENT:
            self._dial()  # it had been idle: the service may have closed it before it saw the request
        elif not (repeatable and self.method in SAFE and self._schedule_retry()):
            self.front.answer(closed_early(self.route.service, error, answered=answered), self)

    def _schedule_retry(self) -> bool:
        if self._retry is None:
            self._retry = Retry(self)
        return self._retry.schedule()

    # The response, from the upstream connection.

    def on_informational(self, response: ResponseHead) -> None:
        """Pass on a 1xx, except to a client of HTTP/1.0 (RFC 9110 §15.2)."""
        if self.reading.minor:
            self.front.transport.write(response.towards(1, b""))

    def on_head(self, response: ResponseHead, body: bytes) -> None:
        """Pass on a response head with the first bytes of its body."""
        front = self.front
        self.responded = True
        self.status = response.status
        self.address.alive_at = self.proxy.clock
        front.deadline = _NEVER
        minor = self.reading.minor
        if minor and response.plain and self.request_done and front.keep_alive:
            head = response.plain
        else:
            if not (self.request_done and delimited(response.length, minor)):
                front.keep_alive = False
            connection = b"" if front.keep_alive and minor else b"keep-alive" if front.keep_alive else b"close"
            head = response.towards(minor, connection)
        self.bytes_out = len(body)
        if response.length == CHUNKED and minor:
            self._chunks = True
            body = chunk(body) if body else body
        if self.added:
            head = head[:-2] + self.added + b"\r\n"
        front.transport.write(head + body if body else head)

    def on_body(self, data: bytes) -> None:
        """Pass on body bytes, without their framing."""
        self.bytes_out += len(data)
        if self._chunks:
            self.front.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            self.front.transport.write(data)

    def splice_response(self, connection: UpstreamConnection, data: bytes, left: int) -> bool:
        """Let the kernel move `data` and the `left` bytes behind it to the client; False where it cannot."""
        if self.splice is not None:
            return False
        self.splice = splice(connection.transport, self.front.transport, data, left, self._response_spliced)
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
        """The response is whole."""
        self.upstream = None
        self._end_splice()
        if self._chunks:
            self.front.transport.write(last_chunk(trailers))
        self.front.finished(self)

    def on_switch(self, response: ResponseHead, first: bytes) -> None:
        """The service answered 101: from here on the connection is a tunnel, if that was asked for."""
        key = self.reading.fields.get(b"sec-websocket-key")
        fault = switch_fault(response, self.reading.upgrade, key)
        upstream = self.upstream
        if fault is not None or not self.request_done or upstream is None:
            self.on_invalid(
                fault or Fault(502, "upstream-invalid", "it switched protocols before the request was whole")
            )
            return
        self.responded = True
        self.status = 101
        self.address.alive_at = self.proxy.clock
        self.upstream = None
        upstream.detach()
        self.front.switch(self, upstream.transport, response.towards(1, b"")[:-2] + self.added + b"\r\n" + first)

    # Ends that are not the good one.

    def on_invalid(self, fault: Fault) -> None:
        """The service answered something that is no HTTP, before any of it was passed on."""
        self.release()
        self.front.answer(invalid_answer(self.route.service, fault), self)

    def cut(self) -> None:
        """The response broke off: the client must see that too."""
        self.release()
        self.front.cut(self)

    def expired(self) -> Respond:
        """No response head within the time; returns the answer for it."""
        self.release()
        return no_answer(self.route.service, self.route.service.response_timeout, whole=self.request_done)

    def release(self) -> None:
        """Let go of everything: nobody waits for the response any more."""
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


# A request that waits for its service to be started.
#
# How it works: nothing of the request is passed on or taken apart. Its bytes, and those behind it, stay in the
# connection's buffer from its first one on, and are read as if they came just now once its service is up: by then its
# port may be another one, and the registry too. To its connection it looks like an exchange whose request is whole, so
# that nothing more is expected of the client, and one that has gone is noticed.


class HeldRequest:
    """One request of `front`, whose head takes `size` bytes of what waits there."""

    __slots__ = ("fields", "front", "method", "reading", "route", "size", "started", "status", "target")

    # As an exchange would have them:
    request_done: Final[Literal[True]] = True
    responded: Final[Literal[False]] = False
    bytes_out: Final = 0
    upstream: ClassVar[None] = None
    splice: ClassVar[None] = None

    def __init__(self, front: "ClientConnection", reading: Reading, fields: Section, route: Route, head: RequestHead):
        self.front = front
        self.reading = reading
        self.fields = fields
        self.route = route
        self.method, self.target, _, _, self.size = head
        self.status = 0
        self.started = 0.0

    def wait(self) -> None:
        """Begin to wait, for as long as a request may."""
        proxy = self.front.proxy
        self.started = proxy.loop.time()
        self.front.deadline = proxy.clock + self.route.service.response_timeout
        proxy.held.add(self)

    def look(self) -> None:
        """The gates have changed: go on, or end, if this one's has."""
        gate = self.front.proxy.gates.get(self.route.service.id)
        if not isinstance(gate, Dormant):
            self.release()
            self.front.dispatch_again()
        elif gate.instead is not None:
            self.answer(gate.instead)

    def answer(self, respond: Respond) -> None:
        """Wait no longer."""
        self.release()
        self.front.skip(self.size, has_body=self.reading.length != 0)
        self.front.answer(respond, self)

    def expired(self) -> Respond:
        """It has waited for as long as a request may; returns the answer for it."""
        self.release()
        self.front.skip(self.size, has_body=self.reading.length != 0)
        return self.late()

    def late(self) -> Respond:
        """The answer to a request that can wait no longer."""
        gate = self.front.proxy.gates.get(self.route.service.id)
        return gate.late if isinstance(gate, Dormant) else Dormant(self.route.service).late

    def release(self) -> None:
        """Nobody waits any more."""
        self.front.proxy.held.discard(self)
