"""TLS on our own sockets: the same bytes whatever their sizes, back-pressure, and ends that tell whole from cut.

The other side is Python's blocking TLS, in a thread.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.net import tls_transport
from devproxy.net.sockets import is_tls, reset, reset_when_sent, resets_at_close, unread
from devproxy.net.tls_transport import TlsTransport, shake_hands
from tests.waiting import DEADLINE, until
from tests.wire.tls_peer import client_context, server_context

MIB = 1 << 20


class Recorder(asyncio.Protocol):
    """What a transport told."""

    def __init__(self) -> None:
        self.transport: TlsTransport
        self.came = bytearray()
        self.events: list[str] = []
        self.lost: Exception | None = None
        self.keeps_open = False
        self.on_data: Callable[[bytes], object] = lambda _: None
        self.on_lost: Callable[[], object] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TlsTransport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.came += data
        self.on_data(data)

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self.keeps_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.on_lost()
        self.events.append("lost")
        self.lost = exc

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


def _greet(sock: socket.socket) -> ssl.SSLSocket:
    return client_context().wrap_socket(sock, server_hostname="web.localhost", suppress_ragged_eofs=False)


class Link:
    """A connection: `ours`, and the other side as a blocking socket."""

    async def open(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
        listener.close()
        near.setblocking(False)
        far.settimeout(DEADLINE)
        theirs = asyncio.create_task(asyncio.to_thread(_greet, far))
        encrypted = await shake_hands(server_context(), near)
        self.far = await theirs
        self.ours = Recorder()
        self.transport = TlsTransport(asyncio.get_running_loop(), encrypted, self.ours)

    async def read(self, size: int) -> bytes:
        return await asyncio.to_thread(self._read, size)

    def _read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size and (data := self.far.recv(65536)):
            found += data
        return bytes(found)

    async def read_end(self) -> str:
        """`whole` where the end was told, `cut` where it was not."""
        try:
            rest = await asyncio.to_thread(self.far.read)
        except (ssl.SSLEOFError, ConnectionResetError):
            return "cut"
        assert rest == b""
        return "whole"

    async def send(self, data: bytes) -> None:
        await asyncio.to_thread(self.far.sendall, data)

    async def close(self) -> None:
        self.transport.abort()
        self.far.close()
        await until(lambda: "lost" in self.ours.events)


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    link = Link()
    await link.open()
    yield link
    await link.close()


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """For a property, whose examples cannot each have a loop."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


SIZES = st.lists(
    st.one_of(
        st.integers(0, 40),
        st.sampled_from([4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537]),
        st.integers(0, 300_000),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(there=SIZES, back=SIZES)
def test_what_is_written_is_what_is_read_in_both_directions(
    loop: asyncio.AbstractEventLoop, there: list[int], back: list[int]
) -> None:
    async def exchange() -> None:
        link = Link()
        await link.open()
        sent = [bytes([65 + number % 26]) * size for number, size in enumerate(there)]
        for piece, kind in zip(sent, [bytes, bytearray, memoryview] * 3, strict=False):
            link.transport.write(kind(piece))
        answers = [bytes([97 + number % 26]) * size for number, size in enumerate(back)]
        whole = b"".join(sent)
        assert await link.read(len(whole)) == whole
        for answer in answers:
            await link.send(answer)
        expected = b"".join(answers)
        await until(lambda: len(link.ours.came) >= len(expected))
        assert link.ours.came == expected
        await link.close()

    loop.run_until_complete(exchange())


async def test_it_says_what_it_is(link: Link) -> None:
    assert is_tls(link.transport)
    assert link.transport.get_extra_info("peername") == link.far.getsockname()
    assert link.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert not link.transport.can_write_eof()


async def test_a_writer_waits_for_a_reader_that_does_not_read_and_nothing_is_lost(link: Link) -> None:
    link.transport.set_write_buffer_limits(64 * 1024)
    data = bytes(range(256)) * (4 * MIB // 256)
    written = 0
    while "pause" not in link.ours.events:
        link.transport.write(data)
        written += len(data)
    assert link.transport.get_write_buffer_size() > 64 * 1024
    read = await link.read(written)
    assert read == data * (written // len(data))
    await until(lambda: link.ours.events == ["pause", "resume"])
    assert link.transport.get_write_buffer_size() == 0


async def test_what_is_not_read_stays_in_the_socket(link: Link) -> None:
    link.transport.pause_reading()
    await link.send(b"one")
    assert not link.transport.is_reading()
    assert link.ours.came == b""
    link.transport.resume_reading()
    await until(lambda: link.ours.came == b"one")


async def test_nothing_is_read_any_more_once_a_protocol_has_paused_in_the_middle(link: Link) -> None:
    link.ours.on_data = lambda _: link.transport.pause_reading()
    await link.send(b"x" * 400_000)
    await until(lambda: bool(link.ours.came))
    first = len(link.ours.came)
    assert first < 400_000
    link.ours.on_data = lambda _: None
    link.transport.resume_reading()
    await until(lambda: len(link.ours.came) == 400_000)


@pytest.mark.parametrize("size", [0, 10, 20_000], ids=["alone", "behind a little", "in one batch with more"])
async def test_the_end_is_told_though_the_peer_keeps_its_socket_open(link: Link, size: int) -> None:
    def end() -> None:
        link.far.sendall(b"x" * size)
        with suppress(TimeoutError):
            link.far.settimeout(0.2)
            link.far.unwrap()  # waits for ours, which does not come

    link.ours.keeps_open = True
    link.transport.pause_reading()
    await asyncio.to_thread(end)
    link.transport.resume_reading()
    await until(lambda: link.ours.events == ["eof"])
    assert len(link.ours.came) == size


async def test_an_end_that_comes_while_it_is_paused_is_told_afterwards(link: Link) -> None:
    def end() -> None:
        link.far.sendall(b"x" * 20_000)
        with suppress(TimeoutError):
            link.far.settimeout(0.2)
            link.far.unwrap()

    link.ours.keeps_open = True
    link.transport.pause_reading()
    await asyncio.to_thread(end)
    link.ours.on_data = lambda _: link.transport.pause_reading()
    link.transport.resume_reading()
    await until(lambda: bool(link.ours.came))
    assert link.ours.events == []
    link.ours.on_data = lambda _: None
    link.transport.resume_reading()
    await until(lambda: link.ours.events == ["eof"])


async def test_a_whole_end_comes_behind_everything_that_was_written(link: Link) -> None:
    data = b"y" * (3 * MIB)
    link.transport.write(data)
    link.transport.close()
    link.transport.write(b"too late")
    assert await link.read(len(data)) == data
    assert await link.read_end() == "whole"


async def test_who_sends_more_than_was_asked_for_still_reads_the_end(link: Link) -> None:
    data = b"y" * (3 * MIB)
    link.transport.pause_reading()
    await link.send(b"more" * 10_000)
    link.transport.write(data)
    link.transport.close()
    await link.send(b"and more" * 10_000)
    assert await link.read(len(data)) == data
    assert await link.read_end() == "whole"
    assert link.ours.came == b""
    assert link.ours.events in ([], ["pause"], ["pause", "resume"])  # it waits for the client's end
    link.far.close()
    await until(lambda: link.ours.events[-1:] == ["lost"])
    assert link.ours.lost is None


@pytest.mark.parametrize("cut", [TlsTransport.cut, reset_when_sent, reset], ids=["cut", "reset when sent", "reset"])
async def test_a_cut_end_is_never_taken_for_a_whole_one(link: Link, cut: Callable[[TlsTransport], None]) -> None:
    link.transport.write(b"part")
    assert await link.read(4) == b"part"
    cut(link.transport)
    assert await link.read_end() == "cut"
    await until(lambda: link.ours.events == ["lost"])


async def test_one_that_is_reset_as_soon_as_all_was_sent_does_not_look_whole(link: Link) -> None:
    """By its protocol, which hears of it while the transport is closing."""
    link.transport.set_write_buffer_limits(0)
    data = b"y" * (8 * MIB)
    link.ours.resume_writing = lambda: reset(link.transport)  # type: ignore[method-assign]
    link.transport.write(data)
    assert link.transport.get_write_buffer_size()
    link.transport.close()
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        await link.read(len(data) + 1)  # returns where close_notify comes


async def test_a_peer_that_never_reads_is_not_waited_for(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_transport, "_PATIENCE", 0.01)
    for _ in range(4):
        link.transport.write(b"z" * (4 * MIB))
    link.transport.close()
    await until(lambda: link.ours.events[-1:] == ["lost"])


async def test_what_had_come_before_a_failure_can_still_be_read(link: Link) -> None:
    found: list[bytes] = []
    link.transport.pause_reading()
    await link.send(b"answered early" * 5000)
    link.ours.on_lost = lambda: found.append(unread(link.transport))
    sock = link.transport.get_extra_info("socket")
    socket.socket.shutdown(sock, socket.SHUT_WR)  # as after a peer's reset: what is written fails
    link.transport.write(b"no way")
    assert link.transport.is_closing()
    await until(lambda: bool(found))
    assert found == [b"answered early" * 5000]


async def test_a_protocol_that_fails_takes_its_own_connection_with_it_and_is_told_of(link: Link) -> None:
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def fail(_: bytes) -> None:
        raise AssertionError("not possible")

    link.ours.on_data = fail
    await link.send(b"x")
    await until(lambda: link.ours.events == ["lost"])
    assert [str(context["exception"]) for context in told] == ["not possible"]
    assert isinstance(link.ours.lost, AssertionError)


async def test_bytes_that_are_no_records_end_the_connection(link: Link) -> None:
    raw = socket.socket(fileno=link.far.detach())
    with raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        await until(lambda: link.ours.events == ["lost"])
        assert isinstance(link.ours.lost, ssl.SSLError)


async def test_a_reset_is_no_end(link: Link) -> None:
    resets_at_close(link.far)
    link.far.close()
    await until(lambda: link.ours.events == ["lost"])
    assert isinstance(link.ours.lost, ConnectionResetError)


async def test_an_end_without_close_notify_is_an_end(link: Link) -> None:
    socket.socket.shutdown(link.far, socket.SHUT_WR)
    await until(lambda: link.ours.events[:1] == ["eof"])


async def test_a_handshake_that_is_cancelled_leaves_no_socket_behind() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    descriptor = near.fileno()
    greeting = asyncio.create_task(shake_hands(server_context(), near))
    await asyncio.sleep(0)
    greeting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await greeting
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    far.close()
