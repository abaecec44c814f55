"""Clients that speak to a name without resolving it.

Lives here: one request, a connection left open, and a client that never stops asking.
Not here: browsers (`browser.py`), curl and git, which the tests start themselves.

`*.localhost` resolves in browsers and curl, not in plain glibc: so all of these connect to 127.0.0.1 and carry the
name in `Host`, as devproxy's own documentation tells people to.
"""

import base64
import http.client
import os
import socket
import threading
from collections.abc import Mapping
from typing import NamedTuple, Self

from tests.waiting import DEADLINE, PROGRAM_DEADLINE


class Answer(NamedTuple):
    """`headers` keeps duplicates and order; `header` looks one up."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


def request(
    port: int,
    host: str,
    path: str = "/",
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    address: str = "127.0.0.1",
) -> Answer:
    """One request on a connection of its own to `address`:`port`, for the name `host`."""
    connection = http.client.HTTPConnection(address, port, timeout=DEADLINE)
    try:
        return exchange(connection, f"{host}:{port}", path, method=method, body=body, headers=headers)
    finally:
        connection.close()


def exchange(
    connection: http.client.HTTPConnection,
    authority: str,
    path: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """One request and its whole response on `connection`, which stays open."""
    connection.request(method, path, body, {"Host": authority, **(headers or {})})
    response = connection.getresponse()
    return Answer(response.status, response.getheaders(), response.read())


def open_request(port: int, head: str, *, receive_buffer: int = 0) -> socket.socket:
    """A connection on which `head` (lines joined by newlines) was sent; the caller reads and closes it."""
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(DEADLINE)
    client.connect(("127.0.0.1", port))
    client.sendall(("\r\n".join(head.split("\n")) + "\r\n\r\n").encode("ascii"))
    return client


def read_head(client: socket.socket) -> bytes:
    """The head of a response, byte by byte, so that nothing of what follows is taken."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        assert byte, f"closed in the middle of a head: {head!r}"
        head += byte
    return head


def read_answer(client: socket.socket) -> Answer:
    """The next response, of a length that is told, and nothing of what follows."""
    status, *lines = read_head(client).decode().split("\r\n")[:-2]
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    answer, body = Answer(int(status.split()[1]), headers, b""), b""
    left = int(answer.header("Content-Length") or 0)
    while len(body) < left:
        piece = client.recv(left - len(body))
        assert piece, f"closed in the middle of a body: {body!r}"
        body += piece
    return answer._replace(body=body)


def open_websocket(port: int, host: str, path: str = "/") -> socket.socket:
    """A WebSocket after its handshake; what travels on it need not be frames: a proxy does not look."""
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = f"Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: {key}"
    client = open_request(port, f"GET {path} HTTP/1.1\nHost: {host}:{port}\n{upgrade}")
    head = read_head(client)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return client


class Hammer:
    """A thread that asks for `path` at `host` over kept-alive connections until it is told to stop.

    `bodies` are the answers of status 200 in order; `failures` are other statuses and broken connections.
    """

    def __init__(self, port: int, host: str, path: str = "/"):
        self.bodies: list[bytes] = []
        self.failures: list[str] = []
        self._target = (port, host, path)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PROGRAM_DEADLINE)

    def _run(self) -> None:
        port, host, path = self._target
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        while not self._stop.is_set():
            try:
                answer = exchange(connection, f"{host}:{port}", path)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                continue
            if answer.status == 200:
                self.bodies.append(answer.body)
            else:
                self.failures.append(f"{answer.status} {answer.body[:300]!r}")
        connection.close()
