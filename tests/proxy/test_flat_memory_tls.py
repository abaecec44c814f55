"""The same over TLS: connections whatever their end, resumed or not, and what passes on them, are freed.

Real sockets, since OpenSSL reads and writes them itself; the clients are in this process, and are counted with ours.
"""

import asyncio
import itertools
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import pytest

from devproxy.net.sockets import resets_at_close
from devproxy.proxy.h2_engine import Connection, Role, StreamClosed
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.pool import UpstreamAddress
from devproxy.proxy.server import Proxy
from devproxy.proxy.tls_accept import TlsAcceptor
from devproxy.proxy.upstream import UpstreamConnection
from devproxy.registry.model import Registry
from tests.proxy.fakes import undialled
from tests.proxy.flat_memory import ROUNDS, Nowhere, dialled, real, stays
from tests.proxy.values import LOCAL, service
from tests.waiting import DEADLINE
from tests.wire.tls_peer import server_context

pytestmark = pytest.mark.slow

HANDSHAKES = 1_000
REQUESTS = 10_000
SLACK = 400  # blocks: one object that is lost with each of these is more

# The same lines each time: those that are remembered would come and go in the count.
REQUEST = b"GET / HTTP/1.1\r\nHost: web.localhost\r\nCookie: a=b\r\n\r\n"
HALF_REQUEST = b"POST / HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 8\r\n\r\nhalf"
ANSWERS = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, bytes(size)) for size in (0, 2, 100, 100_000)]
Result = TypeVar("Result")


class Answering(Nowhere):
    """A service at whose every request an answer comes, some of them larger than what TLS sends at once."""

    def __init__(self, address: UpstreamAddress) -> None:
        connection = UpstreamConnection(address)
        super().__init__(connection)
        self._connection = connection
        self._answers = itertools.cycle(ANSWERS)
        connection.connection_made(real(self))
        connection.idle_since = asyncio.get_running_loop().time()
        address.idle.append(connection)

    def write(self, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._connection.data_received, next(self._answers))


@asynccontextmanager
async def accepting(*alpn: str) -> AsyncIterator[tuple[Proxy, int]]:
    """A proxy that accepts TLS at a port, and its service."""
    proxy, _ = undialled(Snapshot.of(Registry(services=(service("web"),))))
    context = server_context(*alpn)

    async def accepted_with() -> ssl.SSLContext:
        return context

    acceptor = TlsAcceptor(proxy, accepted_with, proxy.fronts)
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    listener.setblocking(False)
    acceptor.accept_on(listener)
    try:
        yield proxy, listener.getsockname()[1]
    finally:
        acceptor.close()
        await proxy.drain(0)


async def turn_until(condition: Callable[[], object]) -> None:
    """Until it holds, turn by turn: `tests.waiting` would look two hundred times a second."""
    deadline = time.monotonic() + DEADLINE
    while True:
        if condition():
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0)


async def stepping(step: Callable[[], Result]) -> Result:
    """What `step` gives, once the socket is ready for it."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return step()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            assert time.monotonic() < deadline
            await asyncio.sleep(0)


async def connected(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """A client that has not shaken hands."""
    sock = socket.socket()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    return context.wrap_socket(sock, server_hostname="web.localhost", do_handshake_on_connect=False, session=session)


async def asked(client: ssl.SSLSocket) -> None:
    """One request on it, and its whole answer."""
    await stepping(lambda: client.send(REQUEST))
    received = await stepping(lambda: client.recv(1 << 16))
    head, _, body = received.partition(b"\r\n\r\n")
    left = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]) - len(body)
    while left:
        left -= len(await stepping(lambda: client.recv(1 << 16)))


async def half_asked(client: ssl.SSLSocket) -> None:
    """A request, and some of its body."""
    await stepping(lambda: client.send(HALF_REQUEST))


async def asked_by_h2(client: ssl.SSLSocket) -> None:
    """One request by HTTP/2 on a connection that has said nothing yet, and its whole answer."""
    engine = begun(b"GET")
    while not any(isinstance(event, StreamClosed) for event in engine.events()):
        frames = engine.data_to_send()
        if frames:
            await stepping(lambda: client.send(frames))  # noqa: B023
        engine.receive_data(await stepping(lambda: client.recv(1 << 16)))


async def half_asked_by_h2(client: ssl.SSLSocket) -> None:
    engine = begun(b"POST")
    engine.send_data(1, b"half")
    frames = engine.data_to_send()
    await stepping(lambda: client.send(frames))


def begun(method: bytes) -> Connection:
    """A connection of HTTP/2 with one request, which is whole if it may have no body."""
    engine = Connection(Role.CLIENT)
    engine.initiate_connection()
    pseudo = [(b":method", method), (b":scheme", b"https"), (b":authority", b"web.localhost"), (b":path", b"/")]
    engine.send_request(pseudo, end_stream=method == b"GET")
    return engine


ASKING = {"http/1.1": (asked, half_asked), "h2": (asked_by_h2, half_asked_by_h2)}


def client_context(alpn: str, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols([alpn])
    return context


async def handshakes(alpn: str, version: ssl.TLSVersion, *, resumes: bool) -> None:
    """Connections that end with close_notify, with a FIN alone, by RST, in the middle of a body, and before the
    handshake is over."""
    context = client_context(alpn, version)
    ask, half_ask = ASKING[alpn]
    numbers = itertools.count()
    session: ssl.SSLSession | None = None

    async def one(proxy: Proxy, port: int, number: int) -> None:
        nonlocal session
        client = await connected(port, context, session)
        if number % 5 == 4:
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
            client.close()
            return
        await stepping(client.do_handshake)
        assert client.session_reused is (session is not None)
        if number % 5 == 3:
            proxy.pool.at(LOCAL).make_room()
            await half_ask(client)
            await turn_until(lambda: proxy.exchanges)
            dialled(*proxy.exchanges)
        else:
            if not proxy.pool.at(LOCAL).idle:
                Answering(proxy.pool.at(LOCAL))
            await ask(client)
        if resumes and session is None:  # once: Python loses 6 KiB each time that it is asked for one
            session = client.session
        if number % 5 == 1:
            with suppress(ssl.SSLWantReadError):
                client.unwrap()
        elif number % 5 == 2:
            resets_at_close(client)
        client.close()

    async with accepting("h2", "http/1.1") as (proxy, port):

        async def some() -> None:
            for _ in range(HANDSHAKES // ROUNDS):
                await one(proxy, port, next(numbers))
            await turn_until(lambda: not proxy.connections)

        await stays(some, blocks=SLACK)


async def requests() -> None:
    """One connection, and all that passes on it."""
    async with accepting() as (proxy, port):
        Answering(proxy.pool.at(LOCAL))
        client = await connected(port, client_context("http/1.1", ssl.TLSVersion.TLSv1_3))
        await stepping(client.do_handshake)

        async def some() -> None:
            for _ in range(REQUESTS // ROUNDS):
                await asked(client)

        await stays(some, blocks=SLACK)
        client.close()


# What loop takes part is the same to these: OpenSSL reads and writes the sockets.


@pytest.mark.parametrize(
    ("alpn", "version", "resumes"),
    [
        ("http/1.1", ssl.TLSVersion.TLSv1_3, False),
        ("http/1.1", ssl.TLSVersion.TLSv1_2, True),
        ("h2", ssl.TLSVersion.TLSv1_3, True),
        ("h2", ssl.TLSVersion.TLSv1_2, False),
    ],
)
def test_handshakes(alpn: str, version: ssl.TLSVersion, resumes: bool) -> None:
    asyncio.run(handshakes(alpn, version, resumes=resumes))


def test_requests() -> None:
    asyncio.run(requests())
