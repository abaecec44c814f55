"""A stage whose service does not run, until the test says that it came up.

Lives here: what the starter does in the running proxy, as calls. Not here: tests.
"""

from typing import Any

from devproxy.registry.model import Service
from tests.waiting import until
from tests.wire.harness import Stage, crlf, service
from tests.wire.peer import Peer

PAGE = b"Accept: text/html,*/*;q=0.8"
UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
ACCEPTED = crlf(
    *(b"HTTP/1.1 101 Switching Protocols", b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    *(b"Connection: Upgrade", b"Upgrade: websocket"),
)


class Asleep:
    """A stage whose service `web` does not run; `woken` are those that somebody asked for."""

    def __init__(self, stage: Stage):
        self.stage = stage
        self.woken: list[str] = []

    def web(self, *, up: bool = False, **options: Any) -> Service:
        values: dict[str, Any] = {"command": "make", "start": "on-request", "trusted": True, **options}
        return service("web", self.stage.origin if up else None, **values)

    async def start(self, **options: Any) -> None:
        await self.stage.start(self.web(**options))
        self.stage.proxy.wake = self.woken.append

    def come_up(self, **options: Any) -> None:
        """What the starter does: the registry has its port, and the gate opens."""
        self.stage.swap(self.web(up=True, **options))
        self.stage.proxy.set_gates({})

    async def waits(self, count: int = 1) -> None:
        await until(lambda: len(self.stage.proxy.held) == count)
        assert self.stage.origin.untouched()

    async def ask(self, data: bytes) -> Peer:
        """A request that waits."""
        client = await self.stage.connect()
        await client.send(data)
        await self.waits(len(self.stage.proxy.held) + 1)
        return client
