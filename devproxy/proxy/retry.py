"""Getting a request onto a connection of its own, again and again while its service restarts.

Lives here: when to dial, how long a service that answered a moment ago is waited for, what to answer when nobody takes
the connection.
Not here: connect() and the order of addresses (`net/dial.py`), what it speaks (`negotiate.py`), whether a request may
be sent twice (`exchange.py`).
"""

import asyncio
from typing import Final, Protocol

from devproxy.http1.fields import Section
from devproxy.http1.response import key_fault
from devproxy.net.dial import CONNECT_TIMEOUT, DialError
from devproxy.proxy.answers import Respond, dial_failed, invalid_answer, no_http2, no_web_socket
from devproxy.proxy.decide import Reading
from devproxy.proxy.gates import Dormant
from devproxy.proxy.interfaces import ProxyState
from devproxy.proxy.negotiate import NotHttp2Error, reach
from devproxy.proxy.pool import UpstreamAddress, UpstreamStream
from devproxy.routing.table import Route

RETRY_EVERY: Final = 0.04  # seconds between attempts while a service restarts
UP_RECENTLY: Final = 10.0  # seconds: a service that answered within them is restarting, not missing


class Attempting(Protocol):
    """An exchange, as far as its attempts concern it."""

    proxy: ProxyState
    route: Route
    address: UpstreamAddress
    reading: Reading
    fields: Section
    method: bytes

    @property
    def opens_websocket(self) -> bool:
        """Whether it is the handshake of a WebSocket."""

    def use(self, connection: UpstreamStream) -> None:
        """There is a connection."""

    def on_closed(self, error: Exception | None, *, answered: bool) -> None:
        """There was one, and it is closed already."""

    def answer(self, respond: Respond) -> None:
        """Nobody takes the connection."""


class Retry:
    """The attempts of one exchange. The time to hold runs from its first failure."""

    __slots__ = ("_exchange", "_hold_until", "_task", "_timer")

    def __init__(self, exchange: Attempting):
        self._exchange = exchange
        self._hold_until: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Dial now."""
        self._timer = None
        self._task = self._exchange.proxy.loop.create_task(self._connect())

    def schedule(self, *, is_up: bool = False) -> bool:
        """Dial again in a moment; False where the service was not up recently or has had its time. `is_up`: it says by
        itself that it will take the request another time."""
        exchange = self._exchange
        now = exchange.proxy.loop.time()
        if self._hold_until is None:
            recently = is_up or now - exchange.address.alive_at <= UP_RECENTLY
            self._hold_until = now + exchange.route.service.hold if recently else now
        if now >= self._hold_until:
            return False
        self._timer = exchange.proxy.loop.call_later(RETRY_EVERY, self.start)
        return True

    @property
    def is_under_way(self) -> bool:
        """Whether it dials, or will."""
        return self._timer is not None or (self._task is not None and not self._task.done())

    def cancel(self) -> None:
        """Nobody waits for a connection any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    async def _connect(self) -> None:
        try:
            await self._attempt()
        except Exception as error:  # nobody awaits this; the exchange is found by `is_broken`
            self._task = None
            self._exchange.proxy.report(error)

    async def _attempt(self) -> None:
        exchange = self._exchange
        address = exchange.address
        refusal = self._not_by_http2() if address.upstream.scheme == "h2c" else None
        if refusal is not None:
            self._task = None
            exchange.answer(refusal)
            return
        try:
            connection = await reach(address, exchange.proxy, upgrade=bool(exchange.reading.upgrade))
            refusal = self._not_bridged(connection)
        except DialError as error:
            self._task = None
            if error.exhausted or not (self.schedule() or self._stands_still(error)):
                exchange.answer(self._given_up(error))
            return
        except NotHttp2Error as error:
            self._task = None
            exchange.answer(invalid_answer(exchange.route.service, error.fault))
            return
        except ConnectionError as error:
            self._task = None
            exchange.on_closed(error, answered=False)
            return
        self._task = None
        if refusal is not None:
            exchange.answer(refusal)
        elif connection.transport.is_closing():
            exchange.on_closed(None, answered=False)
        else:
            exchange.use(connection)

    def _not_by_http2(self) -> Respond | None:
        """Why a request cannot be made by HTTP/2."""
        exchange = self._exchange
        return no_http2(exchange.route.service) if "h2" not in exchange.proxy.fronts else None

    def _not_bridged(self, connection: UpstreamStream) -> Respond | None:
        """Why a WebSocket cannot be opened by HTTP/2."""
        exchange = self._exchange
        if not exchange.opens_websocket or connection.bridges is None:
            return None
        if not connection.bridges:
            return no_web_socket(exchange.route.service)
        fault = key_fault(exchange.fields.all(b"sec-websocket-key"))
        return Respond.to(fault) if fault is not None else None

    def _stands_still(self, error: DialError) -> bool:
        """Whether nobody takes the connection since the process that listens is stopped: then dial on until it does."""
        exchange = self._exchange
        loop = exchange.proxy.loop
        since = loop.time() - CONNECT_TIMEOUT
        if not error.timeout or exchange.proxy.is_paused(exchange.route.service.id, since) is False:
            return False
        self._timer = loop.call_later(RETRY_EVERY, self.start)
        return True

    def _given_up(self, error: DialError) -> Respond:
        """The answer where nobody takes the connection. What a request starts may have crashed a moment ago."""
        exchange = self._exchange
        service = exchange.route.service
        if error.exhausted:
            return dial_failed(service, error)
        if not service.starts_on_request:
            seen = exchange.proxy.gates.get(service.id)
            return dial_failed(service, error) if seen is None or seen.excuse is None else seen.excuse
        dormant = Dormant.of(service)
        respond = dormant.resting(exchange.route, exchange.method, exchange.reading, exchange.fields)
        if respond is None:
            exchange.proxy.wake(service.id)
            respond = dormant.page
        return respond
