"""A connection that is reset: its peer does not take what it got for whole."""

import asyncio

import pytest

from devproxy.net.sockets import reset
from tests.waiting import until


async def test_the_peer_sees_an_error_and_no_end() -> None:
    taken: list[asyncio.StreamWriter] = []

    async def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.append(writer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await until(lambda: taken)
        transport = taken[0].transport
        assert isinstance(transport, asyncio.Transport) or transport is not None
        reset(transport)  # type: ignore[arg-type] # a WriteTransport by name
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        reset(transport)  # type: ignore[arg-type] # a second time is no error
