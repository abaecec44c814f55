"""A service on threads of the test's own process, so that the test sees what reached it.

Lives here: the server, what it records, and reading a request's body in either framing.
Not here: services that must be real programs (`storage/process_identity.py`, `apps/`).
"""

import base64
import contextlib
import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn, UnixStreamServer
from typing import Any, NamedTuple, TypeAlias, TypeVar

from tests.ports import free_port
from tests.waiting import DEADLINE

Answer: TypeAlias = Callable[["Handler"], None]
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3


class Seen(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]  # names in lower case


class Record:
    """What reached an origin: every request whose head was read, and how many connections are open."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.connections: set[socket.socket] = set()
        self.lock = threading.Lock()

    def paths(self) -> list[str]:
        return [seen.path for seen in self.requests]


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive; every method goes to `answer`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait for an ACK that is delayed
    record: Record
    answer: Answer

    def setup(self) -> None:
        super().setup()
        with self.record.lock:
            self.record.connections.add(self.connection)

    def finish(self) -> None:
        with self.record.lock:
            self.record.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._do
        raise AttributeError(name)

    def _do(self) -> None:
        fields = {key.lower(): value for key, value in self.headers.items()}
        self.record.requests.append(Seen(self.command, self.path, fields))
        type(self).answer(self)

    def log_message(self, *args: Any) -> None:
        """Silent: the test has the record."""

    def reply(self, body: bytes, *fields: tuple[str, str], status: int = 200) -> None:
        """A whole response with a length."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def switch(self) -> None:
        """The 101 of a WebSocket (RFC 6455 §4.2.2); what follows on `connection` is the caller's."""
        accepted = hashlib.sha1(self.headers["Sec-WebSocket-Key"].encode() + _GUID).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accepted).decode())
        self.end_headers()
        self.close_connection = True

    def pieces(self) -> Iterator[bytes]:
        """The request's body as it comes, in either framing (RFC 9112 §6)."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length", 0))
        while left and (piece := self.rfile.read1(min(left, 1 << 20))):
            left -= len(piece)
            yield piece

    def body(self) -> bytes:
        return b"".join(self.pieces())


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    request_queue_size = 512
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A broken connection is what many tests are about."""


class _Server6(_Server):
    address_family = socket.AF_INET6

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()


class _UnixServer(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def get_request(self) -> tuple[socket.socket, Any]:
        request, _ = super().get_request()
        return request, ("unix", 0)


_S = TypeVar("_S", _Server, _UnixServer)


class Origin(NamedTuple):
    port: int
    record: Record


@contextlib.contextmanager
def origin(
    answer: Answer, *, host: str = "127.0.0.1", expect: Callable[[Handler], bool] | None = None
) -> Iterator[Origin]:
    """A service on `host` (an IPv4 or IPv6 loopback literal) and a port that nobody else gets before the test ends.

    `expect` answers `Expect: 100-continue` in the handler's place; it returns whether the request goes on.
    """
    handler, record = _handler(answer)
    if expect:
        handler.handle_expect_100 = expect  # type: ignore[method-assign,assignment]
    with _served((_Server6 if ":" in host else _Server)((host, free_port()), handler)) as server:
        yield Origin(int(server.server_address[1]), record)


@contextlib.contextmanager
def unix_origin(answer: Answer, path: Path) -> Iterator[Record]:
    handler, record = _handler(answer)
    handler.disable_nagle_algorithm = False  # it is TCP's
    with _served(_UnixServer(str(path), handler)):
        yield record


def saying(text: str) -> Answer:
    """A service that answers everything with `text`."""
    return lambda handler: handler.reply(text.encode())


def _handler(answer: Answer) -> tuple[type[Handler], Record]:
    record = Record()
    return type("OneOrigin", (Handler,), {"record": record, "answer": staticmethod(answer)}), record


@contextlib.contextmanager
def _served(server: _S) -> Iterator[_S]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(DEADLINE)
