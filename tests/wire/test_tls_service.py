"""Services that speak TLS themselves (`upstream = "https://…"`).

Lives here: the certificate is not verified, the name asked for is the route's, and bodies of every size pass.
"""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from devproxy.registry.model import Upstream
from tests.require import program
from tests.wire.harness import Stage, get, service
from tests.wire.peer import Peer

BODY = bytes(range(256)) * (1 << 13)  # 2 MiB
Names = list[str | None]
Running = Callable[[], AbstractAsyncContextManager[tuple[int, Names]]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and self-signed certificate in one file."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            program("openssl"),
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=self-signed",
            "-keyout",
            str(file),
            "-out",
            str(file.with_suffix(".crt")),
        ],
        check=True,
        capture_output=True,
    )
    file.write_bytes(file.read_bytes() + file.with_suffix(".crt").read_bytes())
    return file


@pytest.fixture
def tls(certificate: Path) -> Running:
    """A TLS service that answers every request with BODY; gives its port and the names it was asked for."""

    @asynccontextmanager
    async def running() -> AsyncIterator[tuple[int, Names]]:
        names: Names = []
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        context.set_servername_callback(lambda _, name, __: names.append(name))
        server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1], names
        finally:
            server.close()

    return running


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
    await writer.drain()
    writer.close()


async def test_body_passes_and_the_name_is_the_routes(stage: Stage, tls: Running) -> None:
    async with tls() as (port, names):
        await stage.start(service("web", Upstream("https", ("127.0.0.1",), port)))
        client = await stage.connect()
        await client.send(get())
        message = await client.response()
        assert (message.status, message.body) == (200, BODY)
        assert names == ["web.localhost"]


async def test_service_without_tls_is_told_apart(stage: Stage) -> None:
    async def talk_plainly(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    stage.origin.always(talk_plainly)
    upstream = Upstream("https", (stage.origin.host,), stage.origin.port)
    await stage.start(service("web", upstream))
    client = await stage.connect()
    await client.send(get())
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-refused")
    assert b"no TLS there" in message.body
