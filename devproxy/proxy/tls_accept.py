"""Accepting on the port for HTTPS: what comes first, the handshake, and who speaks after it.

Lives here: accept(2), a look at the first byte (recv(2), MSG_PEEK), the handshake with its deadline, and the choice of
a front by ALPN (RFC 7301). Plain HTTP on this port is told where https is; what is neither is closed.
Not here: certificates and contexts (`tls/contexts.py`), what the fronts do (`h1.py`, `h2.py`).

How it works: a socket that was accepted is a `Handshake`, one of the proxy's connections, so that it counts among them,
has a deadline on the same clock and ends with them. The loop's own TLS does the rest: one task for each handshake, none
afterwards. Only so many handshakes are under way at once. Where there is no room, the one that has been silent for
longest goes, once it has had a second, and others wait in the kernel's queue: who opens connections and says nothing
keeps nobody out.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, cast

from devproxy.addresses import LOOPBACKS, is_loopback
from devproxy.http1.fields import Section
from devproxy.http1.grammar import Fault, RequestHead
from devproxy.net.sockets import keep_alive
from devproxy.proxy.decide import Reading
from devproxy.proxy.h1 import Http1Connection
from devproxy.proxy.https_redirect import misplaced
from devproxy.proxy.interfaces import ClientConnection, ProxyState

HANDSHAKES: Final = 128  # under way at once
_PATIENCE: Final = 1.0  # seconds that each of them has in any case
_ACCEPTED_AT_ONCE: Final = 64
_RESPITE: Final = 1.0  # seconds without accepting, where the system has no descriptors left
_SHUTDOWN: Final = 30.0  # seconds for a client to read what was sent to it, and say close_notify
_NO_LIMIT: Final = 1e9  # seconds: the loop's own limit for a handshake is not ours
_RECORD_OF_HANDSHAKE: Final = 0x16  # RFC 8446 §5.1
_LETTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\r\n")  # how HTTP begins

Fronts = Mapping[str, Callable[[], asyncio.Protocol]]


class TlsAcceptor:
    """Everything that listens for TLS. `context` is asked for at each handshake; `fronts` are the protocols
    that ALPN may choose, `http/1.1` among them, which is also for who names none."""

    def __init__(self, proxy: ProxyState, context: Callable[[], Awaitable[ssl.SSLContext]], fronts: Fronts):
        self.proxy = proxy
        self.context = context
        self.fronts = fronts
        self.loop = asyncio.get_running_loop()
        self.handshakes: dict[Handshake, None] = {}  # in the order of their coming
        self._listeners: set[socket.socket] = set()
        self._resting: asyncio.TimerHandle | None = None

    def accept_on(self, sock: socket.socket) -> None:
        """Accept on `sock`, which listens and does not block, until `close`."""
        self._listeners.add(sock)
        if self._resting is None:
            self.loop.add_reader(sock.fileno(), self._accept, sock)

    def close(self) -> None:
        """Accept no more; handshakes that are under way go on."""
        self._stop()
        for sock in self._listeners:
            sock.close()
        self._listeners.clear()

    def _stop(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
            return
        for sock in self._listeners:
            self.loop.remove_reader(sock.fileno())

    def _rest(self, seconds: float) -> None:
        """Accept nothing for a moment."""
        if self._resting is None:
            self._stop()
            self._resting = self.loop.call_later(seconds, self.go_on)

    def go_on(self) -> None:
        """Accept again."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
            for sock in self._listeners:
                self.loop.add_reader(sock.fileno(), self._accept, sock)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if not self._has_room():
                return
            try:
                client, peer = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._rest(_RESPITE)
                return
            if peer[0] not in LOOPBACKS and not is_loopback(str(peer[0])):
                client.close()
                continue
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(client)
            Handshake(self, client)

    def _has_room(self) -> bool:
        """Whether one more handshake may begin; if not, none is accepted until one may."""
        if len(self.handshakes) < HANDSHAKES:
            return True
        oldest = next(iter(self.handshakes))
        left = oldest.began + _PATIENCE - self.loop.time()
        if left > 0:
            self._rest(left)
            return False
        oldest.abort()
        return True


class Handshake(ClientConnection):
    """A client from accept(2) until its front has it. `began` is on the loop's clock."""

    __slots__ = ("_acceptor", "_handed_over", "_sock", "_task", "began")

    def __init__(self, acceptor: TlsAcceptor, sock: socket.socket):
        self._acceptor = acceptor
        self._sock = sock
        self._task: asyncio.Task[None] | None = None
        self._handed_over = False
        self.began = acceptor.loop.time()
        self.keep_alive = False
        acceptor.handshakes[self] = None
        acceptor.proxy.admit_handshake(self)
        acceptor.loop.add_reader(sock.fileno(), self._look)
        self._look()

    def _look(self) -> None:
        """See how the client begins, and leave it in the socket."""
        if self._handed_over:
            return
        try:
            first = self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        loop, acceptor = self._acceptor.loop, self._acceptor
        loop.remove_reader(self._sock.fileno())
        self._handed_over = True
        if not first or (first[0] != _RECORD_OF_HANDSHAKE and first[0] not in _LETTERS):
            self._sock.close()
            self._end()
        elif first[0] == _RECORD_OF_HANDSHAKE:
            self._task = loop.create_task(self._shake_hands())
        else:
            self._task = loop.create_task(self._hand_over(lambda: MisplacedConnection(acceptor.proxy), None))

    async def _shake_hands(self) -> None:
        await self._hand_over(lambda: AlpnChoice(self._acceptor.fronts, self._end), await self._acceptor.context())

    async def _hand_over(self, front: Callable[[], asyncio.Protocol], context: ssl.SSLContext | None) -> None:
        """Make a connection of the socket, and end when the handshake has."""
        loop = self._acceptor.loop
        try:
            with suppress(OSError):  # which an ssl.SSLError is: whoever came is told by an alert, or has gone
                if context is None:
                    self._end()  # the front counts itself
                    await loop.connect_accepted_socket(front, self._sock)
                else:
                    await loop.connect_accepted_socket(
                        front,
                        self._sock,
                        ssl=context,
                        ssl_handshake_timeout=_NO_LIMIT,
                        ssl_shutdown_timeout=_SHUTDOWN,
                    )
        finally:
            self._end()

    def _end(self) -> None:
        """It is over, or its front has it."""
        acceptor = self._acceptor
        if acceptor.handshakes.pop(self, self) is None:
            acceptor.proxy.forget(self)
            acceptor.go_on()

    def expire(self) -> None:
        self.abort()

    def retire(self) -> None:
        self.abort()

    def abort(self) -> None:
        """End it without a word."""
        if not self._handed_over:
            self._handed_over = True
            self._acceptor.loop.remove_reader(self._sock.fileno())
            self._sock.close()
        else:
            with suppress(OSError):  # the loop has it: it reads the end, and closes it
                self._sock.shutdown(socket.SHUT_RDWR)
        self._end()


class AlpnChoice(asyncio.Protocol):
    """What a connection has for a protocol during its handshake: it puts the front that was chosen in its place."""

    __slots__ = ("_chosen", "_fronts")

    def __init__(self, fronts: Fronts, chosen: Callable[[], None]):
        self._fronts = fronts
        self._chosen = chosen

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        name = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        front = self._fronts[name or "http/1.1"]()
        self._chosen()
        cast(asyncio.Transport, transport).set_protocol(front)
        front.connection_made(transport)


class MisplacedConnection(Http1Connection):
    """A client that speaks plain HTTP to the port for HTTPS: all that it gets is the way to the right one."""

    __slots__ = ()

    def _read(self, head: RequestHead, fields: Section) -> tuple[Reading, bytes] | Fault:
        prepared = super()._read(head, fields)
        if not isinstance(prepared, Fault):
            reading, target = prepared
            self._reading = None  # the next request may have another method
            reading.refusal = misplaced(reading, head[0], target, int(self.peer.port))
            reading.routes = None
        return prepared

    def _become_http2(self, data: bytes) -> bool:
        return False  # not without TLS, here
