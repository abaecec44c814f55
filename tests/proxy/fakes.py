"""A transport that only notes what is done with it, and a client's connection on one.

Lives here: what lets the protocols be tested as functions from bytes to bytes. Not here: tests.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any, cast

from devproxy.http1.response import ResponseHead, read_response_head
from devproxy.proxy.exchange import Exchange
from devproxy.proxy.h1 import Http1Connection
from devproxy.proxy.server import Proxy


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


class Waiting(Exchange):
    """An exchange that dials nobody: what happens to it is noted, and a test gives its response."""

    __slots__ = ("events",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.events: list[str] = []

    def start(self) -> None:
        self.events.append("start")

    def finish(self) -> None:
        super().finish()
        self.events.append("finish")

    def respond(self, head: bytes, body: bytes = b"", *, whole: bool = True) -> None:
        """As if the service had answered so."""
        response = read_response_head(head, self.head_method, 65536, 100)
        assert isinstance(response, ResponseHead), response
        self.on_head(response, body)
        if whole:
            self.on_end(b"")


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
