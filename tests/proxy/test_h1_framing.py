"""How a response is framed for a client, by what the client speaks and the service sent."""

import pytest

from devproxy.proxy.exchange import Exchange
from devproxy.proxy.h1 import Http1Connection
from devproxy.proxy.interfaces import Snapshot
from devproxy.registry.model import Registry
from tests.proxy.fakes import Transport, accepted, respond, undialled
from tests.proxy.values import service

HEAD = b"HTTP/1.%d 200 OK\r\nDate: x\r\n%b\r\n"


async def asked(minor: int, *fields: bytes) -> tuple[Exchange, Http1Connection, Transport]:
    """A GET for web over HTTP/1.`minor`, whose service has not answered."""
    proxy, _ = undialled(Snapshot.of(Registry(services=(service("web"),))))
    connection, transport = accepted(proxy)
    lines = b"".join(field + b"\r\n" for field in (b"Host: web.localhost", *fields))
    connection.data_received(b"GET / HTTP/1.%d\r\n%b\r\n" % (minor, lines))
    assert connection.exchange is not None
    proxy.close()
    transport.done.clear()
    return connection.exchange, connection, transport


@pytest.mark.parametrize(
    ("minor", "line", "kept", "connection"),
    [
        (1, b"Content-Length: 2\r\n", True, b""),
        (1, b"Transfer-Encoding: chunked\r\n", True, b""),
        (1, b"", False, b"Connection: close\r\n"),
        (0, b"Content-Length: 2\r\n", True, b"Connection: keep-alive\r\n"),
        (0, b"Transfer-Encoding: chunked\r\n", False, b"Connection: close\r\n"),
        (0, b"", False, b"Connection: close\r\n"),
    ],
)
async def test_the_clients_connection_stays_where_it_can_tell_the_end(
    minor: int, line: bytes, kept: bool, connection: bytes
) -> None:
    exchange, client, transport = await asked(minor, b"Connection: keep-alive")
    exchange.added = b"Devproxy-Warning: x\r\n"
    respond(exchange, HEAD % (1, line) + (b"2\r\nok\r\n" if line.startswith(b"Transfer") else b"ok"))
    assert client.keep_alive is kept
    head, _, body = transport.written.partition(b"\r\n\r\n")
    chunked = line.startswith(b"Transfer") and minor == 1
    assert body == (b"2\r\nok\r\n" if chunked else b"ok")
    told = line if minor == 1 or not line.startswith(b"Transfer") else b""
    assert head + b"\r\n" == b"HTTP/1.1 200 OK\r\nDate: x\r\n" + told + connection + b"Devproxy-Warning: x\r\n"
    assert exchange.deadline == float("inf")
    assert exchange.address.alive_at == exchange.proxy.clock
    assert exchange.bytes_out == 2


@pytest.mark.parametrize("minor", [0, 1])
async def test_interim_answers_are_for_clients_that_know_them(minor: int) -> None:
    exchange, _, transport = await asked(minor)
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    respond(exchange, hints)
    assert transport.written == (hints if minor else b"")
