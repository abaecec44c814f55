"""TCP services at addresses that stay: listening for them, and what their connections share.

Lives here: `Forwarder`, all listeners and connections; how a service is dialled, and who is told of a refusal.
Not here: which address a service has (`registry/listeners.py`), sockets (`net/`), a connection's way to its service
(`connection.py`).

How it works: a reload opens and closes exactly the listeners that differ; connections that are open stay open. An
address that could not be had is a problem, and tried again. An event says why a client is closed: once, while that
stays so.
"""

import asyncio
import errno
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
from devproxy.proxy.retry import UP_RECENTLY
from devproxy.proxy.server import Proxy
from devproxy.registry.model import ListenAddress, Service, Upstream
from devproxy.tcp.connection import DialFailure, Refusal, TcpConnection
from devproxy.text import devproxy_command

_ACCEPTED_AT_ONCE: Final = 64
_RESPITE: Final = 1.0  # seconds without accepting, where the system has no descriptors left
_AGAIN: Final = 2.0  # seconds until an address that could not be had is tried again
_MOST_PIPES: Final = 64  # two descriptors each, which they keep at rest: fewer where there are few
_TOLD_EVERY: Final = 60.0  # seconds in which the same refusal is told once
_NO_PORT: Final = "it does not run, and nothing says which port it has"


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
        self.pipes = PipePool(max(1, min(_MOST_PIPES, limit // 8)))
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
        connection.close(refusal.answer)
        self._tell_refusal(connection.service_id, refusal)

    def _tell_refusal(self, identity: str, refusal: Refusal) -> None:
        if not refusal.why:
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
