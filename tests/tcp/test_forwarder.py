"""`tcp/`: bytes, half-closes and resets as without us; who is let in, who waits, and what is said."""

import asyncio
import contextlib
import hashlib
import os
import socket
import sys
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from pathlib import Path

import pytest

from devproxy.events import Refused
from devproxy.proxy.answers import Respond
from devproxy.proxy.gates import Dormant, Gate
from devproxy.registry.model import ListenAddress, Service, Upstream
from tests.ports import free_port, listening
from tests.tcp.stage import (
    Play,
    changed,
    descriptors,
    forwarded,
    reset,
    service_that,
    stage,
    tcp_service,
)
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sockets as POSIX has them")


async def echo(reader: Reader, writer: Writer) -> None:
    while piece := await reader.read(1 << 16):
        writer.write(piece)
        await writer.drain()
    writer.write_eof()


async def forever(reader: Reader, writer: Writer) -> None:
    await asyncio.Event().wait()


# Bytes


async def test_bytes_pass_both_ways_untouched_and_the_end_is_an_end() -> None:
    async with forwarded(echo) as (made, db):
        reader, writer = await made.connect(db)
        sent, got = os.urandom(24 << 20), hashlib.sha256()

        async def send() -> None:
            for start in range(0, len(sent), 1 << 20):
                writer.write(sent[start : start + (1 << 20)])
                await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        while piece := await reader.read(1 << 20):
            got.update(piece)
        await sending
        assert got.digest() == hashlib.sha256(sent).digest()
        writer.close()
        await until(lambda: not made.forwarder.connections)


async def test_small_messages_go_to_and_fro() -> None:
    async with forwarded(echo) as (made, db):
        reader, writer = await made.connect(db)
        for number in range(500):
            message = b"%d\0" % number
            writer.write(message)
            assert await reader.readexactly(len(message)) == message


async def test_one_that_has_finished_sending_still_gets_its_answer() -> None:
    async def sum_up(reader: Reader, writer: Writer) -> None:
        writer.write(b"%d" % len(await reader.read()))

    async with forwarded(sum_up) as (made, db):
        reader, writer = await made.connect(db)
        writer.write(b"x" * 1000)
        writer.write_eof()
        assert await reader.read() == b"1000"


async def test_a_client_that_only_reads_and_has_closed_its_side_is_served() -> None:
    async def daytime(reader: Reader, writer: Writer) -> None:
        assert await reader.read() == b""
        writer.write(b"noon")

    async with forwarded(daytime) as (made, db):
        reader, writer = await made.connect(db)
        writer.write_eof()
        assert await reader.read() == b"noon"


async def test_a_service_that_has_finished_sending_still_gets_everything() -> None:
    got = asyncio.get_running_loop().create_future()

    async def early(reader: Reader, writer: Writer) -> None:
        writer.write(b"bye")
        writer.write_eof()
        got.set_result(await reader.read())

    async with forwarded(early) as (made, db):
        reader, writer = await made.connect(db)
        assert await reader.read() == b"bye"
        writer.write(b"late words")
        writer.write_eof()
        assert await got == b"late words"


async def test_a_reset_of_the_service_reaches_the_client_behind_what_it_had_said() -> None:
    async def fail(reader: Reader, writer: Writer) -> None:
        await reader.read(1)
        writer.write(b"last words")
        await writer.drain()
        await reader.read(1)
        reset(writer)

    async with forwarded(fail) as (made, db):
        reader, writer = await made.connect(db)
        writer.write(b"x")
        assert await reader.readexactly(10) == b"last words"
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await until(lambda: not made.forwarder.connections)


@pytest.mark.parametrize("half_closed", [False, True])
async def test_a_reset_of_the_client_reaches_the_service(half_closed: bool) -> None:
    ended = asyncio.get_running_loop().create_future()

    async def hear(reader: Reader, writer: Writer) -> None:
        try:
            writer.write(b"hello")
            while await reader.read(100):
                pass
            await asyncio.Event().wait() if half_closed else None
            ended.set_result("FIN")
        except ConnectionResetError:
            ended.set_result("RST")

    async with forwarded(hear) as (made, db):
        reader, writer = await made.connect(db)
        assert await reader.readexactly(5) == b"hello"
        if half_closed:
            writer.write_eof()
            (connection,) = made.forwarder.connections
            await until(lambda: connection.relay is not None and connection.relay.upward.finished)
        reset(writer)
        await until(lambda: not made.forwarder.connections)
        if not half_closed:
            assert await ended == "RST"


async def test_what_nobody_reads_is_not_read_on_and_on() -> None:
    async with forwarded(forever) as (made, db):
        _, writer = await made.connect(db)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        loop, sent = asyncio.get_running_loop(), 0
        raw = socket.socket(fileno=os.dup(sock.fileno()))
        raw.setblocking(False)
        with contextlib.closing(raw):
            still = 0
            while still < 50:
                try:
                    sent += raw.send(b"x" * 65536)
                    still = 0
                except BlockingIOError:
                    still += 1
                await asyncio.sleep(0.002)
                assert sent < 16 << 20
        assert loop is made.forwarder.loop


async def test_a_slow_reader_gets_everything() -> None:
    data = os.urandom(6 << 20)

    async def pour(reader: Reader, writer: Writer) -> None:
        writer.write(data)
        await writer.drain()

    async with forwarded(pour) as (made, db):
        reader, _ = await made.connect(db)
        got = b""
        while piece := await reader.read(50_000):
            got += piece
            await asyncio.sleep(0)
        assert got == data


async def test_a_unix_socket_is_forwarded_to(tmp_path: Path) -> None:
    path = str(tmp_path / "db.sock")
    async with service_that(echo, path=path):
        db = tcp_service("db", 0, free_port(), upstream=Upstream("tcp", path=path))
        async with stage(db) as made:
            reader, writer = await made.connect(db)
            writer.write(b"x" * 3_000_000)
            writer.write_eof()
            assert len(await reader.read()) == 3_000_000


async def test_nothing_is_left_behind() -> None:
    port = free_port()  # which is held until the test ends
    async with forwarded(echo, at=port) as (made, db):  # what the loop itself opens at the first use
        await made.connect(db)
    before = descriptors()
    async with forwarded(echo, at=port) as (made, db):
        pairs = [await made.connect(db) for _ in range(20)]
        for reader, writer in pairs:
            writer.write(b"x" * 400_000)
            writer.write_eof()
            assert len(await reader.read()) == 400_000
        for _, writer in pairs[::2]:
            writer.close()
    await until(lambda: descriptors() <= before)


# Who speaks first


async def test_a_banner_comes_without_a_word_of_the_client() -> None:
    async def greet(reader: Reader, writer: Writer) -> None:
        writer.write(b"220 mail ready\r\n")
        await echo(reader, writer)

    async with forwarded(greet) as (made, db):
        reader, writer = await made.connect(db)
        assert await reader.readline() == b"220 mail ready\r\n"
        for line in (b"EHLO x\r\n", b"G", b"ET /x\r\n"):
            writer.write(line)
        assert await reader.readexactly(16) == b"EHLO x\r\nGET /x\r\n"


REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST /x HTTP/1.1\r\nContent-Length: 10\r\n\r\nFLUSHALL\r\n",
    b"OPTIONS * HTTP/1.1\r\n\r\n",
    b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
]


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("request_", REQUESTS)
async def test_an_http_request_never_reaches_the_service(request_: bytes, in_pieces: bool) -> None:
    got: list[bytes] = []

    async def hear(reader: Reader, writer: Writer) -> None:
        got.append(await reader.read())

    async with forwarded(hear) as (made, db):
        reader, writer = await made.connect(db)
        for piece in [bytes([byte]) for byte in request_] if in_pieces else [request_]:
            if writer.is_closing():
                break
            writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError):
            answer = await reader.read()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 403 ")
            assert b"db" not in answer
        await until(lambda: not made.forwarder.connections)
        await until(lambda: made.events)
        assert set(got) <= {b""}
    assert next(one for one in made.events if isinstance(one, Refused)).fix.endswith('cross_protocol = "allow"')
    assert len(made.events) == 1


async def test_a_service_that_speaks_http_may_say_so() -> None:
    async with forwarded(echo, cross_protocol="allow") as (made, db):
        reader, writer = await made.connect(db)
        writer.write(REQUESTS[0])
        assert await reader.readexactly(len(REQUESTS[0])) == REQUESTS[0]


# Listening


async def test_a_reload_touches_what_is_different_and_nothing_else() -> None:
    async with service_that(echo) as port, service_that(echo) as other_port:
        one, two = tcp_service("one", port, free_port()), tcp_service("two", port, free_port())
        async with stage(one, two) as made:
            reader, writer = await made.connect(one)
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
            moved = changed(two, listen=ListenAddress(("127.0.0.1",), free_port()))
            await made.use(changed(one, upstream=Upstream("tcp", ("127.0.0.1",), other_port)), moved)
            writer.write(b"b")
            assert await reader.readexactly(1) == b"b"
            with pytest.raises(ConnectionRefusedError):
                await made.connect(two)
            await made.connect(moved)
            await made.use()
            with pytest.raises(ConnectionRefusedError):
                await made.connect(one)
            writer.write(b"c")
            assert await reader.readexactly(1) == b"c"


async def test_a_port_that_is_taken_is_told_and_had_once_it_is_free() -> None:
    async with service_that(echo) as port:
        with listening() as taken:
            db, web = tcp_service("db", port, taken), tcp_service("web", port, free_port())
            async with stage(db, web) as made:
                (problem,) = made.problems
                assert (problem.code, problem.severity, problem.service) == ("port-taken", "warning", "db")
                assert f"(pid {os.getpid()})" in problem.why
                assert '"auto"' in problem.fix
                reader, writer = await made.connect(web)  # the others go on
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
                running = asyncio.create_task(made.forwarder.run())
                await made.use(db, web)
                assert made.problems == (problem,)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
    async with service_that(echo) as port:
        db = tcp_service("db", port, taken)
        async with stage(db) as made:
            assert made.problems == ()


async def test_it_is_tried_again_by_itself() -> None:
    async with service_that(echo) as port:
        with listening() as taken:
            db = tcp_service("db", port, taken)
            made_stage = stage(db)
            made = await made_stage.__aenter__()
        assert made.problems
        running = asyncio.create_task(made.forwarder.run())
        try:
            await until(lambda: not made.problems)
            await made.connect(db)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await made_stage.__aexit__(None, None, None)


async def test_what_is_not_loopback_is_never_listened_at() -> None:
    with pytest.raises(ValueError, match="not on loopback"):
        async with stage(tcp_service("db", 1, ListenAddress(("0.0.0.0",), free_port()))):
            pass


@pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is there on Linux alone")
async def test_own_addresses_share_a_port() -> None:
    port = free_port()

    def saying(word: bytes) -> Play:
        async def say(reader: Reader, writer: Writer) -> None:
            writer.write(word)

        return say

    async with service_that(saying(b"main")) as first, service_that(saying(b"fix")) as second:
        one = tcp_service("one", first, ListenAddress(("127.70.1.1",), port))
        two = tcp_service("two", second, ListenAddress(("127.70.1.2",), port))
        async with stage(one, two) as made:
            assert await (await made.connect(one))[0].read() == b"main"
            assert await (await made.connect(two))[0].read() == b"fix"


async def test_more_clients_than_there_may_be_are_closed() -> None:
    async with service_that(echo) as port:
        db = tcp_service("db", port, free_port())
        async with stage(db, limit=2) as made:
            kept = [await made.connect(db) for _ in range(2)]
            await until(lambda: len(made.forwarder.connections) == 2)
            reader, _ = await made.connect(db)
            assert await reader.read() == b""
            assert made.told == ["a connection to db was closed: 2 connections are open, the most that devproxy takes"]
            assert len(kept) == 2


async def test_transfers_that_are_over_leave_descriptors_for_others() -> None:
    async with service_that(echo) as port:
        db = tcp_service("db", port, free_port())
        async with stage(db, limit=16) as made:
            pairs = [await made.connect(db) for _ in range(16)]
            for reader, writer in pairs:
                writer.write(b"{}")
                assert await reader.readexactly(2) == b"{}"
            before = descriptors()

            async def transfer(reader: Reader, writer: Writer) -> None:
                writer.write(b"x" * (2 << 20))
                assert len(await reader.readexactly(2 << 20)) == 2 << 20

            await asyncio.gather(*(transfer(*pair) for pair in pairs))
            assert descriptors() <= before + 2 * 16 // 8  # a pipe has two


# Services that are not there


async def ended(reader: Reader) -> bool:
    with contextlib.suppress(ConnectionError):
        return await reader.read() == b""
    return True


async def test_one_that_is_down_closes_at_once_and_says_why_once() -> None:
    db = tcp_service("db", free_port(), free_port(), hold=30.0)
    async with stage(db) as made:
        for _ in range(3):
            reader, _ = await made.connect(db)
            assert await ended(reader)
        (event,) = made.events
        assert "connection refused: nothing listens there" in event.text()


async def test_one_that_restarts_is_waited_for() -> None:
    port = free_port()
    db = tcp_service("db", port, free_port(), hold=60.0)
    async with stage(db) as made:
        async with service_that(echo, port=port):
            reader, writer = await made.connect(db)
            writer.write(b"a")
            assert await reader.readexactly(1) == b"a"
            writer.close()
            await until(lambda: not made.forwarder.connections)
        reader, writer = await made.connect(db)
        writer.write(b"b")
        await until(lambda: made.forwarder.connections)
        async with service_that(echo, port=port):
            assert await reader.readexactly(1) == b"b"
        assert made.events == []


async def test_one_that_comes_back_at_another_port_is_found() -> None:
    db = tcp_service("db", free_port(), free_port(), hold=60.0)
    async with stage(db) as made:
        made.forwarder.is_known_up = lambda _: True
        reader, writer = await made.connect(db)
        writer.write(b"b")
        await until(lambda: made.forwarder.connections)
        async with service_that(echo) as port:
            await made.use(changed(db, upstream=Upstream("tcp", ("127.0.0.1",), port)))
            assert await reader.readexactly(1) == b"b"


async def test_a_gate_that_is_closed_closes_the_connection() -> None:
    async with forwarded(echo) as (made, db):
        made.proxy.set_gates({"db": Gate(Respond(503, "exposed", "db is exposed", "bind it to 127.0.0.1"))})
        reader, _ = await made.connect(db)
        assert await ended(reader)
        assert made.told == ["a connection to db was closed: db is exposed"]


def dormant(port: int) -> Service:
    return tcp_service("db", port, free_port(), command="serve", start="on-request", trusted=True)


async def test_a_connection_wakes_what_it_starts_and_waits_for_it() -> None:
    async with service_that(echo) as port:
        db = dormant(port)
        async with stage(db) as made:
            gate = Gate(dormant=Dormant(db))
            made.proxy.set_gates({"db": gate})
            woken: list[str] = []
            made.proxy.wake = woken.append
            reader, writer = await made.connect(db)
            writer.write(b"hello")
            await until(lambda: woken)
            assert made.forwarder.awaits("db")
            made.proxy.set_gates({"db": Gate(dormant=Dormant(db, "the migrations first"))})
            assert made.forwarder.awaits("db")
            made.proxy.set_gates({})
            assert not made.forwarder.awaits("db")
            assert await reader.readexactly(5) == b"hello"
            assert made.forwarder.used() == {"db": 1}


async def test_one_whose_client_waits_for_a_banner_is_woken_too() -> None:
    async def greet(reader: Reader, writer: Writer) -> None:
        writer.write(b"SSH-2.0-x\r\n")

    async with service_that(greet) as port:
        db = dormant(port)
        async with stage(db) as made:
            made.proxy.set_gates({"db": Gate(dormant=Dormant(db))})
            made.proxy.wake = lambda _: made.proxy.set_gates({})
            reader, _ = await made.connect(db)
            assert await reader.readline() == b"SSH-2.0-x\r\n"


@pytest.mark.parametrize("what", [b"POST / HTTP/1.1\r\n\r\n", b""])
async def test_a_web_page_and_who_only_looks_wake_nothing(what: bytes) -> None:
    db = dormant(0)
    async with stage(db) as made:
        woken: list[str] = []
        made.proxy.wake = woken.append
        reader, writer = await made.connect(db)
        writer.write(what)
        writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        await until(lambda: not made.forwarder.connections)
        assert woken == []


async def test_one_that_could_not_be_started_closes_the_connection() -> None:
    db = dormant(0)
    async with stage(db) as made:
        failed = Respond(502, "failed", "db did not start", "devproxy logs db")
        made.proxy.set_gates({"db": Gate(dormant=Dormant(db, instead=failed))})
        reader, _ = await made.connect(db)
        assert await ended(reader)
        assert made.told == ["a connection to db was closed: db did not start"]
