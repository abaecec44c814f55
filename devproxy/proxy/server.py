"""The proxy: what all connections share, and the one timer that watches over them.

Lives here: the snapshot in force, the sets of what is open, the clock, admission, the end of an exchange as others see
it (counts, access log), and the orderly end of all.
Not here: sockets that listen (`net/loopback.py`), what happens on a connection (`h1.py`).

How it works: a reload swaps one reference; a request keeps the snapshot it started with. While a connection is open,
one timer ticks ten times a second: it sets the coarse clock, ends what is past its deadline, and asks the kernel about
connections that cannot be heard (`LivenessWatched`; once a second where they are many). Nothing ticks when nothing is
open.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

from devproxy.addresses import LOOPBACKS, is_loopback
from devproxy.net.sockets import is_tls
from devproxy.proxy.answers import Respond
from devproxy.proxy.dispatch import look_again
from devproxy.proxy.exchange import Exchange
from devproxy.proxy.forward import Peer
from devproxy.proxy.gates import Gate
from devproxy.proxy.h1 import Http1Connection
from devproxy.proxy.interfaces import AccessRecord, ClientConnection, LivenessWatched, ProxyState, Snapshot
from devproxy.proxy.pool import Pool, UpstreamAddress
from devproxy.proxy.splice import WORTHWHILE
from devproxy.proxy.tunnel import TunnelEnd
from devproxy.proxy.waiting import ServiceWait, long_waits
from devproxy.registry.model import Service, Source, Upstream
from devproxy.routing.table import Route
from devproxy.urls import CONTROL_LABEL

_TICK = 0.1  # seconds
_TICKS_PER_CHECK: Final = 10
_FEW: Final = 50  # connections that cannot be heard, and may be asked about at every tick
_COMMON: Final = frozenset((*LOOPBACKS, ""))
_PATIENCE: Final = 1.0  # seconds that a request waits before idle connections to its service are closed
_BUSY: Final = 30.0  # seconds for which one request excuses that a service says nothing to a check of its health
_DEFAULT_CONNECTIONS: Final = 10_000

_CONTROL: Final = Service(
    id=CONTROL_LABEL,
    name=CONTROL_LABEL,
    project=None,
    hosts=(),
    upstream=Upstream("http"),  # no socket: `UpstreamAddress.is_in_process`
    cross_site="allow",  # they have a guard of their own, which is stricter (`control/guard.py`)
    source=Source("", 0),
)


def _fronts(proxy: ProxyState) -> dict[str, Callable[[], asyncio.Protocol]]:
    """The protocols that clients may speak. The library for HTTP/2 cannot be imported everywhere."""
    fronts: dict[str, Callable[[], asyncio.Protocol]] = {}
    with suppress(ImportError):
        from devproxy.proxy.h2 import Http2Connection

        fronts["h2"] = partial(Http2Connection, proxy)
    return {**fronts, "http/1.1": partial(Http1Connection, proxy)}


class Proxy(ProxyState):
    """All connections. `connection` is the factory for `loop.create_server`, `fronts` those that ALPN may choose
    (RFC 7301), the best first.

    `control` makes the protocol that serves devproxy's own pages; `access_log` takes one AccessRecord an exchange;
    `connection_limit` is how many clients the descriptor limit bears; `splice_from` as for ProxyState.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        *,
        control: Callable[[], asyncio.BaseProtocol] | None = None,
        access_log: Callable[[AccessRecord], None] | None = None,
        connection_limit: int = _DEFAULT_CONNECTIONS,
        splice_from: int = WORTHWHILE,
    ):
        self.snapshot = snapshot
        self.control = control
        self.control_route = Route(_CONTROL, CONTROL_LABEL, b"", strip=False)
        self.access_log = access_log
        self.splice_from = splice_from
        self.https_port: int | None = None
        self.pool = Pool()
        self.loop = asyncio.get_running_loop()
        self.clock = self.loop.time()
        self.draining = False
        self.fronts = _fronts(self)
        self.connections: set[ClientConnection] = set()
        self.exchanges: set[Exchange] = set()
        self.held: set[Exchange] = set()
        self.waiting_bytes = 0
        self.tunnels: set[TunnelEnd] = set()
        self.liveness_watched: set[LivenessWatched] = set()
        self.gates: Mapping[str, Gate] = {}
        self.counts: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
        self.wake: Callable[[str], None] = lambda _: None  # somebody asks for a service that is dormant
        self.pitfalls: dict[str, dict[str, str]] = {}
        self.on_pitfall: Callable[[str], None] = lambda _: None
        self.is_paused: Callable[[str, float], bool | None] = lambda *_: False
        self.on_gates: Callable[[], None] = lambda: None  # `gates` are not what they were
        self.on_waits: Callable[[Mapping[str, ServiceWait]], None] = lambda _: None  # once a second, while some wait
        self._had_waits = False
        self._seen: Mapping[str, Gate] = {}
        self._connection_limit = connection_limit
        self._peers: dict[tuple[str, int, bytes], Peer] = {}
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None
        self._relieved: list[tuple[UpstreamAddress, list[Exchange]]] = []  # for whom room was made at the last tick
        self._empty: asyncio.Event | None = None  # set once nothing is open, while draining
        self._gather_gates()

    def connection(self) -> Http1Connection:
        """A protocol for one accepted connection."""
        return Http1Connection(self)

    def swap(self, snapshot: Snapshot) -> None:
        """Use another registry from the next request on; what is under way is not disturbed."""
        self.snapshot = snapshot
        for identity in self.pitfalls.keys() - snapshot.table.services.keys():
            del self.pitfalls[identity]
        self._gather_gates()

    def set_gates(self, seen: Mapping[str, Gate]) -> None:
        """Let `seen`, by service id, stand before services from the next request on; what waits looks again."""
        self._seen = seen
        self._gather_gates()

    def _gather_gates(self) -> None:
        gates = dict(self._seen)
        for identity, dormant in self.snapshot.portless.items():
            seen = gates.get(identity)
            if seen is None or seen.dormant is None:
                gates[identity] = dormant
        self.gates = gates
        for exchange in list(self.held):
            if exchange in self.held:  # one before it may have woken a service, which changes the gates once more
                try:
                    look_again(exchange)
                except Exception as error:
                    self._collapse(exchange, error)
        self.on_gates()

    def admit(self, connection: ClientConnection) -> Respond | None:
        """Take in a new connection, or say why not (its peer is no loopback address: closed without a word)."""
        transport = connection.transport
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        host, port = (str(peer[0]), int(local[1])) if isinstance(peer, tuple) and peer else ("", 0)
        if host not in _COMMON and not is_loopback(host):
            transport.abort()
            return None
        if self._timer is None:
            self._tick()
        limit = self.snapshot.settings.max_connections or self._connection_limit
        if len(self.connections) + len(self.tunnels) // 2 >= limit or self.draining:
            connection.keep_alive = False
            return Respond(
                503,
                "too-many-connections",
                f"{limit} connections are open, the most that devproxy takes",
                "close some, or raise max_connections under [proxy] (and the descriptor limit, ulimit -n)",
                close=True,
            )
        connection.peer = self._peer(host, port, b"https" if is_tls(transport) else b"http")
        connection.deadline = self.clock + self.snapshot.settings.idle_timeout
        self.connections.add(connection)
        return None

    def _peer(self, host: str, port: int, scheme: bytes) -> Peer:
        """Where it comes from. Shared for the usual addresses alone: 127/8 has sixteen million."""
        known = self._peers.get((host, port, scheme))
        if known is None:
            known = Peer(host.encode(), scheme, b"%d" % port)
            if host in _COMMON:
                self._peers[(host, port, scheme)] = known
        return known

    def admit_handshake(self, connection: ClientConnection) -> None:
        if self._timer is None:
            self._tick()
        connection.deadline = self.clock + self.snapshot.settings.header_timeout
        self.connections.add(connection)
        if self.draining:
            connection.retire()

    def forget(self, connection: ClientConnection) -> None:
        self.connections.discard(connection)
        self.liveness_watched.discard(connection)
        self._check_empty()

    def watch_liveness(self, watched: LivenessWatched) -> None:
        """Also where the clock has stopped, since only tunnels are open."""
        self.liveness_watched.add(watched)
        if self._timer is None:
            self._timer = self.loop.call_later(_TICK, self._tick)

    def end_tunnel(self, end: TunnelEnd) -> None:
        self.tunnels.discard(end)
        self.liveness_watched.discard(end)
        self._check_empty()

    def _check_empty(self) -> None:
        if self._empty is not None and not self.connections and not self.tunnels:
            self._empty.set()

    def log(self, exchange: Exchange) -> None:
        if self.access_log is None:
            return
        record = (
            time.time(),
            exchange.service_id,
            exchange.method,
            exchange.target,
            exchange.status,
            exchange.bytes_out,
            self.loop.time() - exchange.started,
        )
        try:
            self.access_log(record)
        except Exception as error:
            self.report(error)

    # Faults of our own.

    def report(self, error: Exception) -> None:
        self.loop.call_exception_handler({"message": "devproxy has failed in a request", "exception": error})

    def _collapse(self, exchange: Exchange, error: Exception) -> None:
        self.report(error)
        try:
            exchange.collapse()
        except Exception as another:
            self.report(another)

    def _abort(self, connection: ClientConnection, error: Exception) -> None:
        self.report(error)
        connection.abort()

    # Time.

    def _tick(self) -> None:
        self._timer = self.loop.call_later(_TICK, self._tick)  # first: whatever goes wrong below, time goes on
        self.clock = now = self.loop.time()
        self._end_late(now)
        self._ticks += 1
        busy = True
        check = self._ticks % _TICKS_PER_CHECK == 0
        if self.liveness_watched and (check or len(self.liveness_watched) <= _FEW):
            self._check_liveness()
        if self._relieved:
            self._learn()
        if check:
            self._make_room(now)
            pooled = self.pool.expire(now, self.snapshot.upstreams)
            busy = bool(pooled or self.connections or self.liveness_watched)
            self._tell_waits(now)
        if not busy:
            self._timer.cancel()
            self._timer = None

    def _end_late(self, now: float) -> None:
        """End what has had its time, and what has failed without a word to anybody."""
        for exchange in list(self.exchanges):
            if exchange not in self.exchanges:  # it ended with one before it
                continue
            try:
                if exchange.is_broken:
                    exchange.collapse()
                elif exchange.deadline < now:  # one before it may have let it go
                    exchange.expire()
            except Exception as error:
                self._collapse(exchange, error)
        for connection in [one for one in self.connections if one.deadline < now]:
            try:
                connection.expire()
            except Exception as error:
                self._abort(connection, error)

    def _check_liveness(self) -> None:
        for watched in list(self.liveness_watched):
            try:
                if not watched.check_liveness():
                    self.liveness_watched.discard(watched)
            except Exception as error:
                self.report(error)
                self.liveness_watched.discard(watched)

    def _make_room(self, now: float) -> None:
        """Close idle connections where requests wait: the service may be busy with nothing but these."""
        waiting: dict[UpstreamAddress, list[Exchange]] = {}
        streaming: set[UpstreamAddress] = set()
        for exchange in self.exchanges:
            if exchange.waits:
                if now - exchange.started >= _PATIENCE and now >= exchange.address.in_vain_until:
                    waiting.setdefault(exchange.address, []).append(exchange)
            elif exchange.upstream is not None and exchange.address in streaming:
                exchange.address.serves_many()
            elif exchange.upstream is not None:
                streaming.add(exchange.address)
        for address, exchanges in waiting.items():
            if self._close_idle(address.upstream):
                self._relieved.append((address, exchanges))

    def _tell_waits(self, now: float) -> None:
        waits = long_waits(self.exchanges, now)
        if waits or self._had_waits:
            self._had_waits = bool(waits)
            self.on_waits(waits)

    def _close_idle(self, upstream: Upstream) -> bool:
        closed = [address.make_room() for address in self.pool.of(upstream)]
        return any(closed)

    def _learn(self) -> None:
        relieved, self._relieved = self._relieved, []
        for address, exchanges in relieved:
            address.learn(self.clock, relieved=any(exchange.responded for exchange in exchanges))

    def make_room(self, upstream: Upstream) -> bool:
        """Close what is idle towards `upstream`, before somebody else asks it; False where it is busy, one request at
        a time, and not for so long that it may have hung."""
        self._close_idle(upstream)
        if not any(address.one_at_a_time and address.opened for address in self.pool.of(upstream)):
            return True
        since, there = self.clock - _BUSY, self._exchanges_at(upstream)
        return bool(there) and all(exchange.waits and exchange.started <= since for exchange in there)

    def is_asked(self, upstream: Upstream) -> bool:
        """Whether a request waits for its answer that may keep it from answering others: not for too long, for one
        that has hung would seem well for as long as somebody waits."""
        since = self.clock - _BUSY
        return any(exchange.waits and exchange.started > since for exchange in self._exchanges_at(upstream))

    def _exchanges_at(self, upstream: Upstream) -> list[Exchange]:
        """Those that have a connection there."""
        there = [exchange for exchange in self.exchanges if exchange.upstream is not None]
        return [exchange for exchange in there if exchange.address.upstream == upstream]

    # The end.

    async def drain(self, grace: float) -> None:
        """End in order: idle connections and tunnels at once, requests under way within `grace` seconds."""
        self.draining = True
        for connection in list(self.connections):
            try:
                connection.retire()
            except Exception as error:
                self._abort(connection, error)
        for exchange in list(self.held):  # what it waits for will not come as long as we are there
            try:
                exchange.answer(exchange.late())
            except Exception as error:
                self._collapse(exchange, error)
        for end in list(self.tunnels):
            end.transport.close()
        if self.connections or self.tunnels:
            self._empty = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), grace)
        self.close()

    def close(self) -> None:
        """Abort everything that is left."""
        for connection in list(self.connections):
            connection.abort()
        for end in list(self.tunnels):
            end.transport.abort()
        self.pool.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
