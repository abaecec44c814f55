"""One check against real sockets: what is asked, byte for byte, and what each answer means."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.health.model import Check
from devproxy.health.probe import AnswerReader, counts, probe, request
from devproxy.proxy.forward import upstream_authority
from devproxy.registry.model import Health, HostHeader, ProxySettings, Scheme, Service, Upstream
from tests import require
from tests.health.things import service
from tests.ports import free_port
from tests.waiting import DEADLINE

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]
HEALTHY = Health(path="/healthz?full=1", timeout=DEADLINE)


@contextlib.asynccontextmanager
async def answering(talk: Talk | bytes, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server on a port of its own that answers every request with these bytes, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            assert isinstance(talk, bytes)
            writer.write(talk)
            await writer.drain()
            writer.close()

    port = free_port()  # nobody answers at the other address
    server = await asyncio.start_server(serve if isinstance(talk, bytes) else talk, host, port)  # type: ignore[arg-type]
    try:
        yield port
    finally:
        server.close()


async def probed(asked: Service, first: str = "") -> Check:
    return await probe(asked, ProxySettings(), first)


def at(port: int, health: Health = HEALTHY, scheme: Scheme = "http") -> Service:
    return service(upstream=Upstream(scheme, ("127.0.0.1", "::1"), port), health=health)


async def test_a_connection_that_is_accepted_is_enough_without_a_path() -> None:
    async with answering(b"") as port:
        check = await probed(at(port, Health()))
    assert (check.up, check.accepted, check.host) == (True, True, "127.0.0.1")
    assert check.why == f"accepts connections at 127.0.0.1:{port}"


async def test_the_address_that_answered_last_comes_first() -> None:
    require.ipv6()
    async with answering(b"", "::1") as port:
        check = await probed(at(port, Health()), "::1")
    assert (check.up, check.host, check.why) == (True, "::1", f"accepts connections at [::1]:{port}")


async def test_nothing_listens() -> None:
    async with answering(b"") as port:
        pass
    check = await probed(at(port))
    assert (check.up, check.accepted, check.why) == (False, False, f"nothing listens on port {port}")


async def test_what_is_asked(tmp_path: Path) -> None:
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with answering(talk) as port:
        check = await probed(at(port))
    assert (check.up, check.why) == (True, "GET /healthz?full=1 was answered 204")
    assert seen == [
        b"GET /healthz?full=1 HTTP/1.1\r\nHost: web.localhost\r\nAccept: */*\r\n"
        b"User-Agent: devproxy-health\r\nConnection: close\r\n\r\n"
    ]


@pytest.mark.parametrize(
    ("header", "hosts", "expected"),
    [
        ("keep", ("*.x.localhost", "x.localhost"), b"x.localhost"),
        ("keep", (), b"localhost"),
        ("upstream", ("x.localhost",), b"localhost:3000"),
    ],
)
def test_host_is_what_the_proxy_would_send(header: HostHeader, hosts: tuple[str, ...], expected: bytes) -> None:
    made = msgspec.structs.replace(at(3000), host_header=header, hosts=hosts)
    assert made.upstream is not None
    assert request(made, made.upstream).split(b"\r\n")[1] == b"Host: " + expected
    if header == "upstream":
        assert upstream_authority(made.upstream) == expected


@pytest.mark.parametrize(
    "upstream",
    [Upstream("http", ("127.0.0.1",), 9000), Upstream("http", ("::1",), 9000), Upstream("http", path="/run/app.sock")],
)
def test_host_of_a_service_that_insists_on_its_address_is_the_proxys(upstream: Upstream) -> None:
    made = msgspec.structs.replace(at(3000), host_header="upstream", upstream=upstream)
    assert request(made, upstream).split(b"\r\n")[1] == b"Host: " + upstream_authority(upstream)


ANSWERS = {
    "200": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True, "was answered 200"),
    "no reason": (b"HTTP/1.1 204\r\n\r\n", True, "was answered 204"),
    "1.0": (b"HTTP/1.0 299 Fine\r\n\r\n", True, "was answered 299"),
    "bare LF": (b"HTTP/1.0 200 OK\n\n", False, "a line of its response header ends in a bare LF"),
    "bare LF in a field": (b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", False, "a bare LF"),
    "escapes": (b"HTTP/1.1 200 \x1b[2J\r\n\r\n", False, "the status line is not HTTP/1.x: 'HTTP/1.1 200 \\x1b[2J'"),
    "after 103": (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", True, "was answered 200"),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", False, "was answered 302, not 2xx"),
    "sick": (b"HTTP/1.1 503 Busy\r\n\r\n", False, "was answered 503, not 2xx"),
    "no HTTP": (b"220 mail ESMTP\r\n", False, "it answered something that is not HTTP/1.x: '220 mail ESMTP"),
    "HTTP/2": (b"HTTP/2 200\r\n\r\n", False, "the status line is not HTTP/1.x: 'HTTP/2 200'"),
    "unasked switch": (b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", False, "nobody asked it to"),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", False, "cannot be framed"),
    "bad chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", False, "chunk"),
    "1xx only": (b"HTTP/1.1 100 Continue\r\n\r\n" * 65, False, "an endless run of 1xx responses"),
    "cut": (b"HTTP/1.1 200 OK\r\n", False, "the connection was closed without an answer"),
    "nothing": (b"", False, "the connection was closed without an answer"),
    "endless": (b"HTTP/1." + b"x" * 300000, False, "its response header is over 262144 bytes (max_response_header)"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_an_answer_means(name: str) -> None:
    answer, up, why = ANSWERS[name]
    async with answering(answer) as port:
        check = await probed(at(port))
    assert (check.up, check.accepted) == (up, True)
    assert why in check.why


async def test_no_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    later = loop.time() + 3600.0

    async def talk(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        monkeypatch.setattr(loop, "time", lambda: later)

    async with answering(talk) as port:
        check = await probed(at(port, Health(path="/", timeout=600.5)))
    assert (check.up, check.accepted) == (False, True)
    assert check.why == "no answer to GET / within 600.5 s"


@pytest.mark.parametrize(
    ("health", "answer"),
    [
        (Health(timeout=DEADLINE), b""),
        (Health(timeout=DEADLINE), b"220 ready\r\n"),
        (HEALTHY, b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000),
    ],
)
async def test_the_service_sees_no_reset(health: Health, answer: bytes) -> None:
    seen: asyncio.Future[bytes | OSError] = asyncio.get_running_loop().create_future()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if health.path:
                await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            if health.path:
                writer.write_eof()
            seen.set_result(await reader.read())
        except OSError as error:
            seen.set_result(error)
        writer.close()

    async with answering(talk) as port:
        assert (await probed(at(port, health))).up
        assert await seen == b""


async def test_a_status_in_pieces() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in (b"HT", b"TP/1.1 2", b"00 O", b"K\r", b"\n", b"\r\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    async with answering(talk) as port:
        assert (await probed(at(port))).up


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    gone = service(path=str(path), health=HEALTHY)
    assert "no such socket file" in (await probed(gone)).why
    server = await asyncio.start_unix_server(lambda *_: None, str(path))
    try:
        assert (await probed(service(path=str(path)))).why == f"accepts connections at {path}"
    finally:
        server.close()


async def test_tls_where_there_is_none() -> None:
    async with answering(b"HTTP/1.1 400 Bad\r\n\r\n") as port:
        check = await probed(at(port, Health(path="/", timeout=DEADLINE), "https"))
    assert not check.up


async def test_without_the_library_for_http_2_a_connection_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "devproxy.health.http2", None)
    asked = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read())
        writer.close()

    async with answering(talk) as port:
        check = await probed(at(port, Health(path="/up", timeout=DEADLINE), "h2c"))
    assert check.up
    assert "accepts connections" in check.why
    assert asked == [b""]


async def test_no_port() -> None:
    assert not (await probed(service(port=None))).up


@pytest.mark.parametrize(
    ("status", "yes", "no"),
    [("2xx", (200, 299), (199, 300)), ("204", (204,), (200,)), ("200-204, 304", (200, 202, 304), (205, 303))],
)
def test_which_answers_count(status: str, yes: tuple[int, ...], no: tuple[int, ...]) -> None:
    assert all(counts(status, code) for code in yes)
    assert not any(counts(status, code) for code in no)


HEADLIKE = st.lists(
    st.sampled_from([b"HTTP/1.1 ", b"200", b"103", b" OK", b"\r\n", b"\r\n\r\n", b"\n", b"A: b", b"\x1b", b"zz"])
)


@given(st.one_of(st.binary(max_size=60), HEADLIKE.map(b"".join)), st.integers(1, 9))
def test_any_bytes_are_read_and_what_is_wrong_can_be_printed(answer: bytes, step: int) -> None:
    reading = AnswerReader(ProxySettings())
    for start in range(0, len(answer), step):
        found = reading.feed(answer[start : start + step])
        if found is not None:
            assert found.isprintable() if isinstance(found, str) else 200 <= found < 600
            break


@pytest.mark.parametrize(
    ("says", "up", "why"),
    [
        (b"R\0\0\0\x08\0\0\0\0", True, "takes sessions at 127.0.0.1:"),
        (b"E\0\0\0\x10C57P03\0Mnot\0\0", False, "a session: not"),
        (b"hello there", False, "a session: what answers is not PostgreSQL"),
    ],
)
async def test_postgresql_is_up_once_it_takes_sessions(says: bytes, up: bool, why: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"devproxy\0\0")
        writer.write(says)
        await reader.read()  # it is told by FIN that nothing more comes
        writer.close()

    async with answering(talk) as port:
        address = Upstream("tcp", ("127.0.0.1", "::1"), port)
        check = await probed(service(upstream=address, protocol="tcp", scheme="postgresql"))
    assert check.up == up
    assert check.accepted
    assert check.why.startswith(why)
