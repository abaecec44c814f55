"""A proxy and a forwarder in this process, a service that a function plays, and plain streams as clients.

Lives here: `stage`, which starts and ends all of it, and finds what is left behind.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from devproxy.events import AnyEvent
from devproxy.problems import Problem
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.registry.model import ListenAddress, Registry, Service, Source, Upstream
from devproxy.tcp.forwarder import Forwarder
from tests.ports import free_port
from tests.waiting import until

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def tcp_service(name: str, port: int, listen: int | ListenAddress, **more: Any) -> Service:
    """A TCP service at `port`, listened for at `listen`: a port of 127.0.0.1, or an address."""
    given: dict[str, Any] = {
        "upstream": Upstream("tcp", ("127.0.0.1",), port) if port else None,
        "listen": ListenAddress(("127.0.0.1",), listen) if isinstance(listen, int) else listen,
        "hold": 0.0,
        "source": Source("/registry.toml", 3),
    }
    return Service(id=name, name=name, project=None, hosts=(), protocol="tcp", **(given | more))


class Stage:
    """What there is: `events` and `problems` as they were told, and the clients."""

    def __init__(self, proxy: Proxy, forwarder: Forwarder):
        self.proxy = proxy
        self.forwarder = forwarder
        self.events: list[AnyEvent] = []
        self.problems: tuple[Problem, ...] = ()
        self._clients: list[asyncio.StreamWriter] = []
        forwarder.tell = self.events.append
        forwarder.on_problems = self._hear

    def _hear(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems

    async def use(self, *services: Service) -> None:
        """These are the registry from now on."""
        self.proxy.swap(Snapshot.of(Registry(services=services)))
        await self.forwarder.follow(services)

    async def connect(self, service: Service) -> Streams:
        """A client of a service."""
        assert service.listen is not None
        reader, writer = await asyncio.open_connection(service.listen.hosts[0], service.listen.port)
        self._clients.append(writer)
        return reader, writer

    def close(self) -> None:
        for client in self._clients:
            client.transport.abort()

    @property
    def told(self) -> list[str]:
        return [event.text() for event in self.events]


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@contextlib.asynccontextmanager
async def service_that(play: Play, *, port: int = 0, path: str = "") -> AsyncIterator[int]:
    """A server that calls `play` for each connection; yields its port."""
    playing: set[asyncio.Task[Any]] = set()

    async def quietly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        playing.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await play(reader, writer)
        writer.close()

    if path:
        server = await asyncio.start_unix_server(quietly, path)
    else:
        server = await asyncio.start_server(quietly, "127.0.0.1", port)
    try:
        yield 0 if path else server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in playing:
            task.cancel()
        await until(lambda: all(task.done() for task in playing))


@contextlib.asynccontextmanager
async def stage(*services: Service, limit: int = 100) -> AsyncIterator[Stage]:
    """Everything for `services`, ended in order, with nothing left behind."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    proxy = Proxy(Snapshot.of(Registry()))
    made = Stage(proxy, Forwarder(proxy, limit=limit))
    try:
        await made.use(*services)
        yield made
    finally:
        made.close()
        made.forwarder.close()
        proxy.close()
        await until(lambda: not made.forwarder.connections)
    assert not complaints, complaints


@contextlib.asynccontextmanager
async def forwarded(play: Play, *, at: int = 0, **more: Any) -> AsyncIterator[tuple[Stage, Service]]:
    """A stage with one service that `play` plays, listened for at port `at` if that is given."""
    async with service_that(play) as port:
        service = tcp_service("db", port, at or free_port(), **more)
        async with stage(service) as made:
            yield made, service


def changed(service: Service, **more: Any) -> Service:
    """The service with other values."""
    return msgspec.structs.replace(service, **more)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()
