"""Two protocols of one process, connected: what one writes the other receives, whatever pauses there are."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.proxy.in_process import connect_in_process
from tests.proxy.values import CLIENT
from tests.waiting import until


class End(asyncio.Protocol):
    """Notes what happens to it. `half_closed`: it stays open when the other end has finished."""

    def __init__(self, *, half_closed: bool = True) -> None:
        self.received = b""
        self.happened: list[str] = []
        self.half_closed = half_closed
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert data
        self.received += data

    def eof_received(self) -> bool:
        self.happened.append("eof")
        return self.half_closed

    def pause_writing(self) -> None:
        self.happened.append("pause")

    def resume_writing(self) -> None:
        assert self.happened[-1] == "pause"
        self.happened.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.happened.append("lost")


def connected(**options: bool) -> tuple[End, End]:
    client, server = End(**options), End(**options)
    assert connect_in_process(client, server, CLIENT) is client
    return client, server


STEPS = st.lists(st.one_of(st.binary(max_size=50), st.sampled_from(["pause", "resume", "turn"])), max_size=30)


@given(steps=STEPS)
def test_what_is_written_arrives_whole_and_in_order(steps: list[bytes | str]) -> None:
    async def play() -> None:
        client, server = connected()
        written = b""
        for step in steps:
            if isinstance(step, bytes):
                client.transport.write(step)
                written += step
            elif step == "turn":
                await asyncio.sleep(0)
            elif step == "pause":
                server.transport.pause_reading()
            else:
                server.transport.resume_reading()
        server.transport.resume_reading()
        client.transport.write_eof()
        await until(lambda: server.happened)
        assert (server.received, server.happened[-1]) == (written, "eof")

    asyncio.run(play())


async def test_nothing_is_received_in_the_turn_it_was_written_in() -> None:
    client, server = connected()
    client.transport.write(b"hello")
    assert server.received == b""
    await until(lambda: server.received)


async def test_a_reader_that_pauses_stops_the_writer() -> None:
    client, server = connected()
    server.transport.pause_reading()
    client.transport.write(b"a" * 100_000)
    assert client.happened == ["pause"]
    assert client.transport.get_write_buffer_size() == 100_000
    server.transport.resume_reading()
    await until(lambda: client.happened == ["pause", "resume"])
    assert len(server.received) == 100_000


async def test_a_half_close_leaves_the_other_direction_open() -> None:
    client, server = connected()
    client.transport.write_eof()
    client.transport.write(b"too late")
    await until(lambda: server.happened)
    server.transport.write(b"still here")
    await until(lambda: client.received == b"still here")
    assert server.received == b""


async def test_an_end_that_does_not_bear_a_half_close_is_closed() -> None:
    client, server = connected(half_closed=False)
    client.transport.write_eof()
    await until(lambda: server.happened == ["eof", "lost"])
    await until(lambda: "lost" in client.happened)


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_an_end_that_closes_takes_the_other_along(how: str) -> None:
    client, server = connected()
    client.transport.write(b"last")
    getattr(client.transport, how)()
    getattr(client.transport, how)()
    await until(lambda: server.happened)
    assert server.received == (b"last" if how == "close" else b"")
    assert (client.happened, server.happened) == (["lost"], ["lost"])
    assert client.transport.is_closing()
    server.transport.write(b"nobody")
    await asyncio.sleep(0)
    assert client.received == b""


async def test_the_server_sees_whose_request_it_is() -> None:
    _, server = connected()
    assert server.transport.get_extra_info("peername") == ("127.0.0.1", 0)
    assert server.transport.get_extra_info("socket") is None
