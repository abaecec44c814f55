"""A proxy in this process, a service that a function plays, and plain streams as clients.

Lives here: `running`, which starts and ends all of it and finds what is left behind.
Not here: tests; the scripted stage of the wire tests (`tests/wire/harness.py`), which looks at single bytes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.proxy.splice import WORTHWHILE
from devproxy.registry.model import ProxySettings, Registry, Upstream
from tests.proxy.values import service
from tests.waiting import until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Running:
    """The proxy, the ports, and the clients there are."""

    def __init__(self, proxy: Proxy, port: int, origin_port: int):
        self.proxy = proxy
        self.port = port
        self.origin_port = origin_port
        self.clients: list[asyncio.StreamWriter] = []

    async def connect(self) -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(writer)
        return reader, writer


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def snapshot(port: int, **settings: Any) -> Snapshot:
    """`web` at this port."""
    web = service("web", upstream=Upstream("http", ("127.0.0.1",), port), hold=0.2, response_timeout=30.0)
    return Snapshot.of(Registry(settings=ProxySettings(**settings), services=(web,)))


@contextlib.asynccontextmanager
async def running(
    play: Play,
    *,
    connection_limit: int = 1000,
    splice_from: int = WORTHWHILE,
    accept: Callable[[Proxy], asyncio.Protocol] = Proxy.connection,
    **settings: Any,
) -> AsyncIterator[Running]:
    """`play` is called for each connection to the service, and its connection closed when it returns; `accept` makes
    the protocol of each of a client."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    playing: set[asyncio.Task[Any] | None] = set()
    loop.set_exception_handler(lambda _, context: complaints.append(context))

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        playing.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await play(reader, writer)
        writer.close()

    origin = await asyncio.start_server(quietly, "127.0.0.1", 0)
    origin_port = origin.sockets[0].getsockname()[1]
    proxy = Proxy(snapshot(origin_port, **settings), connection_limit=connection_limit, splice_from=splice_from)
    server = await loop.create_server(lambda: accept(proxy), "127.0.0.1", 0)
    stage = Running(proxy, server.sockets[0].getsockname()[1], origin_port)
    try:
        yield stage
    finally:
        for client in stage.clients:
            client.transport.abort()
        server.close()
        await proxy.drain(0)
        origin.close()
        for task in playing:
            assert task is not None
            task.cancel()
        await until(lambda: len(asyncio.all_tasks()) == 1)
    assert not complaints, complaints
