"""TLS for tests: without a socket, a client and a server of Python's ssl and the bytes between them; with one, a server
that answers every request."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import DEADLINE


@dataclass
class Handshake:
    """A connection that was made, or the errors of both sides and what the server had sent by then."""

    client: ssl.SSLObject
    server: ssl.SSLObject
    server_bytes: bytes
    client_error: ssl.SSLError | None = None
    server_error: ssl.SSLError | None = None

    @property
    def names(self) -> list[str]:
        """Those in the certificate that the client has got."""
        certificate: Any = self.client.getpeercert()
        return [name for _, name in certificate["subjectAltName"]]

    def session(self) -> ssl.SSLSession | None:
        """To resume it; TLS 1.3 sends it with the first bytes of data."""
        self.server.write(b"x")
        assert self.client.read(1) == b"x"
        return self.client.session


def client_context(roots: str, *, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client that trusts `roots` (PEM) alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=roots)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def shake(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str | None, *, session: ssl.SSLSession | None = None
) -> Handshake:
    """Each side has its turn until both are done or one has failed."""
    to_server, to_client, relayed = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(relayed, to_server, server_hostname=name, session=session),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    result = Handshake(*ends, b"")
    done = [False, False]
    for _ in range(10):
        for number, end in enumerate(ends):
            if not done[number]:
                try:
                    end.do_handshake()
                    done[number] = True
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
                except ssl.SSLError as error:
                    done[number] = True
                    if number:
                        result.server_error = error
                    else:
                        result.client_error = error
            sent = to_client.read()
            result.server_bytes += sent
            relayed.write(sent)
        if all(done):
            break
    # what is written later goes to the client as well
    server_write = ends[1].write

    def write(data: Any) -> int:
        written = server_write(data)
        relayed.write(to_client.read())
        return written

    ends[1].write = write  # type: ignore[method-assign]
    return result


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[int]:
    """A port of 127.0.0.1 where everybody gets `hello` over TLS, once something has come."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with plain:
                try:
                    with context.wrap_socket(plain, server_side=True) as connection:
                        connection.recv(4096)
                        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello\n")
                        connection.unwrap()
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(DEADLINE)


def server_context(pem: Path) -> ssl.SSLContext:
    """A server with the key and the chain in one file, whatever name it is asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
