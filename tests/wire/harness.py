"""The stage of the wire tests: a proxy in this process, services that follow a script, and raw clients.

Lives here: Stage (the proxy, its listener and everything connected to it), Origin (a scripted service), and short ways
to write requests, answers and registry values.

The proxy's clock stands still unless the test moves it: no deadline passes by accident.
Not here: reading and writing bytes (`peer.py`); tests.

A test reads like the wire: `client.send`, `up.head`, `up.send`, `client.expect`, in the order in which they happen.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from devproxy.net.sockets import bound_buffers
from devproxy.proxy.h1 import Http1Connection
from devproxy.proxy.h2 import Http2Connection
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.proxy.tls_accept import TlsAcceptor
from devproxy.proxy.tunnel import is_paused
from devproxy.proxy.upstream import UpstreamConnection
from devproxy.registry.model import ProxySettings, Registry, Service, Source, Upstream
from tests.clock import Clock
from tests.ports import free_port
from tests.waiting import DEADLINE, until
from tests.wire.peer import Head, Message, Peer

T = TypeVar("T")

HOST = b"Host: web.localhost"
DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT"

_SHORT: dict[str, Any] = {
    "header_timeout": 5.0,
    "idle_timeout": 5.0,
    "response_timeout": 5.0,
    "hold": 0.3,
    "grace": 1.0,
}


def crlf(*lines: bytes, dated: bool = True) -> bytes:
    """A head: the lines, each ended by CR LF, and the empty line; a final response has a Date, as nearly all have."""
    final = lines[0].startswith(b"HTTP/1.") and not lines[0].startswith(b" 1", 8)
    return b"\r\n".join((lines[0], DATE, *lines[1:]) if final and dated else lines) + b"\r\n\r\n"


OK = crlf(b"HTTP/1.1 200 OK", b"Content-Length: 2") + b"ok"


def get(target: bytes = b"/", *fields: bytes, method: bytes = b"GET", host: bytes = b"web.localhost") -> bytes:
    """A request without a body."""
    return crlf(method + b" " + target + b" HTTP/1.1", b"Host: " + host, *fields)


def service(name: str, where: "Origin | Upstream | None", **options: Any) -> Service:
    """`<name>.localhost` → a scripted origin (or any upstream), with timeouts that suit a test."""
    upstream = where.upstream if isinstance(where, Origin) else where
    values: dict[str, Any] = {
        "name": name,
        "project": None,
        "hosts": (f"{name}.localhost",),
        "response_timeout": 5.0,
        "hold": 0.3,
        "source": Source("/registry.toml", 1),
        **options,
    }
    return Service(id=name, upstream=upstream, **values)


class Origin:
    """A listening service. The kernel completes connections by itself; `accept` hands them to the test in order."""

    def __init__(self, host: str, path: Path | None = None, port: int = 0):
        self.host = host
        self.path = path
        self.port = port
        self.peers: list[Peer] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.listen()

    @property
    def upstream(self) -> Upstream:
        if self.path:
            return Upstream("http", path=str(self.path))
        return Upstream("http", (self.host,), self.port)

    def listen(self) -> None:
        """Listen, on the same port as before where there was one."""
        family = socket.AF_UNIX if self.path else family_of(self.host)
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        if self.path:
            self._sock.bind(str(self.path))
        else:
            self.port = self.port or free_port()  # nobody gets it while we do not listen, nor on the other family
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._sock.bind((self.host, self.port))
        self._sock.listen(64)

    def refuse(self) -> None:
        """Stop listening: from now on the kernel answers a connect with RST."""
        self._sock.close()

    async def accept(self, within: float | None = DEADLINE) -> Peer:
        """The next connection of the proxy."""
        try:
            async with asyncio.timeout(within):
                sock = await self._next()
        except TimeoutError:
            raise AssertionError(f"the proxy made no connection within {within} s") from None
        self.peers.append(Peer(sock, f"origin connection {len(self.peers) + 1}"))
        return self.peers[-1]

    async def _next(self) -> socket.socket:
        """What `sock_accept` of asyncio is for, which fails where it is cancelled while a connection comes in."""
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(BlockingIOError):
                sock, _ = self._sock.accept()
                sock.setblocking(False)
                return sock
            readable = asyncio.Event()
            loop.add_reader(self._sock, readable.set)
            try:
                await readable.wait()
            finally:
                loop.remove_reader(self._sock)

    def always(self, act: Callable[[Peer], Awaitable[None]]) -> None:
        """Treat every connection alike, in the background, each in a task of its own, until `forget`."""

        async def loop() -> None:
            while True:
                peer = await self.accept(None)
                self._tasks.append(asyncio.create_task(_quietly(act, peer)))

        self._tasks.append(asyncio.create_task(loop()))

    async def forget(self) -> None:
        """End every script and connection there was, and begin a new record of what arrives."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for peer in self.peers:
            peer.close()
        self.peers.clear()

    def waiting(self) -> list[Peer]:
        """Every connection that the kernel has completed and nobody accepted yet."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(Peer(self._sock.accept()[0], "unexpected origin connection"))
                self.peers.append(found[-1])
        return found

    def untouched(self) -> bool:
        """Whether no connection waits to be accepted and none that was accepted brought a byte."""
        return not self.waiting() and not any(peer.received for peer in self.peers)

    async def close(self) -> None:
        await self.forget()
        self._sock.close()


class Stage:
    """A proxy on a loopback address, its origin, its clients. `loop_errors`: what the event loop complained about."""

    def __init__(self, host: str, origin_host: str = "", *, tls: bool = False, client: type[Peer] = Peer):
        self.host = host
        self.tls = tls
        self.client = client
        self.origin = Origin(origin_host or host)
        self.port = 0
        self.server: asyncio.Server | TlsAcceptor
        self.loop_errors: list[str] = []
        self._others: list[Origin] = []
        self._clients: list[Peer] = []

    def another(self, host: str = "", path: Path | None = None, port: int = 0) -> Origin:
        """One more origin; on the stage's own address, at a port of its own, unless told otherwise."""
        self._others.append(Origin(host or self.host, path, port))
        return self._others[-1]

    async def start(self, *services: Service, **settings: Any) -> None:
        """Start the proxy; without services there is one, `web`, at `origin`."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.loop_errors.append(repr(context)))
        self.proxy = Proxy(self._snapshot(services, settings))
        self.clock = Clock(loop)
        self.proxy.loop = self.clock  # type: ignore[assignment]
        self.proxy.clock = self.clock.now
        sock = socket.socket(family_of(self.host), socket.SOCK_STREAM)
        sock.setblocking(False)
        bound_buffers(sock)  # as net/loopback.py does for every listener
        sock.bind((self.host, 0))
        self.port = sock.getsockname()[1]
        if self.tls:
            await self._start_tls(sock)
        else:
            self.server = await loop.create_server(self.proxy.connection, sock=sock)

    async def _start_tls(self, sock: socket.socket) -> None:
        from tests.wire.tls_peer import server_context

        context = server_context()

        async def accepted_with() -> ssl.SSLContext:
            return context

        sock.listen(100)
        self.proxy.https_port = self.port
        self.server = TlsAcceptor(self.proxy, accepted_with, self.proxy.fronts)
        self.server.accept_on(sock)

    def stop_ticking(self) -> None:
        """From now on the proxy looks at nothing of its own accord: what it notices, it was told."""
        assert self.proxy._timer is not None
        self.proxy._timer.cancel()

    async def pass_time(self, seconds: float) -> None:
        """Let the proxy's clock go on, and the proxy look at it; it stands still else."""
        self.clock.now += seconds
        await asyncio.sleep(0)  # where the proxy has nothing open its clock does not tick, and nothing is waited for
        await until(lambda: self.proxy.clock == self.clock.now or self.proxy._timer is None)

    async def idle(self, seconds: float) -> None:
        """Let time pass in which the traffic under test stays silent, and other traffic goes on."""
        await self.pass_time(seconds)
        client = await self.connect()
        await client.send(get(host=b"nobody.localhost"))
        assert (await client.response()).status == 404
        client.close()

    async def meanwhile(self, seconds: float, awaited: Awaitable[T]) -> T:
        """What `awaited` comes to while time passes, `seconds` at once."""
        task = asyncio.ensure_future(awaited)
        while not task.done():
            await self.pass_time(seconds)
            await asyncio.wait({task}, timeout=0.05)
        return await task

    def swap(self, *services: Service, **settings: Any) -> None:
        """What a reload does."""
        self.proxy.swap(self._snapshot(services, settings))

    @property
    def connection(self) -> Http1Connection:
        """The one connection of a client that there is."""
        (found,) = self.proxy.connections
        assert isinstance(found, Http1Connection)
        return found

    @property
    def h2_connection(self) -> Http2Connection:
        """The one connection of a client that there is, which speaks HTTP/2."""
        (found,) = self.proxy.connections
        assert isinstance(found, Http2Connection)
        return found

    def is_service_paused(self, stream: int) -> bool:
        """Whether nothing is read from the service behind a stream of that connection."""
        exchange = self.h2_connection.streams[stream].exchange
        upstream = exchange.upstream if exchange is not None else None
        return isinstance(upstream, UpstreamConnection) and is_paused(upstream.transport)

    def _snapshot(self, services: tuple[Service, ...], settings: dict[str, Any]) -> Snapshot:
        chosen = ProxySettings(**{**_SHORT, **settings})
        registry = Registry(settings=chosen, services=services or (service("web", self.origin),))
        return Snapshot.of(registry)

    async def connect(self, *, receive_buffer: int = 0, source: str = "", handshake: bool = True) -> Peer:
        """A new client; `receive_buffer` (bytes) makes one whose kernel takes little, `source` gives it an address.

        Without `handshake` one that has only connected.
        """
        sock = socket.socket(family_of(self.host), socket.SOCK_STREAM)
        if source:
            sock.bind((source, 0))
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client = self._client(sock)
        self._clients.append(client)
        async with asyncio.timeout(DEADLINE):
            await asyncio.get_running_loop().sock_connect(sock, (self.host, self.port))
        if self.tls and handshake:
            await client.handshake()  # type: ignore[attr-defined]
        return client

    def _client(self, sock: socket.socket) -> Peer:
        name = f"client {len(self._clients) + 1}"
        if not self.tls:
            return self.client(sock, name)
        from tests.wire.tls_peer import TlsPeer

        return TlsPeer(sock, name)

    async def ask(self, data: bytes) -> tuple[Peer, Peer, Head]:
        """Send a request on a new client; returns that, the origin's connection it arrives on, and the head there."""
        client = await self.connect()
        await client.send(data)
        up = await self.origin.accept()
        return client, up, await up.head()

    async def passes(self, target: bytes = b"/next") -> None:
        """The next request on a fresh connection is served, by a service whose older connections are all closed."""
        await self.origin.forget()
        self.origin.always(answer_once)
        client = await self.connect()
        await client.send(get(target, b"Connection: close"))
        message = await client.response()
        await self.origin.forget()
        assert (message.status, message.body) == (200, b"GET " + target), message

    async def refuses(self, data: bytes, status: int, code: str, method: bytes = b"GET") -> Message:
        """`data` on a new client is answered by the proxy itself, and no origin sees a byte or a connection of it."""
        client = await self.connect()
        await client.send(data)
        message = await client.response(method)
        assert (message.status, message.error) == (status, code), message
        assert self.origin.untouched(), f"{data!r} reached the origin"
        await self.passes()
        return message

    async def close(self) -> None:
        """Take everything down; then nothing may be left running, and the loop must not have complained."""
        self.server.close()
        for client in self._clients:
            client.close()
        await self.proxy.drain(0)
        self.proxy.close()
        for origin in (self.origin, *self._others):
            await origin.close()
        assert not self.loop_errors, self.loop_errors
        await _settled()


async def _quietly(act: Callable[[Peer], Awaitable[None]], peer: Peer) -> None:
    with contextlib.suppress(ConnectionError, AssertionError):
        await act(peer)


async def answer_once(peer: Peer) -> None:
    """Answer one request with its own method and target, and say that the connection ends."""
    head = await peer.head()
    body = head.method + b" " + head.target
    await peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


async def _settled() -> None:
    """No task but this one is left."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, pending = await asyncio.wait(others, timeout=DEADLINE)
        assert not pending, f"still running: {pending}"


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
