"""The seams of the data path: what its parts know of each other, so that each can be written without the others.

Lives here: `ClientStream`, the client's side of an exchange; `ResponseReceiver`, who hears of a service's response;
`ProxyState`, what all of them share; `Snapshot`, what one reload produced.

A front (`h1.py`) reads requests and is, or makes, a ClientStream for each. `dispatch.py` decides what becomes of a
request. An exchange (`exchange.py`) stands between its stream and the connection to the service (`upstream.py`) and
speaks to both by these interfaces alone: another protocol on either side is another class here, not a branch there.

They are plain base classes: a call through one costs what any call of a method costs.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mypy_extensions import mypyc_attr, trait

from devproxy.http1.fields import Section
from devproxy.http1.grammar import Fault
from devproxy.http1.h2_fields import INTERNAL_ERROR
from devproxy.http1.response import Pitfalls, ResponseHead
from devproxy.proxy.answers import Respond
from devproxy.proxy.decide import Reading
from devproxy.proxy.forward import Peer
from devproxy.proxy.gates import Dormant, Gate
from devproxy.proxy.pool import Pool, UpstreamAddress
from devproxy.proxy.splice import Splice
from devproxy.proxy.tunnel import TunnelEnd
from devproxy.registry.model import ProxySettings, Registry, Upstream
from devproxy.routing.table import Route, RouteTable

if TYPE_CHECKING:
    from devproxy.proxy.exchange import Exchange

AccessRecord = tuple[float, str, bytes, bytes, int, int, float]
"""(Unix time, service id, method, target, status or 0, body bytes out, seconds)."""


class Snapshot(NamedTuple):
    """What one reload produced. Frozen: a request keeps the one it started with."""

    table: RouteTable
    settings: ProxySettings
    upstreams: frozenset[Upstream]
    portless: Mapping[str, Gate]  # services that a request starts, and that run nowhere

    @classmethod
    def of(cls, registry: Registry) -> "Snapshot":
        """Everything that requests need of a registry."""
        upstreams = frozenset(service.upstream for service in registry.services if service.upstream is not None)
        dormant = [one for one in registry.services if one.upstream is None and one.starts_on_request]
        portless = {service.id: Gate(dormant=Dormant.of(service)) for service in dormant}
        return cls(RouteTable.build(registry), registry.settings, upstreams, portless)


class LivenessWatched(Protocol):
    """Something whose peer may have gone without our hearing of it."""

    def check_liveness(self) -> bool:
        """Look at the peer; False where that need not be done again, since it can be heard."""


@trait
class ClientStream:
    """The client's side of one exchange at a time: for HTTP/1 the connection itself.

    The stream frames: what it is given are heads and bodies, what it makes of them is its protocol's. An exchange that
    has ended says nothing more to its stream.
    """

    __slots__ = ()

    proxy: "ProxyState"
    peer: Peer

    def address_of(self, route: Route) -> UpstreamAddress:
        """What is known about the address behind `route`, remembered for the next request."""
        raise NotImplementedError

    def splice_end(self) -> asyncio.Transport | None:
        """The transport that bodies may go around, unframed, in either direction; None where they may not."""
        raise NotImplementedError

    def waiting(self) -> int:
        """How many bytes of the request, and of others behind it, are kept until their turn comes."""
        raise NotImplementedError

    def send_request_body(self, exchange: "Exchange") -> None:
        """Hand what has come of the request's body, and comes from now on, to `exchange`; then have it start."""
        raise NotImplementedError

    def pause(self) -> None:
        """Read no more of the request until `resume`: the service is slower than the client."""
        raise NotImplementedError

    def resume(self) -> None:
        """Read again."""
        raise NotImplementedError

    def inform(self, response: ResponseHead) -> None:
        """Pass on an interim (1xx) response (RFC 9110 §15.2)."""
        raise NotImplementedError

    def head(self, exchange: "Exchange", response: ResponseHead, body: bytes) -> None:
        """Pass on a response head with the first bytes of its body."""
        raise NotImplementedError

    def body(self, data: bytes) -> None:
        """Pass on body bytes, which bear no framing."""
        raise NotImplementedError

    def end(self, exchange: "Exchange", trailers: bytes) -> None:
        """The response is whole. `trailers` are field lines, checked."""
        raise NotImplementedError

    def answer(self, exchange: "Exchange", respond: Respond) -> None:
        """Send an answer of our own; nothing of another one has been sent."""
        raise NotImplementedError

    def cut(self, exchange: "Exchange", code: int = INTERNAL_ERROR) -> None:
        """Break the response off, so that nobody takes it for whole; `code` says why where that can be said."""
        raise NotImplementedError

    def switch(self, exchange: "Exchange", service: asyncio.Transport, response: ResponseHead, first: bytes) -> None:
        """Pass on a 101 and the bytes behind it, and become a tunnel to `service`."""
        raise NotImplementedError


class ClientConnection(asyncio.Protocol):
    """A connection of a client, whatever it speaks, to those who keep count of them.

    `keep_alive`: it outlives its exchange. `deadline`, on the loop's clock: when it ends unless something comes.
    """

    __slots__ = ("deadline", "keep_alive", "peer", "transport")

    transport: asyncio.Transport
    peer: Peer
    keep_alive: bool
    deadline: float

    def expire(self) -> None:
        """The deadline has passed."""
        raise NotImplementedError

    def retire(self) -> None:
        """End now if nothing is under way, else after that."""
        raise NotImplementedError

    def abort(self) -> None:
        """End now, whatever is under way."""
        self.transport.abort()


@mypyc_attr(allow_interpreted_subclasses=True)
class ResponseReceiver:
    """Who a connection to a service tells what it reads: one exchange."""

    __slots__ = ()

    head_method: bytes  # HEAD, or empty for every other method: what a response head's meaning hangs on
    settings: ProxySettings
    length: int  # of the request's body; negative: `http1/framing.py`
    request_done: bool
    stream: ClientStream
    splice: Splice | None
    proxy: "ProxyState"
    fields: Section  # of the request

    @property
    def opens_websocket(self) -> bool:
        """Whether the request is the handshake of a WebSocket (RFC 6455 §4.1)."""
        raise NotImplementedError

    def on_informational(self, response: ResponseHead) -> None:
        """A 1xx has come."""
        raise NotImplementedError

    def on_pitfalls(self, pitfalls: Pitfalls) -> None:
        """What of a response head, which is read for the first time, its service should know."""
        raise NotImplementedError

    def on_head(self, response: ResponseHead, body: bytes) -> None:
        """The response head has come, with the first bytes of its body."""
        raise NotImplementedError

    def on_body(self, data: bytes) -> None:
        """Body bytes have come, without their framing."""
        raise NotImplementedError

    def splice_response(self, service: asyncio.Transport, data: bytes, left: int) -> bool:
        """Let the kernel move `data` and the `left` bytes behind it to the client; False where it cannot."""
        raise NotImplementedError

    def on_end(self, trailers: bytes) -> None:
        """The response is whole."""
        raise NotImplementedError

    def on_switch(self, response: ResponseHead, first: bytes) -> None:
        """A 101 has come, with the first bytes of what was switched to."""
        raise NotImplementedError

    def on_invalid(self, fault: Fault) -> None:
        """What came is no HTTP; nothing of it was passed on."""
        raise NotImplementedError

    def on_closed(self, error: Exception | None, *, answered: bool) -> None:
        """The connection ended before a whole response head; `answered`: a part of one had come."""
        raise NotImplementedError

    def on_reset(self, code: int, *, untouched: bool) -> None:
        """The service does not answer this request, and its connection goes on: `code` says why (RFC 9113 §7).
        `untouched`: it has done nothing about it."""
        raise NotImplementedError

    def cut(self, code: int = INTERNAL_ERROR) -> None:
        """The response broke off in the middle; `code` is what HTTP/2 says why."""
        raise NotImplementedError


class ProxyState:
    """What all connections share; `server.py` has the one there is.

    `clock` is the loop's time, as of the last tick. `gates` are what stands before services, by id, replaced as a
    whole. `is_paused` says whether a service's process stands still, None while that is being looked at. `counts` are
    the answers so far by service id (empty for none) and status. `exchanges` are all that have not ended, `held` those
    of them that wait for a service to be started, `waiting_bytes` what these keep. `splice_from` is how many bytes of a
    body must be left for the kernel to move them. `https_port` is where https is, None where it is off. `pitfalls` is
    what services should know of their own answers, by id and code; `on_pitfall` hears whose there is a new one of.
    `fronts` make the protocol of a connection, by its name in ALPN (RFC 7301), the best first; `h2` only where its
    library is.
    """

    snapshot: Snapshot
    loop: asyncio.AbstractEventLoop
    clock: float
    draining: bool
    pool: Pool
    gates: Mapping[str, Gate]
    exchanges: "set[Exchange]"
    held: "set[Exchange]"
    waiting_bytes: int
    tunnels: set[TunnelEnd]
    splice_from: int
    https_port: int | None
    fronts: "Mapping[str, Callable[[], asyncio.Protocol]]"
    control: "Callable[[], asyncio.BaseProtocol] | None"
    control_route: Route
    counts: defaultdict[str, defaultdict[int, int]]
    access_log: Callable[[AccessRecord], None] | None
    pitfalls: dict[str, dict[str, str]]
    on_pitfall: Callable[[str], None]
    is_paused: Callable[[str, float], bool | None]
    wake: Callable[[str], None]

    def admit(self, connection: "ClientConnection") -> Respond | None:
        """Take in a new connection, or say why not."""
        raise NotImplementedError

    def admit_handshake(self, connection: "ClientConnection") -> None:
        """Count a connection whose handshake has yet to come, and give it its deadline."""
        raise NotImplementedError

    def forget(self, connection: "ClientConnection") -> None:
        """A connection is closed, or is no longer a request's."""
        raise NotImplementedError

    def watch_liveness(self, watched: LivenessWatched) -> None:
        """Look after something whose peer may go unheard."""
        raise NotImplementedError

    def end_tunnel(self, end: TunnelEnd) -> None:
        """One side of a tunnel is closed."""
        raise NotImplementedError

    def report(self, error: Exception) -> None:
        """Something of ours has failed: tell it to whom the loop tells such things."""
        raise NotImplementedError

    def log(self, exchange: "Exchange") -> None:
        """Hand the record of an exchange that has ended to the access log."""
        raise NotImplementedError


def empty_request(proxy: ProxyState) -> tuple[Reading, Section]:
    """What stands for the fields of a request whose head could not be read."""
    nothing = Section(b"", [])
    return Reading(nothing, 1, proxy.snapshot.table, b"", as_sent=False), nothing
