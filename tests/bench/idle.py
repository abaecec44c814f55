"""What an idle WebSocket costs a proxy: growth of its resident memory, per connection.

Lives here: the client side and one measurement of one proxy, freshly started. Both ends of the WebSockets are in this
process. Each makes its handshake and one echo, then stays silent. Memory in the kernel (socket buffers) is not counted.
"""

import asyncio
from pathlib import Path

from tests.bench.cpu import resident
from tests.bench.origin import WEBSOCKET_ECHO, WEBSOCKET_KEY, WebSocketOrigin
from tests.bench.peers import Peer, Site
from tests.bench.process import BenchError, Cores, free_port, started, wait_ready

BATCH = 50
FIRST = 100  # opened before the first reading, so that what is made once is not counted
FRAME = b"\x81\x82\x00\x00\x00\x00ok"  # a masked text frame, its mask all zero
OPEN_SECONDS = 15.0


class Client(asyncio.Protocol):
    """One WebSocket: handshake, one echo, then `done` is set."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.received = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(
            b"GET /socket HTTP/1.1\r\nHost: " + self.host.encode("ascii") + b"\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + WEBSOCKET_KEY + b"\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        asked = b"\r\n\r\n" in self.received
        self.received += data
        if not self.received.startswith(b"HTTP/1.1 101"[: len(self.received)]):
            self.fail(f"a handshake was answered {self.received[:60]!r}")
        elif not asked and b"\r\n\r\n" in self.received:
            self.transport.write(FRAME)
        elif self.received.endswith(WEBSOCKET_ECHO) and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("a WebSocket was closed")

    def fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(BenchError(why))


async def open_some(port: int, host: str, count: int) -> list[Client]:
    """Open `count` WebSockets, a batch at a time; raises BenchError if one is refused."""
    loop = asyncio.get_running_loop()
    opened: list[Client] = []
    for begin in range(0, count, BATCH):
        size = min(BATCH, count - begin)
        made = [loop.create_connection(lambda: Client(host), "127.0.0.1", port) for _ in range(size)]
        batch = [client for _, client in await asyncio.gather(*made)]
        async with asyncio.timeout(OPEN_SECONDS):
            await asyncio.gather(*(client.done for client in batch))
        opened.extend(batch)
    return opened


async def settled(pid: int) -> int:
    """The tree's resident bytes once they stay within 64 KiB for a second (10 s at most)."""
    last, steady = resident(pid), 0
    for _ in range(50):
        await asyncio.sleep(0.2)
        now = resident(pid)
        steady = steady + 1 if abs(now - last) < 65536 else 0
        if steady == 5:
            break
        last = now
    return resident(pid)


async def grown(peer: Peer, folder: Path, cores: Cores, count: int) -> float:
    """KiB of resident memory for each of `count` idle WebSockets through a fresh instance of `peer`."""
    loop = asyncio.get_running_loop()
    origin = await loop.create_server(WebSocketOrigin, "127.0.0.1", 0, backlog=1024)
    site = Site(folder, free_port(), {"app": origin.sockets[0].getsockname()[1]})
    peer.place(site)
    with started(peer.command(site), cores.proxy, peer.env(site), folder / "log") as running:
        await asyncio.to_thread(wait_ready, running, site.port, "app.localhost")
        clients = await open_some(site.port, "app.localhost", FIRST)
        before = await settled(running.pid)
        clients += await open_some(site.port, "app.localhost", count)
        after = await settled(running.pid)
        for client in clients:
            client.transport.abort()
        origin.close()
    return (after - before) / count / 1024
