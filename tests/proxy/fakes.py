"""A transport that only notes what is done with it, and connections of clients and services on such ones.

Lives here: what lets the protocols be tested as functions from bytes to bytes. Not here: tests.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

from devproxy.proxy.exchange import Exchange
from devproxy.proxy.h1 import Http1Connection
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.pool import UpstreamAddress
from devproxy.proxy.retry import RETRY_EVERY
from devproxy.proxy.server import Proxy
from devproxy.proxy.upstream import UpstreamConnection
from tests.clock import Clock


class Transport:
    """`written` is every byte; `done` the other things, in order; `on_write` is called at each write."""

    def __init__(self, *, half_close: bool = True) -> None:
        self.written = b""
        self.done: list[str] = []
        self.protocol: Any = None
        self.waiting = 0  # bytes that nobody has taken yet
        self.on_write: Callable[[], None] = lambda: None
        self._half_close = half_close

    def write(self, data: bytes) -> None:
        self.written += data
        self.on_write()

    def writelines(self, pieces: list[bytes]) -> None:
        self.written += b"".join(pieces)

    def can_write_eof(self) -> bool:
        return self._half_close

    def is_closing(self) -> bool:
        return "close" in self.done or "abort" in self.done

    def is_reading(self) -> bool:
        return [what for what in ["resume", *self.done] if what in ("pause", "resume")][-1] == "resume"

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 80)}.get(name)

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write_eof(self) -> None:
        self.done.append("eof")

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def pause_reading(self) -> None:
        self.done.append("pause")

    def resume_reading(self) -> None:
        self.done.append("resume")

    @property
    def statuses(self) -> list[int]:
        """Of the answers that were written, whose bodies hold no status line."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [A-Z]", self.written)]


class NoDialling(Clock):
    """An event loop on which nobody is dialled: `asked` is what was asked for, to dial now, later, or no longer."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        super().__init__(loop)
        self.asked: list[str] = []

    def create_task(self, attempt: Coroutine[Any, Any, None]) -> Any:
        attempt.close()
        return self._note("now")

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Any:
        if delay != RETRY_EVERY:
            return self._loop.call_later(delay, callback, *args)
        return self._note("later")

    def _note(self, what: str) -> Any:
        def cancel() -> bool | None:
            self.asked.append("cancel")
            return True if what == "now" else None  # as a task, and as a timer

        self.asked.append(what)
        return SimpleNamespace(cancel=cancel, done=lambda: False)


def undialled(snapshot: Snapshot) -> tuple[Proxy, list[str]]:
    """A proxy that dials nobody, and what it was asked for instead; `connected` gives a request its connection."""
    proxy, loop = Proxy(snapshot), NoDialling(asyncio.get_running_loop())
    proxy.loop = cast(asyncio.AbstractEventLoop, loop)
    return proxy, loop.asked


def opened(address: UpstreamAddress) -> tuple[UpstreamConnection, Transport]:
    """A connection to a service that has just been made."""
    connection, transport = UpstreamConnection(address), Transport()
    connection.connection_made(real(transport))
    return connection, transport


def idle(address: UpstreamAddress, since: float) -> tuple[UpstreamConnection, Transport]:
    """One that is idle in the pool since then."""
    connection, transport = opened(address)
    connection.idle_since = since
    address.idle.append(connection)
    return connection, transport


def connected(exchange: Exchange) -> tuple[UpstreamConnection, Transport]:
    """One that takes a request, as if it had been dialled for it."""
    connection, transport = opened(exchange.address)
    exchange.use(connection)
    return connection, transport


def respond(exchange: Exchange, data: bytes) -> UpstreamConnection:
    """As if its service had taken the request and answered so."""
    connection, _ = connected(exchange)
    connection.data_received(data)
    return connection


def real(transport: Transport) -> asyncio.Transport:
    """For whoever wants the type."""
    return cast(asyncio.Transport, transport)


def accepted(proxy: Proxy, *, half_close: bool = True) -> tuple[Http1Connection, Transport]:
    """A connection that `proxy` has just taken."""
    connection, transport = proxy.connection(), Transport(half_close=half_close)
    connection.connection_made(real(transport))
    return connection, transport


def receive(connection: asyncio.Protocol, transport: Transport, data: bytes, cuts: list[int]) -> None:
    """Hand `data` over in reads that end at `cuts`, for as long as the connection is read."""
    before = 0
    for at in sorted({min(cut, len(data)) for cut in cuts} | {len(data)}):
        if at > before and not transport.is_closing():
            connection.data_received(data[before:at])
        before = at
