"""TCP services at addresses that stay: listening for them, and getting each connection to the service.

Lives here: `Forwarder`, all listeners and connections; `TcpConnection`, one client until it is joined to the service.
Not here: which address a service has (`registry/listeners.py`), sockets (`net/`), moving bytes (`relay.py`), starting a
service (`daemon/activation.py`).

How it works: a reload opens and closes exactly the listeners that differ; connections that are open stay open. A
connection is dialled at once, and what the service says first is passed on at once, so that a protocol with a banner
works; what the client says first is read by us, and judged, before the service gets any of it (`request_line.py`). What
stands before a service is asked of the same gates as for HTTP: one that is closed closes the connection; one that a
connection starts is woken, and the connection waits. Before it is woken the client has `_SPEAKS_WITHIN` to say
something: a web page does so at once, and starts nothing.

A service that nothing answers for is tried again for `hold`, where it was there a moment ago or is being started. Then
the client is closed, and an event says why: once, while that stays so.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple

from devproxy.addresses import LOOPBACKS, is_loopback
from devproxy.errors import DevproxyError
from devproxy.events import AnyEvent, Refused
from devproxy.net.dial import DialError, connect_socket
from devproxy.net.kernel_pipe import PipePool
from devproxy.net.loopback import Listening, listen_at
from devproxy.net.sockets import keep_alive
from devproxy.problems import PORT_TAKEN, Problem
from devproxy.proxy.gates import start_timeout
from devproxy.proxy.retry import RETRY_EVERY, UP_RECENTLY
from devproxy.proxy.server import Proxy
from devproxy.registry.model import ListenAddress, Service, Upstream
from devproxy.tcp.relay import Relay
from devproxy.tcp.request_line import LONGEST, is_request
from devproxy.text import devproxy_command

_SPEAKS_WITHIN: Final = 0.3  # seconds
_ACCEPTED_AT_ONCE: Final = 64
_RESPITE: Final = 1.0  # seconds without accepting, where the system has no descriptors left
_AGAIN: Final = 2.0  # seconds until an address that could not be had is tried again
_TOLD_EVERY: Final = 60.0  # seconds in which the same refusal is told once
_WORDS: Final = b"What listens here does not speak HTTP; devproxy has passed nothing on.\n"
_ANSWER: Final = (  # which names nothing: a page that has fooled DNS could read it
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"
    % (len(_WORDS), _WORDS)
)

_log = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """Why a client is closed, and what to do about it."""

    why: str
    fix: str = ""


_GONE: Final = Refusal("")  # it has said nothing, and starts nothing: it only looked whether somebody listens
_NO_PORT: Final = "it does not run, and nothing says which port it has"
_HTTP: Final = Refusal(
    "the connection began with an HTTP request, as of a web page that attacks it; nothing was passed on",
    'if the service does speak HTTP: cross_protocol = "allow"',
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


class _Port(NamedTuple):
    """An address that is listened at, and for which service."""

    service_id: str
    listening: Listening


class Forwarder:
    """One for a run of the proxy, until `close`. `connections` are all that are open, waiting ones among them.

    `tell` takes events; `is_known_up` says whether a service was up when it was last looked at, or is being started;
    `on_problems` hears which addresses cannot be had, whenever that is different; `limit` is how many clients there may
    be at once.
    """

    def __init__(self, proxy: Proxy, *, limit: int):
        self.proxy = proxy
        self.loop = asyncio.get_running_loop()
        self.pipes = PipePool()
        self.connections: set[TcpConnection] = set()
        self.is_known_up: Callable[[str], bool] = lambda _: False
        self.on_problems: Callable[[tuple[Problem, ...]], None] = lambda _: None
        self.tell: Callable[[AnyEvent], None] = lambda _: None
        self._limit = limit
        self._ports: dict[ListenAddress, _Port] = {}
        self._problems: dict[ListenAddress, Problem] = {}
        self._turn = asyncio.Lock()
        self._alive_at: dict[Upstream, float] = {}  # when it last took a connection, or had one
        self._hosts: dict[Upstream, str] = {}  # the address that answered
        self._told: dict[tuple[str, str], float] = {}
        proxy.on_gates = self.look_again

    # Listening

    @property
    def addresses(self) -> Collection[ListenAddress]:
        """Where it listens."""
        return self._ports.keys()

    async def follow(self, services: Iterable[Service]) -> None:
        """Listen for these, and for nothing else: what is unchanged is not touched."""
        async with self._turn:
            wanted = {service.listen: service for service in services if service.listen is not None}
            for address in [one for one in self._ports if one not in wanted]:
                self._close(self._ports.pop(address))
            problems: dict[ListenAddress, Problem] = {}
            for address, service in wanted.items():
                known = self._ports.get(address)
                if known is not None:
                    self._ports[address] = known._replace(service_id=service.id)
                    continue
                try:
                    listening = await asyncio.to_thread(listen_at, address)
                except DevproxyError as error:
                    problems[address] = _unavailable(service, error)
                else:
                    self._ports[address] = _Port(service.id, listening)
                    for sock in listening.sockets:
                        self.loop.add_reader(sock.fileno(), self._accept, address, sock)
            self._forget_upstreams()
            if problems != self._problems:
                self._problems = problems
                self.on_problems(tuple(problems.values()))

    async def run(self) -> None:
        """Try again now and then what could not be listened for. Never returns."""
        while True:
            await asyncio.sleep(_AGAIN)
            if self._problems:
                await self.follow(self.proxy.snapshot.table.services.values())

    def _forget_upstreams(self) -> None:
        """Remember nothing of addresses that no service has any more: each start of one may have another port."""
        known = self.proxy.snapshot.upstreams
        for memory in (self._alive_at, self._hosts):
            for upstream in [one for one in memory if one not in known]:
                del memory[upstream]

    def _close(self, port: _Port) -> None:
        for sock in port.listening.sockets:
            self.loop.remove_reader(sock.fileno())
        port.listening.close()

    def _accept(self, address: ListenAddress, listener: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                client, peer = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._rest(address, listener)
                return
            self._admit(address, client, str(peer[0]))

    def _rest(self, address: ListenAddress, listener: socket.socket) -> None:
        """Accept nothing for a moment: the loop would only ask again and again."""
        self.loop.remove_reader(listener.fileno())
        self.loop.call_later(_RESPITE, self._resume, address, listener)

    def _resume(self, address: ListenAddress, listener: socket.socket) -> None:
        if address in self._ports and listener.fileno() >= 0:
            self.loop.add_reader(listener.fileno(), self._accept, address, listener)

    def _admit(self, address: ListenAddress, client: socket.socket, peer: str) -> None:
        service = self.service(self._ports[address].service_id)
        if service is None or (peer not in LOOPBACKS and not is_loopback(peer)):
            client.close()
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        keep_alive(client)
        if len(self.connections) >= self._limit:
            client.close()
            self._tell_refusal(service.id, _too_many(self._limit))
            return
        self.connections.add(TcpConnection(self, client, service))

    # What connections ask

    def service(self, identity: str) -> Service | None:
        """As the registry in force has it."""
        return self.proxy.snapshot.table.services.get(identity)

    async def dial(self, service: Service) -> tuple[socket.socket, Upstream] | DialFailure:
        """A connection to a service, and where it leads; one that a connection starts is woken if it is not there."""
        upstream, is_final = service.upstream, False
        if upstream is None:
            refusal = Refusal(_NO_PORT, f"start it: {devproxy_command('up', service.id)}")
        else:
            try:
                sock, self._hosts[upstream] = await connect_socket(upstream, first=self._hosts.get(upstream, ""))
            except DialError as error:
                refusal = self._given_up(service, error)
                is_final = error.exhausted or bool(error.other_user)
            else:
                if not upstream.path:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._alive_at[upstream] = self.loop.time()
                return sock, upstream
        if service.starts_on_request and not is_final:
            self.proxy.wake(service.id)
        return DialFailure(refusal, is_final)

    def is_restarting(self, service: Service) -> bool:
        """Whether one that does not take connections was there a moment ago, or is about to be."""
        used = self._alive_at.get(service.upstream) if service.upstream is not None else None
        return (used is not None and self.loop.time() - used <= UP_RECENTLY) or self.is_known_up(service.id)

    def is_dormant(self, identity: str) -> bool:
        """Whether it is being started, or would be."""
        gate = self.proxy.gates.get(identity)
        return gate is not None and gate.dormant is not None

    def _given_up(self, service: Service, error: DialError) -> Refusal:
        """Why nobody takes a connection to a service."""
        gate = self.proxy.gates.get(service.id)
        if gate is not None and gate.excuse is not None:
            return Refusal(gate.excuse.detail, gate.excuse.fix)
        tried = ", ".join(f"{place} ({reason})" for place, reason in error.tried)
        fix = devproxy_command("up", service.id) if service.command is not None else "start it"
        return Refusal(f"nothing answers for it: {tried}", fix)

    # What is open

    def look_again(self) -> None:
        """What stands before services has changed."""
        for connection in self.connections:
            connection.look_again()

    def used(self) -> Mapping[str, int]:
        """By service id, how many connections are open."""
        counts: dict[str, int] = {}
        for connection in self.connections:
            counts[connection.service_id] = counts.get(connection.service_id, 0) + 1
        return counts

    def awaits(self, identity: str) -> bool:
        """Whether a connection waits for a service that is being started."""
        return any(one.is_held and one.service_id == identity for one in self.connections)

    def last_used(self, upstream: Upstream) -> float:
        """When it last took a connection, or had one, on the loop's clock; minus infinity where it never did."""
        return self._alive_at.get(upstream, float("-inf"))

    def forget(self, connection: TcpConnection) -> None:
        """A connection is closed."""
        self.connections.discard(connection)
        if connection.upstream is not None:
            self._alive_at[connection.upstream] = self.loop.time()

    def refuse(self, connection: TcpConnection, refusal: Refusal) -> None:
        """Close a connection, and say why."""
        connection.close(_ANSWER if refusal is _HTTP else b"")
        self._tell_refusal(connection.service_id, refusal)

    def _tell_refusal(self, identity: str, refusal: Refusal) -> None:
        if refusal is _GONE:
            return
        now = self.loop.time()
        self._told = {key: until for key, until in self._told.items() if until > now}
        if (identity, refusal.why) not in self._told:
            self._told[(identity, refusal.why)] = now + _TOLD_EVERY
            self.tell(Refused(identity, refusal.why, refusal.fix))

    # The end

    def stop(self) -> None:
        """Accept nothing more."""
        for port in self._ports.values():
            self._close(port)
        self._ports.clear()

    def close(self) -> None:
        """Close everything."""
        self.stop()
        for connection in list(self.connections):
            connection.close()
        self.pipes.close()


def _too_many(limit: int) -> Refusal:
    return Refusal(f"{limit} connections are open, the most that devproxy takes", "close some, or raise ulimit -n")


def _unavailable(service: Service, error: DevproxyError) -> Problem:
    return Problem(
        code=PORT_TAKEN,
        message=f"`{service.id}`: {error.what}",
        file=service.source.file,
        line=service.source.line,
        why=error.why,
        fix=error.fix,
        severity="warning",
        service=service.name,
    )
