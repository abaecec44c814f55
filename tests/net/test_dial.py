"""The only connect(): which addresses are tried, in which order, what never is, and what a person is told."""

import ast
import asyncio
import errno
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import devproxy
from devproxy.net import dial
from devproxy.net.dial import DialError, _refuse_ourselves, connect, connect_socket
from devproxy.registry.model import Upstream
from tests import require
from tests.ports import free_port
from tests.waiting import DEADLINE

BOTH = ("127.0.0.1", "::1")
Listen = Callable[..., int]


class Client(asyncio.Protocol):
    """Keeps its transport, and says when it is lost."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received = b""
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)


async def close(client: Client) -> None:
    client.transport.abort()
    async with asyncio.timeout(DEADLINE):
        await client.lost


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Listen on some of the two loopback addresses, where nobody else has the others; gives the port."""
    with ExitStack() as stack:

        def at(*hosts: str, backlog: int = 16) -> int:
            port = free_port()
            for host in hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                stack.enter_context(socket.create_server((host, port), family=family, backlog=backlog))
            return port

        yield at


def descriptors() -> list[Path]:
    return sorted(Path("/proc/self/fd").iterdir())


async def greeting(text: bytes, context: ssl.SSLContext | None = None) -> tuple[asyncio.Server, int]:
    """A server that says `text` and closes; and its port."""

    def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    return server, server.sockets[0].getsockname()[1]


async def failure(upstream: Upstream, *, first: str = "") -> DialError:
    with pytest.raises(DialError) as caught:
        await connect(upstream, Client, first=first)
    return caught.value


@pytest.mark.parametrize("only", BOTH)
async def test_the_address_that_answers_is_found_and_told(listen: Listen, only: str) -> None:
    port = listen(only)
    client, address = await connect(Upstream("http", BOTH, port), Client)
    assert address == only
    assert client.transport.get_extra_info("peername")[:2] == (only, port)
    await close(client)


async def test_small_pieces_wait_for_no_acknowledgement(listen: Listen) -> None:
    client, _ = await connect(Upstream("http", BOTH, listen("127.0.0.1")), Client)
    assert client.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    await close(client)


@pytest.mark.parametrize("first", [*BOTH, "", "unheard of"])
async def test_the_one_that_answered_last_time_is_tried_before_the_others(listen: Listen, first: str) -> None:
    port = listen(*BOTH)
    client, address = await connect(Upstream("http", BOTH, port), Client, first=first)
    assert address == (first if first in BOTH else "127.0.0.1")
    await close(client)


async def test_where_nobody_listens_every_address_is_named_in_the_order_of_trying(listen: Listen) -> None:
    port = listen()
    error = await failure(Upstream("http", BOTH, port), first="::1")
    words = "connection refused: nothing listens there"
    assert error.tried == [(f"[::1]:{port}", words), (f"127.0.0.1:{port}", words)]
    assert not error.timeout
    assert not error.exhausted
    assert str(error) == f"[::1]:{port}: {words}; 127.0.0.1:{port}: {words}"


@pytest.mark.parametrize(
    "host", ["10.255.255.1", "0.0.0.0", "::", "localhost", "web.localhost", "127.1", "::ffff:1.2.3.4"]
)
async def test_nothing_but_a_loopback_literal_is_ever_dialled(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up, or a socket made")

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", never)
        patched.setattr(socket, "socket", never)
        error = await failure(Upstream("http", (host,), 80))
    assert "not an address of this machine's loopback" in error.tried[0][1]


async def test_a_listener_whose_queue_is_full_is_a_timeout(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    port = listen("127.0.0.1", backlog=0)
    monkeypatch.setattr(dial, "CONNECT_TIMEOUT", 0.2)
    with ExitStack() as stack:
        for _ in range(4):  # the kernel takes one or two, and lets the others wait
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        error = await failure(Upstream("http", ("127.0.0.1",), port))
    assert error.timeout
    assert error.tried == [(f"127.0.0.1:{port}", "no answer to a connect within 0.2 s")]


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
async def test_a_lack_of_descriptors_is_told_apart(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", exhausted)
        error = await failure(Upstream("http", ("127.0.0.1",), 80))
    assert error.exhausted
    assert "too many open files" in error.tried[0][1]


async def test_unix_sockets(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    upstream = Upstream("http", path=str(path))
    assert (await failure(upstream)).tried == [(str(path), "there is no such socket file")]
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        assert (await failure(upstream)).tried == [(str(path), "connection refused: nothing listens there")]
        sock.listen()
        client, address = await connect(upstream, Client)
        assert address == str(path)
        await close(client)


@pytest.mark.parametrize("any_user", [False, True])
async def test_a_unix_socket_whose_backlog_is_full_is_waited_for(tmp_path: Path, any_user: bool) -> None:
    loop = asyncio.get_running_loop()
    upstream = Upstream("tcp", path=str(tmp_path / "db.sock"), any_user=any_user)
    with ExitStack() as open_, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(upstream.path)
        listener.listen(0)
        listener.setblocking(False)
        waiting = [asyncio.ensure_future(connect_socket(upstream)) for _ in range(20)]
        async with asyncio.timeout(DEADLINE):
            for _ in waiting:
                open_.enter_context((await loop.sock_accept(listener))[0])
        for client, _ in await asyncio.gather(*waiting):
            assert open_.enter_context(client).getpeername() == upstream.path


def test_a_connection_to_ourselves_is_none() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())  # TCP simultaneous open: it succeeds
        with pytest.raises(ConnectionRefusedError):
            _refuse_ourselves(sock)


def test_a_connection_that_is_gone_already_is_found_out_later(listen: Listen) -> None:
    with socket.socket() as sock:
        _refuse_ourselves(sock)  # not connected: the kernel has no peer to tell


async def test_no_descriptor_is_left_behind(listen: Listen) -> None:
    require.linux()
    port, nobody = listen("127.0.0.1"), listen()
    client, _ = await connect(Upstream("http", ("127.0.0.1",), port), Client)
    await close(client)
    await failure(Upstream("http", ("127.0.0.1",), nobody))
    before = descriptors()
    for _ in range(10):
        client, _ = await connect(Upstream("http", ("127.0.0.1",), port), Client)
        await close(client)
        await failure(Upstream("http", ("127.0.0.1",), nobody))
    assert descriptors() == before


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """A server's context whose certificate nobody vouches for; it notes the name it is asked as."""
    openssl, key, cert = require.program("openssl"), tmp_path / "key.pem", tmp_path / "cert.pem"
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run([openssl, *request, "-subj", "/CN=x", "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.mark.parametrize("name", ["web.shop.localhost", ""])
async def test_a_tls_service_is_asked_by_name_for_http_1_and_not_verified(
    certificate: ssl.SSLContext, name: str
) -> None:
    asked: list[str | None] = []
    certificate.sni_callback = lambda _object, server_name, _context: asked.append(server_name)
    server, port = await greeting(b"hi", certificate)
    client, _ = await connect(Upstream("https", ("127.0.0.1",), port), Client, server_name=name)
    assert asked == [name or None]  # an address is no name: RFC 6066 §3
    assert client.transport.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    await close(client)
    server.close()
    await server.wait_closed()


async def test_a_service_that_speaks_no_tls_is_told_so() -> None:
    server, port = await greeting(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    error = await failure(Upstream("https", ("127.0.0.1",), port))
    assert "no TLS there" in error.tried[0][1]
    server.close()
    await server.wait_closed()


def test_nothing_else_in_devproxy_connects() -> None:
    calls = {"connect", "connect_ex", "create_connection", "open_connection", "sock_connect", "create_unix_connection"}
    found = set()
    root = Path(devproxy.__file__).parent
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "import socket" in text or "import asyncio" in text else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in calls:
                found.add(path.relative_to(root).as_posix())
    # The proof is a connection to ourselves, to be seen by others; a session's is one end of a socketpair.
    assert found == {"net/dial.py", "health/reachability.py", "run/session.py"}
