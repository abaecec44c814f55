"""The port for HTTPS: what comes before the handshake, the handshake itself, and ends that TLS tells apart."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from typing import cast

import pytest

from devproxy.proxy import tls_accept
from tests import require
from tests.waiting import until
from tests.wire.harness import OK, Stage, crlf, get
from tests.wire.peer import Peer
from tests.wire.tls_peer import TlsPeer, client_context


@pytest.fixture
async def tls() -> AsyncIterator[Stage]:
    """A stage whose proxy speaks TLS."""
    on_uvloop = type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    stage = Stage(require.loopback("::1" if on_uvloop else "127.0.0.1"), tls=True)
    await stage.start()
    yield stage
    await stage.close()


async def silent(stage: Stage) -> TlsPeer:
    """A client that is connected and has said nothing."""
    return cast(TlsPeer, await stage.connect(handshake=False))


async def plain(stage: Stage) -> Peer:
    """A client that does not speak TLS."""
    return Peer((await silent(stage)).sock, "plain client")


# Plain HTTP


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_plain_http_is_sent_to_https(tls: Stage, method: bytes) -> None:
    client = await plain(tls)
    await client.send(get(b"/a/b?c=%20d", method=method, host=b"Web.localhost:%d" % tls.port))
    message = await client.response(method)
    assert message.status == 308
    assert message.head.one(b"Location") == b"https://web.localhost:%d/a/b?c=%%20d" % tls.port
    assert message.head.one(b"Cache-Control") == b"no-store"
    await client.eof()
    assert tls.origin.untouched()


@pytest.mark.parametrize("host", [b"devproxy.localhost", b"web.localhost"])
async def test_our_own_pages_are_sent_there_too(tls: Stage, host: bytes) -> None:
    client = await plain(tls)
    await client.send(get(host=host))
    assert (await client.response()).head.one(b"Location") == b"https://%s:%d/" % (host, tls.port)


@pytest.mark.parametrize(
    "request_bytes",
    [
        get(host=b"nobody.localhost"),
        get(host=b"example.com"),
        get(host=b"127.0.0.1"),
        get(method=b"POST"),
        get(method=b"DELETE"),
        get(b"/", b"Content-Length: 1") + b"x",
        get(b"/", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    ],
)
async def test_any_other_plain_request_gets_a_sentence(tls: Stage, request_bytes: bytes) -> None:
    client = await plain(tls)
    await client.send(request_bytes)
    message = await client.response()
    assert (message.status, message.error) == (400, "http-on-https-port")
    assert b"https://" in message.body
    await client.eof()
    assert tls.origin.untouched()


async def test_half_a_plain_head_has_its_time(tls: Stage) -> None:
    client = await plain(tls)
    await client.send(get()[:10])
    await until(lambda: any(one.deadline < tls.clock.now + 6 for one in tls.proxy.connections))
    await until(lambda: not cast(tls_accept.TlsAcceptor, tls.server).handshakes)
    message = await tls.meanwhile(6, client.response())
    assert message.status == 408


@pytest.mark.parametrize("first", [b"\x00", b"\xff\xff\xff\xff", b"0", b" ", b"\x80\x2e\x01"])
async def test_what_is_neither_is_closed(tls: Stage, first: bytes) -> None:
    client = await plain(tls)
    await client.send(first)
    assert await client.gone() == b""
    await until(lambda: not tls.proxy.connections)


# The handshake


async def test_a_client_that_says_nothing_has_its_time(tls: Stage) -> None:
    client = await plain(tls)
    await until(lambda: len(tls.proxy.connections) == 1)
    assert await tls.meanwhile(6, client.gone()) == b""
    assert not tls.proxy.connections


async def test_half_a_handshake_has_its_time(tls: Stage) -> None:
    client = await silent(tls)
    client.begin()
    with contextlib.suppress(ssl.SSLWantReadError):
        client.tls.do_handshake()
    await Peer.send(client, client.outgoing()[:50])
    await until(lambda: len(tls.proxy.connections) == 1)
    raw = Peer(client.sock, "client")
    await tls.meanwhile(6, raw.gone())
    await until(lambda: not tls.proxy.connections)


@pytest.mark.parametrize("said", [b"", b"\x16", b"\x16\x03\x01\x00\x05\x01\x00\x00"])
async def test_a_client_that_goes_is_forgotten(tls: Stage, said: bytes) -> None:
    client = await plain(tls)
    await client.send(said)
    await until(lambda: len(tls.proxy.connections) == 1)
    client.close()
    await until(lambda: not tls.proxy.connections)
    assert tls.loop_errors == []


async def test_an_unknown_name_gets_an_alert(tls: Stage) -> None:
    client = await silent(tls)
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        await client.handshake("x.example.com")


async def test_a_certificate_that_the_client_does_not_believe_leaves_nothing_behind(tls: Stage) -> None:
    client = await silent(tls)
    with pytest.raises(ssl.SSLCertVerificationError):
        await client.handshake(context=ssl.create_default_context())
    client.close()
    await until(lambda: not tls.proxy.connections)


async def test_alpn_chooses_http_1_1(tls: Stage) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(client_context().get_ca_certs(binary_form=True)[0]))
    context.set_alpn_protocols(["spdy/3", "http/1.1"])
    client = await silent(tls)
    await client.handshake(context=context)
    assert client.tls.selected_alpn_protocol() == "http/1.1"


async def test_stalled_handshakes_make_room(tls: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_accept, "HANDSHAKES", 4)
    monkeypatch.setattr(tls_accept, "_PATIENCE", 0.0)
    stalled = [await plain(tls) for _ in range(20)]
    client, up, _ = await tls.ask(get())
    await up.send(OK)
    await client.expect(OK)
    assert len(cast(tls_accept.TlsAcceptor, tls.server).handshakes) <= 4
    for one in stalled[:16]:
        assert await one.gone() == b""


async def test_handshakes_count_as_connections(tls: Stage) -> None:
    tls.swap(max_connections=2)
    stalled = [await plain(tls) for _ in range(2)]
    await until(lambda: len(tls.proxy.connections) == 2)
    client = await tls.connect()
    message = await client.response()
    assert (message.status, message.error) == (503, "too-many-connections")
    await client.eof()
    for one in stalled:
        one.close()
    await until(lambda: not tls.proxy.connections)
    await tls.passes()


async def test_a_proxy_that_stops_ends_handshakes(tls: Stage) -> None:
    client = await plain(tls)
    await until(lambda: len(tls.proxy.connections) == 1)
    cast(tls_accept.TlsAcceptor, tls.server).close()
    await tls.proxy.drain(5)
    assert await client.gone() == b""


# What the service is told


async def test_the_service_is_told_the_scheme_and_the_port(tls: Stage) -> None:
    _, _, head = await tls.ask(get())
    assert head.one(b"X-Forwarded-Proto") == b"https"
    assert head.one(b"X-Forwarded-Port") == b"%d" % tls.port


# Ends


async def test_a_response_that_lasts_until_the_end_ends_with_close_notify(tls: Stage) -> None:
    client, up, _ = await tls.ask(get())
    await up.send(crlf(b"HTTP/1.1 200 OK") + b"to the end")
    await client.until(b"to the end")
    up.close()
    await client.eof()


async def test_a_response_that_is_cut_ends_without(tls: Stage) -> None:
    client, up, _ = await tls.ask(get())
    await up.send(crlf(b"HTTP/1.1 200 OK") + b"to the end")
    await client.until(b"to the end")
    up.reset()
    await client.gone()
    assert client.ended == "reset"


async def test_a_client_that_says_close_notify_does_not_take_half_a_response_for_whole(tls: Stage) -> None:
    client, up, _ = await tls.ask(get())
    await up.send(crlf(b"HTTP/1.1 200 OK") + b"half")
    await client.until(b"half")
    client.half_close()
    await up.gone()
    await client.gone()
    assert client.ended == "reset"


async def test_half_a_request_body_never_ends_well(tls: Stage) -> None:
    client, up, _ = await tls.ask(get(b"/", b"Content-Length: 10", method=b"POST") + b"12345")
    await up.expect(b"12345")
    client.sock.shutdown(socket.SHUT_WR)  # without close_notify
    assert await up.gone() == b""


async def test_an_early_answer_is_read_whole_by_a_client_that_goes_on_sending(tls: Stage) -> None:
    client, up, _ = await tls.ask(get(b"/", b"Content-Length: 5000000", method=b"POST") + b"x" * 100)
    await up.send(crlf(b"HTTP/1.1 413 Content Too Large", b"Content-Length: 3", b"Connection: close") + b"big")
    for _ in range(20):
        await client.try_send(b"x" * 10000)
    message = await client.response()
    assert (message.status, message.body) == (413, b"big")
    await tls.pass_time(0.2)
    for _ in range(20):
        await client.try_send(b"x" * 10000)
    await client.eof()


async def test_what_a_service_does_not_read_is_thrown_away_behind_an_early_answer(tls: Stage) -> None:
    """Reading had stopped, with all that the buffers take on the way."""
    client, up, _ = await tls.ask(get(b"/", b"Content-Length: 50000000", method=b"POST") + b"x" * 100)
    sending = asyncio.create_task(client.send(b"x" * 20_000_000))
    await until(lambda: tls.connection._paused)
    await up.send(crlf(b"HTTP/1.1 413 Content Too Large", b"Content-Length: 3", b"Connection: close") + b"big")
    await until(lambda: tls.connection.exchange is None)
    await tls.pass_time(0.2)
    await sending
    message = await client.response()
    assert (message.status, message.body) == (413, b"big")
    await client.eof()


async def test_a_large_response_to_a_slow_reader_that_wants_the_end_is_whole(tls: Stage) -> None:
    body = bytes(range(256)) * 12000
    client, up, _ = await tls.ask(get(b"/", b"Connection: close"))
    sending = asyncio.create_task(up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body)) + body))
    await client.until(b"\r\n\r\n")
    for _ in range(5):
        await tls.pass_time(1)
    assert await client.take(len(body)) == body
    await sending
    await tls.meanwhile(1, client.eof())


WEBSOCKET = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCH = crlf(
    b"HTTP/1.1 101 Switching Protocols",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
)


async def tunnel(stage: Stage) -> tuple[TlsPeer, Peer]:
    client, up, _ = await stage.ask(get(b"/", *WEBSOCKET))
    await up.send(SWITCH)
    assert (await client.head()).status == 101
    return cast(TlsPeer, client), up


async def test_a_tunnel_that_breaks_ends_without_close_notify(tls: Stage) -> None:
    client, up = await tunnel(tls)
    await up.send(b"the last words")
    await client.until(b"words")
    up.reset()
    await client.gone()
    assert client.ended == "reset"


async def test_a_tunnel_that_ends_well_ends_with_it(tls: Stage) -> None:
    client, up = await tunnel(tls)
    await client.send(b"a")
    await up.expect(b"a")
    await up.send(b"the last words")
    up.close()
    assert await client.rest() == b"the last words"


async def test_a_tunnel_that_the_client_ends_ends_at_the_service(tls: Stage) -> None:
    client, up = await tunnel(tls)
    await client.send(b"the last words")
    client.half_close()
    assert await up.gone() == b"the last words"


# What an app does not know about https


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((b"HTTP/1.1 302 Found", b"Location: http://web.localhost/next"), True),
        ((b"HTTP/1.1 302 Found", b"Location: HTTP://devproxy.localhost:7080/"), True),
        ((b"HTTP/1.1 302 Found", b"Location: https://web.localhost/next"), False),
        ((b"HTTP/1.1 302 Found", b"Location: /next"), False),
        ((b"HTTP/1.1 302 Found", b"Location: http://example.com/"), False),
        ((b"HTTP/1.1 302 Found", b"Location: http://localhost:3000/"), False),
        ((b"HTTP/1.1 302 Found", b"Location: http://[/"), False),
        ((b"HTTP/1.1 201 Created", b"Location: http://web.localhost/next"), False),
        ((b"HTTP/1.1 200 OK", b"Access-Control-Allow-Origin: http://web.localhost"), True),
        ((b"HTTP/1.1 200 OK", b"Access-Control-Allow-Origin: https://web.localhost"), False),
        ((b"HTTP/1.1 200 OK", b"Access-Control-Allow-Origin: *"), False),
    ],
)
async def test_an_answer_that_names_our_http_is_told_and_not_changed(
    tls: Stage, answer: tuple[bytes, ...], told: bool
) -> None:
    client, up, _ = await tls.ask(get())
    head = crlf(*answer, b"Content-Length: 0")
    await up.send(head)
    await client.expect(head)
    assert ("insecure" in tls.proxy.pitfalls.get("web", {})) == told


async def test_a_page_of_http_may_be_allowed(tls: Stage) -> None:
    client, up, _ = await tls.ask(get(b"/", b"Origin: http://web.localhost"))
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Access-Control-Allow-Origin: http://web.localhost", b"Content-Length: 0"))
    assert (await client.response()).status == 200
    assert "insecure" not in tls.proxy.pitfalls.get("web", {})


async def test_it_is_told_although_the_same_answer_went_to_http_before(tls: Stage) -> None:
    """A head that is remembered is not looked at again: one of these is not remembered."""
    client, up, _ = await tls.ask(get(b"/", b"Origin: http://web.localhost"))
    head = crlf(b"HTTP/1.1 200 OK", b"Access-Control-Allow-Origin: http://web.localhost", b"Content-Length: 0")
    await up.send(head)
    await client.expect(head)
    await client.send(get())
    await up.head()
    await up.send(head)
    await client.expect(head)
    assert "insecure" in tls.proxy.pitfalls["web"]
