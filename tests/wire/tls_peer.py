"""A client of the wire tests that speaks TLS: the same script, and an end that tells a whole answer from a cut one.

Lives here: TlsPeer, and what a stage accepts with. `ended` is `fin` where close_notify came before the end, as TLS has
it (RFC 8446 §6.1); an end without one is `reset`, as RST is: what came before it may have been cut.
"""

import asyncio
import contextlib
import datetime as dt
import ssl
import tempfile
from functools import cache
from pathlib import Path

from devproxy.tls.authority import AuthorityStore
from devproxy.tls.contexts import ServerContexts
from tests.waiting import DEADLINE
from tests.wire.peer import Peer


@cache
def _authority() -> tuple[AuthorityStore, tempfile.TemporaryDirectory[str]]:
    """One for all tests of this process."""
    folder = tempfile.TemporaryDirectory()
    store = AuthorityStore(Path(folder.name) / "ca")
    store.ensure(("localhost",), dt.datetime.now(dt.UTC))
    return store, folder


def server_context(*alpn: str) -> ssl.SSLContext:
    """A context with a certificate for every name below localhost; `alpn` is what it chooses from."""
    store, _ = _authority()
    return ServerContexts(store, lambda: ("localhost",), lambda _: True, alpn or ("http/1.1",)).context


@cache
def client_context() -> ssl.SSLContext:
    """One that trusts the tests' authority alone."""
    store, _ = _authority()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata="".join(root.pem.decode() for root in store.roots()))
    return context


class TlsPeer(Peer):
    """`handshake` comes first; after that it is a Peer."""

    _ended_ours = False
    _unsent = b""

    def begin(self, name: str = "web.localhost", context: ssl.SSLContext | None = None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or client_context()).wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    async def handshake(self, name: str = "web.localhost", context: ssl.SSLContext | None = None) -> None:
        self.begin(name, context)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive("the handshake")
        await self._flush()

    def outgoing(self) -> bytes:
        """What is to be sent, and has not been."""
        return self._outgoing.read()

    async def send(self, data: bytes) -> None:
        for start in range(0, len(data), 1 << 20):
            self.tls.write(data[start : start + (1 << 20)])
            await self._flush()

    def send_some(self, data: bytes) -> int:
        """What is encrypted counts as taken; the next one waits until it is."""
        self._send_rest()
        if self._unsent:
            raise BlockingIOError
        self.tls.write(data)
        self._unsent = self._outgoing.read()
        self._send_rest()
        return len(data)

    def _send_rest(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]

    async def _flush(self) -> None:
        unsent, self._unsent = self._unsent + self._outgoing.read(), b""
        if unsent:
            await super().send(unsent)

    async def _receive(self, what: str) -> bool:
        """Take in what comes next; False at the end."""
        try:
            async with asyncio.timeout(DEADLINE):
                data = await asyncio.get_running_loop().sock_recv(self.sock, 262144)
        except TimeoutError:
            raise AssertionError(f"{self.name}: silent for {DEADLINE} s while waiting for {what}") from None
        except ConnectionError:
            data = b""
        self._incoming.write(data) if data else self._incoming.write_eof()
        return bool(data)

    async def more(self, what: str) -> None:
        assert not self.ended, f"{self.name}: {self.ended} while waiting for {what}; unread: {self.pending[:2000]!r}"
        while True:
            try:
                data = b"" if self._unwraps() else self.tls.read(262144)
            except ssl.SSLWantReadError:
                await self._receive(what)
                continue
            except (ssl.SSLEOFError, ssl.SSLError):
                self.ended = "reset"
                return
            self.received += data
            if not data:
                self.ended = "fin"
            return

    def half_close(self) -> None:
        """close_notify, which to TLS libraries is the end of both ways."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._ended_ours = True
        self.sock.send(self._outgoing.read())

    def _unwraps(self) -> bool:
        """Whether the other side has answered our close_notify with its own; raises SSLWantReadError until then."""
        if self._ended_ours:
            self.tls.unwrap()
        return self._ended_ours
