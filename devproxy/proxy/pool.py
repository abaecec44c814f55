"""Connections to services that are kept: the pool, the only state of the data path that outlives a reload.

Lives here: what is known about an address, which of its idle connections a request may have, and what a connection to
a service is to everybody but itself (`UpstreamStream`).
Not here: what goes over a connection (`upstream.py`), making one (`retry.py`).

Keyed by address, never by snapshot: a reload changes names, and the connections stay. The one used last is handed out
first.

A service with few threads is kept from everything else by a connection that is open and idle. So what is idle is
closed where it stands in somebody's way: before a request that may not use it is sent over a new one, before a check of
health, and where a request has waited for its answer for a second (`make_room`). Where requests are answered as soon as
that is done, the service serves one connection at a time: nothing is kept open to it.

A service may tie who a client is to the connection (NTLM, Negotiate; RFC 4559 §6). From the offer on such a connection
is that client's alone: the client's connection has an `UpstreamAddress` of its own, where nobody else looks, and the
two end together.

A service that speaks HTTP/2 takes many requests at once on one connection, which is `shared`: a request gets a stream
of the first that has room, else another connection is made. Such a connection stands in nobody's way.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from mypy_extensions import trait

from devproxy.http1.edits import ResponseEdit
from devproxy.http1.response import ResponseHead
from devproxy.net.sockets import is_at_rest
from devproxy.registry.model import Upstream
from devproxy.routing.table import Route

if TYPE_CHECKING:
    from devproxy.proxy.h2_upstream import Http2Upstream
    from devproxy.proxy.interfaces import ClientConnection, ResponseReceiver
    from devproxy.proxy.upstream import UpstreamConnection

IDLE_CONNECTIONS: Final = 128  # kept per address, a connection of HTTP/2 has as many streams; more may be in use
_FRESH: Final = 1.0  # seconds after which a request that must not be sent twice gets a connection of its own
_IN_VAIN: Final = 3.0  # seconds until room is made once more where it did not help
_STRIKES: Final = 2  # times in a row that a request was answered as soon as idle connections were closed


@trait
class UpstreamStream:
    """The service's side of one exchange at a time: for HTTP/1 the connection itself. It frames what it is given.

    `idle_since` and `idle_limit`, in seconds on the loop's clock, are for the pool.
    """

    __slots__ = ("idle_limit", "idle_since", "transport")

    @property
    def bridges(self) -> bool | None:
        """Whether a WebSocket can be opened on it by extended CONNECT (RFC 8441); None where by HTTP/1.1's Upgrade."""
        return None

    transport: asyncio.Transport
    exchange: "ResponseReceiver | None"  # whose response is awaited or read on it
    idle_since: float
    idle_limit: float

    def begin(self, exchange: "ResponseReceiver", head: bytes) -> None:
        """Send a request's head; its response goes to `exchange`."""
        raise NotImplementedError

    def begin_with_body(self, exchange: "ResponseReceiver", head: bytes, body: bytes, trailers: bytes | None) -> None:
        """The same with what has come of its body; `trailers` are field lines once the body is whole, else None."""
        raise NotImplementedError

    def send_body(self, data: bytes) -> None:
        """Send body bytes, which bear no framing."""
        raise NotImplementedError

    def send_end(self, trailers: bytes) -> None:
        """The request is whole."""
        raise NotImplementedError

    def finish_spliced(self, exchange: "ResponseReceiver") -> None:
        """The rest of the response's body went past us."""
        raise NotImplementedError

    def pause(self) -> None:
        """Stop reading until `resume`: the client is slower than the service."""
        raise NotImplementedError

    def resume(self) -> None:
        """Read again."""
        raise NotImplementedError

    def move(self, address: "UpstreamAddress") -> None:
        """Belong to another state of the same address from now on."""
        raise NotImplementedError

    def detach(self) -> None:
        """Give the socket to a tunnel: this connection is no longer a request's."""
        raise NotImplementedError

    def splice_end(self) -> asyncio.Transport | None:
        """The transport that a request's body may go around, unframed; None where it may not."""
        raise NotImplementedError

    def undelivered(self) -> int:
        """Bytes that were sent on it and that the service has not read yet, as far as can be told."""
        raise NotImplementedError

    def discard(self) -> None:
        """Close without waiting: nothing that is still to come is wanted."""
        raise NotImplementedError


class SharedConnection(asyncio.Protocol):
    """A connection to a service that bears many exchanges at once, as far as it concerns the pool."""

    __slots__ = ()

    def open_stream(self) -> UpstreamStream | None:
        """A stream for one more request, which begins at once; None where there is no room."""
        raise NotImplementedError

    def expire(self, now: float) -> None:
        """End if no stream has been under way for too long."""
        raise NotImplementedError

    def discard(self) -> None:
        """Close without waiting."""
        raise NotImplementedError


class UpstreamAddress:
    """What is known about the address of a service: its idle connections, and when it last answered.

    `is_in_process`: no socket leads there, but a protocol of our own does; nothing is kept open to it. `client`: the
    one connection of a client that may use what is open here; None where everybody may. `response_edit`: what the
    registry changes in the responses that come from there, so that a head that is remembered is whole. `one_at_a_time`:
    the service was seen to serve one connection after the other; `strikes` how often in a row; `in_vain_until`: that
    closing what is idle has just not helped. `multiplexes`: it speaks HTTP/2, on `shared` connections, and `joining` is
    one that is being made; `is_http1_only`: it chose HTTP/2 and wants a request by HTTP/1.1 all the same.
    """

    __slots__ = (
        "alive_at",
        "capacity",
        "client",
        "host",
        "idle",
        "in_vain_until",
        "is_http1_only",
        "is_in_process",
        "joining",
        "last_response",
        "multiplexes",
        "one_at_a_time",
        "opened",
        "response_edit",
        "server_name",
        "shared",
        "strikes",
        "upstream",
    )

    def __init__(self, upstream: Upstream, server_name: str, response_edit: ResponseEdit | None = None):
        self.response_edit = response_edit
        self.upstream = upstream
        self.server_name = server_name
        self.client: ClientConnection | None = None
        self.is_in_process = not upstream.hosts and not upstream.path
        self.idle: list[UpstreamStream] = []
        self.opened: set[UpstreamStream | SharedConnection] = set()
        self.shared: list[SharedConnection] = []
        self.joining: asyncio.Task[UpstreamConnection | Http2Upstream] | None = None
        self.multiplexes = upstream.scheme == "h2c"
        self.is_http1_only = False
        self.capacity = 0 if self.is_in_process else IDLE_CONNECTIONS  # 0 also once the pool has forgotten it
        self.one_at_a_time = False
        self.strikes = 0
        self.in_vain_until = float("-inf")
        self.host = ""  # the literal that answered last
        self.alive_at = float("-inf")  # on the loop's clock
        self.last_response: ResponseHead | None = None

    def take(self, now: float, *, repeatable: bool) -> UpstreamStream | None:
        """An idle connection, or None. A request that is not `repeatable` gets only one that was used a moment ago."""
        idle = self.idle
        while idle:
            connection = idle[-1]
            if not repeatable and self.client is None:
                if now - connection.idle_since > _FRESH:
                    connection.discard()  # one is enough: it leaves the service a thread
                    return None
                if not is_at_rest(connection.transport):
                    connection.discard()
                    continue
            idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    def take_none(self) -> UpstreamStream | None:
        """For a request that wants a new connection: None, but where the service knows its client by an old one."""
        if self.client is not None:
            return self.take(0.0, repeatable=True)
        if self.idle:
            self.idle[-1].discard()
        return None

    def open_stream(self) -> UpstreamStream | None:
        """A stream of a connection that is there, or None."""
        for connection in self.shared:
            stream = connection.open_stream()
            if stream is not None:
                return stream
        return None

    def expire(self, now: float) -> None:
        """Close connections that have been idle for too long."""
        for shared in list(self.shared):
            shared.expire(now)
        for connection in [c for c in self.idle if now - c.idle_since > c.idle_limit]:
            connection.discard()

    def make_room(self) -> bool:
        """Close what is idle; whether there was anything."""
        idle = list(self.idle)
        for connection in idle:
            connection.discard()
        return bool(idle)

    def learn(self, now: float, *, relieved: bool) -> None:
        """Take in whether a request that had waited was answered as soon as there was room."""
        self.strikes = self.strikes + 1 if relieved else 0
        if not relieved:
            self.in_vain_until = now + _IN_VAIN
        if self.strikes >= _STRIKES and self.capacity and self.client is None:
            self.one_at_a_time = True
            self.capacity = 0

    def serves_many(self) -> None:
        """Two of its responses were under way at once."""
        self.strikes = 0
        if self.one_at_a_time:
            self.one_at_a_time = False
            self.capacity = IDLE_CONNECTIONS

    def close(self) -> None:
        """Abort every connection."""
        if self.joining is not None:
            self.joining.cancel()
        for connection in list(self.opened):
            connection.discard()


class Pool:
    """Every address that was ever dialled."""

    __slots__ = ("addresses", "owned")

    def __init__(self) -> None:
        self.addresses: dict[tuple[Upstream, str, ResponseEdit | None], UpstreamAddress] = {}
        self.owned: set[UpstreamAddress] = set()  # each for one client's connection

    def at(
        self, upstream: Upstream, server_name: str = "", response_edit: ResponseEdit | None = None
    ) -> UpstreamAddress:
        """The state of an address; TLS upstreams have one for each name they are asked as, and each edit its own."""
        key = (upstream, server_name, response_edit)
        address = self.addresses.get(key)
        if address is None:
            address = self.addresses[key] = UpstreamAddress(upstream, server_name, response_edit)
        return address

    def of_route(self, route: "Route") -> UpstreamAddress:
        """The state of the address behind a route."""
        upstream = route.service.upstream
        assert upstream is not None
        return self.at(upstream, route.host if upstream.scheme == "https" else "", route.response_edit)

    def own(self, address: UpstreamAddress, client: "ClientConnection") -> UpstreamAddress:
        """A state of the same address for one client's connection alone, until `disown`."""
        own = UpstreamAddress(address.upstream, address.server_name, address.response_edit)
        own.client = client
        own.host, own.alive_at = address.host, address.alive_at
        self.owned.add(own)
        return own

    def disown(self, own: UpstreamAddress) -> None:
        """Its client is gone: so is everything that was opened for it."""
        self.owned.discard(own)
        own.close()

    def of(self, upstream: Upstream) -> list[UpstreamAddress]:
        """The states of an upstream that clients share, one for each name it is asked as."""
        return [address for (known, *_), address in self.addresses.items() if known == upstream]

    def last_answer(self, upstream: Upstream) -> float:
        """When it last answered a request, on the loop's clock; minus infinity for never."""
        address = self.addresses.get((upstream, "", None)) if upstream.scheme != "https" else None
        if address is not None and not self.owned:
            return address.alive_at
        known = (*self.addresses.values(), *self.owned)
        return max((one.alive_at for one in known if one.upstream == upstream), default=float("-inf"))

    def expire(self, now: float, wanted: frozenset[Upstream]) -> bool:
        """Close what was idle too long, forget addresses nobody routes to; whether connections are left."""
        for key, address in list(self.addresses.items()):
            address.expire(now)
            if not address.opened and key[0] not in wanted:
                address.capacity = 0  # a request that is still on its way there keeps nothing
                del self.addresses[key]
        for address in self.owned:
            address.expire(now)
        return any(address.opened for address in (*self.addresses.values(), *self.owned))

    def close(self) -> None:
        """Abort every connection."""
        for address in (*self.addresses.values(), *self.owned):
            address.close()
