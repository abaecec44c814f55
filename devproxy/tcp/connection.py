"""One client of a TCP service, from accept(2) until both sides are closed: its way to the service.

Lives here: `TcpConnection`, until it is joined to the service, and why one is closed instead (`Refusal`).
Not here: listening, and what all connections share (`forwarder.py`), moving bytes (`relay.py`), starting a service
(`daemon/activation.py`).

How it works: the service is dialled at once, and what it says first is passed on at once, so that a protocol with a
banner works; what the client says first is read by us, and judged, before the service gets any of it
(`request_line.py`). What stands before a service is asked of the same gates as for HTTP: one that is closed closes the
connection; one that a connection starts is woken, and the connection waits. Before it is woken the client has
`_SPEAKS_WITHIN` to say something: a web page does so at once, and starts nothing.

A service that nothing answers for is tried again for `hold`, where it was there a moment ago or is being started.
"""

import asyncio
import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from devproxy.net.sockets import keep_alive
from devproxy.proxy.gates import start_timeout
from devproxy.proxy.retry import RETRY_EVERY
from devproxy.registry.model import Service, Upstream
from devproxy.tcp.relay import Relay
from devproxy.tcp.request_line import LONGEST, is_request

if TYPE_CHECKING:
    from devproxy.tcp.forwarder import Forwarder

_SPEAKS_WITHIN: Final = 0.3  # seconds
_WORDS: Final = b"What listens here does not speak HTTP; devproxy has passed nothing on.\n"
_HTTP_ANSWER: Final = (  # which names nothing: a page that has fooled DNS could read it
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
    % (len(_WORDS), _WORDS)
)

_log = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """Why a client is closed, and what to do about it; `answer` is for the client, if it has not got anything yet."""

    why: str
    fix: str = ""
    answer: bytes = b""


_GONE: Final = Refusal("")  # it has said nothing, and starts nothing: it only looked whether somebody listens
_HTTP: Final = Refusal(
    "the connection began with an HTTP request, as of a web page that attacks it; nothing was passed on",
    'if the service does speak HTTP: cross_protocol = "allow"',
    _HTTP_ANSWER,
)


class DialFailure(NamedTuple):
    """No connection to a service. `is_final`: trying again leads to nothing else."""

    refusal: Refusal
    is_final: bool = False


class TcpConnection:
    """A client of one service, from accept(2) until both sides are closed."""

    __slots__ = (
        "_client",
        "_eof",
        "_first",
        "_forwarder",
        "_judged",
        "_reads",
        "_said",
        "_task",
        "is_held",
        "loop",
        "pipes",
        "relay",
        "service_id",
        "upstream",
    )

    def __init__(self, forwarder: "Forwarder", client: socket.socket, service: Service):
        self._forwarder = forwarder
        self.loop = forwarder.loop
        self.pipes = forwarder.pipes
        self._client = client
        self._first = b""  # what the client has sent, and nobody has got yet
        self._eof = False
        self._judged = service.cross_protocol == "allow"
        self._said = asyncio.Event()  # the client has said enough to be judged, or something else has changed
        self._reads = True
        self.is_held = False  # at the gate of a service that is being started
        self.service_id = service.id
        self.upstream: Upstream | None = None  # where it leads, once it does
        self.relay: Relay | None = None
        self.loop.add_reader(client.fileno(), self._read_first)
        self._task: asyncio.Task[None] | None = self.loop.create_task(self._open())

    def look_again(self) -> None:
        """What stands before services has changed."""
        if self.is_held:
            self.is_held = self._forwarder.is_dormant(self.service_id)
        self._said.set()

    # What the client says first

    def _read_first(self) -> None:
        try:
            piece = self._client.recv(LONGEST)
        except BlockingIOError:
            return
        except OSError:
            if self.relay is not None:
                self.relay.break_off(self.relay.upward.sink)
            else:
                self.close()
            return
        self._first += piece
        self._eof = not piece
        if not self._judged:
            verdict = is_request(self._first)
            if verdict:
                self._forwarder.refuse(self, _HTTP)
                return
            self._judged = verdict is False or self._eof
        if self._judged:
            self._said.set()
            if self.relay is not None:
                self._begin()
                return
        if self._eof or len(self._first) >= LONGEST:
            self._stop_reading()

    def _stop_reading(self) -> None:
        if self._reads:
            self._reads = False
            self.loop.remove_reader(self._client.fileno())

    def _begin(self) -> None:
        """What the client has said may go to the service."""
        assert self.relay is not None
        self._stop_reading()
        first, self._first = self._first, b""
        self.relay.begin(first, finished=self._eof)

    # The way to the service

    async def _open(self) -> None:
        try:
            outcome = await self._connect()
        except Exception:
            _log.exception("a connection to %s failed", self.service_id)
            outcome = Refusal("something went wrong in devproxy itself")
        self._task = None
        if isinstance(outcome, Refusal):
            self._forwarder.refuse(self, outcome)
        else:
            service, self.upstream = outcome
            keep_alive(service)
            self.relay = Relay(self, self._client, service)
            self.relay.start()
            if self._judged:
                self._begin()

    async def _connect(self) -> tuple[socket.socket, Upstream] | Refusal:
        """A connection to the service, or why there is none."""
        forwarder = self._forwarder
        patience: float | None = None
        while (service := forwarder.service(self.service_id)) is not None:
            barred = await self._pass_gate(service)
            if barred is not None:
                return barred
            service = forwarder.service(self.service_id) or service  # it may have been started meanwhile
            outcome = await forwarder.dial(service)
            if not isinstance(outcome, DialFailure):
                return outcome
            now = self.loop.time()
            if patience is None:
                patience = now + service.hold if forwarder.is_restarting(service) else now
            if outcome.is_final or (now >= patience and not forwarder.is_dormant(service.id)):
                return outcome.refusal
            await asyncio.sleep(RETRY_EVERY)
        return Refusal("it is not in the registry any more")

    async def _pass_gate(self, service: Service) -> Refusal | None:
        """None once nothing stands before the service."""
        forwarder, identity = self._forwarder, service.id
        until = self.loop.time() + start_timeout(service)
        asked = False
        while (gate := forwarder.proxy.gates.get(identity)) is not None:
            if gate.refusal is not None:
                return Refusal(gate.refusal.detail, gate.refusal.fix)
            if gate.dormant is None:
                return None
            if gate.dormant.instead is not None:
                return Refusal(gate.dormant.instead.detail, gate.dormant.instead.fix)
            if not asked and not self._judged:
                asked = True
                await self._changed(_SPEAKS_WITHIN)
            if self._eof and not self._first:
                return _GONE
            self._said.clear()
            self.is_held = True
            forwarder.proxy.wake(identity)
            if forwarder.proxy.gates.get(identity) is gate and not await self._changed(until - self.loop.time()):
                late = gate.dormant.late
                return Refusal(late.detail, late.fix)
        return None

    async def _changed(self, seconds: float) -> bool:
        """Wait until something has changed; False where it has not within `seconds`."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._said.wait()
        except TimeoutError:
            return False
        return True

    # The end

    def close(self, answer: bytes = b"") -> None:
        """Close the client, and the service if they are joined; `answer` is for one that has not got anything yet."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if answer and (self.relay is None or not self.relay.downward.began):
            with contextlib.suppress(OSError):
                self._client.send(answer)
        if self.relay is not None:
            self.relay.close()
            return
        self._stop_reading()
        self._client.close()
        self._forwarder.forget(self)

    def watch_liveness(self, relay: Relay) -> None:
        """See `RelayOwner`."""
        self._forwarder.proxy.watch_liveness(relay)

    def end_relay(self, relay: Relay) -> None:
        """See `RelayOwner`."""
        self._forwarder.proxy.liveness_watched.discard(relay)
        self._stop_reading()
        self._forwarder.forget(self)
