"""Whether memory stays flat over very many rounds of something: blocks of Python's allocator, and bytes of malloc(3).

Lives here: the count, and transports that lead nowhere. Not here: what is done in a round (`test_flat_memory*.py`).

`sys.getallocatedblocks` counts what Python's allocator has given out, so one lost object in a hundred requests is seen.
What OpenSSL and libnghttp2 have is seen by mallinfo2(3), where there is one; Python's objects of more than 512 bytes
are in both.
"""

import asyncio
import ctypes
import gc
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

from devproxy.proxy.exchange import Exchange
from devproxy.proxy.server import Proxy
from devproxy.proxy.upstream import UpstreamConnection
from tests.proxy.values import LOCAL

ROUNDS = 20  # after as many there must be no more than after the first
SLACK = 2_000  # blocks: what the interpreter and the test's own machinery keep
SLACK_BYTES = 512 * 1024  # of malloc: what it keeps at hand for each size, which it counts as given out


class Nowhere:
    """A transport that keeps nothing. Where it has a `protocol` it tells it of its end, in the next turn."""

    def __init__(self, protocol: asyncio.Protocol | None = None) -> None:
        self.ended = False
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        pass

    def writelines(self, pieces: list[bytes]) -> None:
        pass

    def get_extra_info(self, name: str) -> Any:
        return {"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 80)}.get(name)

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.ended

    def is_reading(self) -> bool:
        return True

    def close(self) -> None:
        self.lose(None)

    def abort(self) -> None:
        self.lose(None)

    def lose(self, error: Exception | None) -> None:
        """Its end, from either side."""
        if not self.ended and self._protocol is not None:
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, error)
        self.ended = True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def real(transport: Nowhere) -> asyncio.Transport:
    """For whoever wants the type."""
    return cast(asyncio.Transport, transport)


def service_of(proxy: Proxy) -> UpstreamConnection:
    """An idle connection to the service, for whoever asks next, that ends where the test says so."""
    address = proxy.pool.at(LOCAL)
    connection = UpstreamConnection(address)
    connection.connection_made(real(Nowhere()))
    address.idle.append(connection)
    return connection


def dialled(exchange: Exchange) -> UpstreamConnection:
    """A connection to its service that an exchange has asked for."""
    connection = UpstreamConnection(exchange.address)
    connection.connection_made(real(Nowhere(connection)))
    exchange.use(connection)
    return connection


class _Mallinfo2(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    )


_ask_malloc: Any = getattr(ctypes.CDLL(None), "mallinfo2", None) if sys.platform == "linux" else None
if _ask_malloc is not None:
    _ask_malloc.restype = _Mallinfo2


def given_out() -> tuple[int, int]:
    """Blocks of Python's allocator and bytes of malloc, 0 of these where it cannot be asked, that are in use now."""
    gc.collect()
    bytes_of_malloc = 0
    if _ask_malloc is not None:
        info = _ask_malloc()
        bytes_of_malloc = info.uordblks + info.hblkhd
    return sys.getallocatedblocks(), bytes_of_malloc


async def stays(one_round: Callable[[], Awaitable[None]], *, blocks: int = SLACK) -> None:
    """Nothing is left of twenty rounds but what was left of the first, give or take so many blocks."""
    await one_round()
    before = given_out()
    for _ in range(ROUNDS - 1):
        await one_round()
    more = [now - then for now, then in zip(given_out(), before, strict=True)]
    assert more[0] < blocks, f"{more[0]} blocks more"
    assert more[1] < SLACK_BYTES, f"{more[1]} bytes more"
