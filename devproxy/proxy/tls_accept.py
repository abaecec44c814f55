"""Accepting on the port for HTTPS: what comes first, the handshake, and who speaks after it.

Lives here: accept(2), a look at the first byte (recv(2), MSG_PEEK), the handshake with its deadline, and the choice of
a front by ALPN (RFC 7301). Plain HTTP on this port is told where https is; what is neither is closed.
Not here: certificates and contexts (`tls/contexts.py`), what the fronts do (`h1.py`, `h2.py`).

How it works: a socket that was accepted is a `Handshake`, one of the proxy's connections, so that it counts among them,
has a deadline on the same clock and ends with them. There is one task for each handshake, none afterwards. Only so many
handshakes are under way at once. Where there is no room, the one that has been silent for longest goes, once it has had
a second, and others wait in the kernel's queue: who opens connections and says nothing keeps nobody out.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from devproxy.addresses import LOOPBACKS, is_loopback
from devproxy.http1.fields import Section
from devproxy.http1.grammar import Fault, RequestHead
from devproxy.net.sockets import keep_alive
from devproxy.net.tls_transport import TlsTransport, shake_hands
from devproxy.proxy.decide import Reading
from devproxy.proxy.h1 import Http1Connection
from devproxy.proxy.https_redirect import misplaced
from devproxy.proxy.interfaces import ClientConnection, ProxyState

HANDSHAKES = 128  # under way at once
_PATIENCE = 1.0  # seconds that each of them has in any case
_ACCEPTED_AT_ONCE: Final = 64
_RESPITE: Final = 1.0  # seconds without accepting, where the system has no descriptors left
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

    __slots__ = ("_acceptor", "_front", "_handed_over", "_has_front", "_sock", "_task", "began")

    def __init__(self, acceptor: TlsAcceptor, sock: socket.socket):
        self._acceptor = acceptor
        self._sock = sock
        self._task: asyncio.Task[None] | None = None
        self._handed_over = False  # `_look` has seen what comes
        self._front: asyncio.Protocol | None = None
        self._has_front = False
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
        loop = self._acceptor.loop
        loop.remove_reader(self._sock.fileno())
        self._handed_over = True
        if not first or (first[0] != _RECORD_OF_HANDSHAKE and first[0] not in _LETTERS):
            self._sock.close()
            self._end()
        elif first[0] == _RECORD_OF_HANDSHAKE:
            self._task = loop.create_task(self._greet())
            self._task.add_done_callback(self._finish)
        else:
            self._end()  # the front counts itself
            self._task = loop.create_task(self._redirect())

    async def _greet(self) -> None:
        """Shake hands, and give the connection to the front that ALPN chooses."""
        acceptor = self._acceptor
        context = await acceptor.context()
        self._sock = sock = await shake_hands(context, self._sock, on_step=self._choose)
        front = self._front or acceptor.fronts[sock.selected_alpn_protocol() or "http/1.1"]()
        self._end()  # the front counts itself
        TlsTransport(acceptor.loop, sock, front)
        self._has_front = True

    def _choose(self, sock: ssl.SSLSocket) -> None:
        """Make the front as soon as ALPN has chosen: what it keeps does not get the memory then that OpenSSL has filled
        and gives back after the handshake, 5 to 10 KiB of it for each connection (HTTP/2 hardly writes to its own)."""
        name = sock.selected_alpn_protocol()
        if name and self._front is None:
            self._front = self._acceptor.fronts[name]()

    async def _redirect(self) -> None:
        """Tell plain HTTP where it belongs."""
        with suppress(OSError):
            await self._acceptor.loop.connect_accepted_socket(
                lambda: MisplacedConnection(self._acceptor.proxy), self._sock
            )

    def _finish(self, task: "asyncio.Task[None]") -> None:
        """An ssl.SSLError, which is an OSError, has told who came by an alert; else nobody is there to be told."""
        if not self._has_front:
            self._sock.close()
            self._end()
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, OSError):
            self._acceptor.loop.call_exception_handler(
                {"message": "a client cannot be accepted on the port for HTTPS", "exception": error}
            )

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
        if self._task is not None:
            self._task.cancel()
        else:
            self._acceptor.loop.remove_reader(self._sock.fileno())
            self._sock.close()
        self._end()


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
