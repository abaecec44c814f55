"""Upgrade: the service's handshake first, then bytes both ways; a refused one passes as what it is.

Lives here: WebSocket and any other protocol, refused and forged handshakes, half-close (RFC 9110 §7.8;
RFC 6455 §4).
Not here: h2c (`test_fields.py`), resets (`test_abort.py`), reload (`test_reload.py`).
"""

import asyncio
import socket
from base64 import b64encode
from hashlib import sha1

import pytest

from tests.waiting import until
from tests.wire.harness import HOST, OK, Stage, crlf, get, service
from tests.wire.peer import Peer

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
ASK = [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: " + KEY]
HANDSHAKE = get(b"/ws", *ASK)
GRANT = [b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + ACCEPT]
SWITCH = crlf(b"HTTP/1.1 101 Switching Protocols", *GRANT)
FOO = crlf(b"POST / HTTP/1.1", HOST, b"Connection: Upgrade", b"Upgrade: foo", b"Content-Length: 5")
FRAME = b"\x81\x05hello"


async def tunnel(wire: Stage) -> tuple[Peer, Peer]:
    """Both ends of an open WebSocket."""
    client, up, _ = await wire.ask(HANDSHAKE)
    await up.send(SWITCH)
    assert (await client.head()).status == 101
    return client, up


@pytest.mark.http1
async def test_handshake_passes_both_ways(wire: Stage) -> None:
    more = [b"Sec-WebSocket-Protocol: vite-hmr, chat", b"Sec-WebSocket-Extensions: permessage-deflate", b"Cookie: a=1"]
    client, up, head = await wire.ask(get(b"/ws?token=%41", *ASK, *more))
    assert (head.target, head.tokens(b"Connection")) == (b"/ws?token=%41", [b"upgrade"])
    assert head.one(b"Upgrade") == b"websocket"
    for field in (*ASK[2:], *more):
        name, value = field.split(b": ", 1)
        assert head.one(name) == value
    granted = [b"Sec-WebSocket-Protocol: vite-hmr", b"Set-Cookie: b=2", b"Sec-WebSocket-Extensions: permessage-deflate"]
    await up.send(crlf(b"HTTP/1.1 101 Web Socket Protocol Handshake", *GRANT, *granted))
    answer = await client.head()
    assert (answer.line, answer.tokens(b"Connection")) == (b"HTTP/1.1 101 Web Socket Protocol Handshake", [b"upgrade"])
    assert (answer.one(b"Upgrade"), answer.one(b"Sec-WebSocket-Accept")) == (b"websocket", ACCEPT)
    for field in granted:
        name, value = field.split(b": ", 1)
        assert answer.one(name) == value


async def test_bytes_pass_both_ways_at_once(wire: Stage) -> None:
    client, up = await tunnel(wire)
    for number in range(10):
        data = FRAME * number + bytes(range(256))
        await client.send(data)
        await up.send(data[::-1])
        await up.expect(data)
        await client.expect(data[::-1])


async def test_101_is_not_said_before_the_service_agreed(wire: Stage) -> None:
    client, up, _ = await wire.ask(HANDSHAKE)
    await up.send(SWITCH[:40])
    assert not client.received
    await up.send(SWITCH[40:])
    assert (await client.head()).status == 101


async def test_bytes_right_behind_the_handshake_of_the_client(wire: Stage) -> None:
    """They wait for the 101: before that they are no WebSocket."""
    client, up, _ = await wire.ask(HANDSHAKE + FRAME)
    assert not up.pending
    await up.send(SWITCH)
    assert (await client.head()).status == 101
    await up.expect(FRAME)


async def test_bytes_right_behind_the_handshake_of_the_service(wire: Stage) -> None:
    client, up, _ = await wire.ask(HANDSHAKE)
    await up.send(SWITCH + FRAME + FRAME)
    assert (await client.head()).status == 101
    await client.expect(FRAME + FRAME)
    await client.send(FRAME)
    await up.expect(FRAME)


@pytest.mark.http1
@pytest.mark.parametrize("data", [b"x" * 300000, get(b"/smuggled")])
async def test_bytes_behind_a_refused_handshake_do_not_reach_the_service_as_they_are(wire: Stage, data: bytes) -> None:
    """h2c-style smuggling: what follows is a request to be judged, or nothing."""
    client, up, _ = await wire.ask(HANDSHAKE)
    sending = asyncio.create_task(client.try_send(data))
    await up.send(crlf(b"HTTP/1.1 403 Forbidden", b"Content-Length: 0"))
    assert (await client.head()).status == 403
    if data.startswith(b"GET"):
        assert (await up.head()).one(b"X-Forwarded-Host") == b"web.localhost"
    else:
        assert (await client.response()).error in ("bad-request", "method-too-long")
        assert not up.pending
        await client.gone()
    await sending


@pytest.mark.http1
@pytest.mark.plain
@pytest.mark.parametrize("who", ["client", "service"])
async def test_half_close_is_kept(wire: Stage, who: str) -> None:
    client, up = await tunnel(wire)
    first, second = (client, up) if who == "client" else (up, client)
    await first.send(FRAME)
    first.half_close()
    await second.expect(FRAME)
    await second.eof()
    for _ in range(3):
        await second.send(FRAME)
        await first.expect(FRAME)
    second.half_close()
    await first.eof()


@pytest.mark.http1
@pytest.mark.parametrize("who", ["client", "service"])
async def test_a_reset_stays_a_reset(wire: Stage, who: str) -> None:
    client, up = await tunnel(wire)
    first, second = (client, up) if who == "client" else (up, client)
    await first.send(FRAME)
    await second.expect(FRAME)
    first.reset()
    assert await second.gone() == b""
    assert second.ended == "reset"


@pytest.mark.http1
@pytest.mark.plain
@pytest.mark.parametrize("who", ["client", "service"])
async def test_what_was_sent_before_a_reset_arrives(wire: Stage, who: str) -> None:
    """The proxy hears of the end by a write that fails: the last words wait in the kernel meanwhile."""
    client, up = await tunnel(wire)
    first, second = (client, up) if who == "client" else (up, client)
    await second.send(FRAME)
    await first.more("the frame, so that it is the proxy's turn no more")
    second.send_some(FRAME)  # nothing runs between these three
    first.send_some(b"the last words")
    first.reset()
    assert await second.gone() == b"the last words"
    assert second.ended == "reset"


@pytest.mark.http1
@pytest.mark.parametrize("who", ["client", "service"])
async def test_a_close_stays_an_orderly_end(wire: Stage, who: str) -> None:
    client, up = await tunnel(wire)
    first, second = (client, up) if who == "client" else (up, client)
    await first.send(FRAME)
    first.close()
    assert await second.gone() == FRAME
    assert second.ended == "fin"


@pytest.mark.http1
@pytest.mark.plain
@pytest.mark.parametrize("who", ["client", "service"])
async def test_a_reset_behind_a_half_close(wire: Stage, who: str) -> None:
    client, up = await tunnel(wire)
    first, second = (client, up) if who == "client" else (up, client)
    first.half_close()
    await second.eof()
    first.reset()
    await until(lambda: second.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


@pytest.mark.http1
@pytest.mark.plain
async def test_half_close_right_behind_the_handshake(wire: Stage) -> None:
    client, up, _ = await wire.ask(HANDSHAKE)
    await up.send(SWITCH + FRAME)
    up.half_close()
    assert (await client.head()).status == 101
    await client.expect(FRAME)
    await client.eof()
    await client.send(FRAME)
    await up.expect(FRAME)


@pytest.mark.http1
async def test_another_protocol(wire: Stage) -> None:
    client, up, head = await wire.ask(get(b"/", b"Upgrade: foo/1, Bar", b"connection: keep-alive, upgrade"))
    assert head.tokens(b"Upgrade") == [b"foo/1", b"bar"]
    await up.send(crlf(b"HTTP/1.1 101 Switching Protocols", b"Connection: upgrade", b"Upgrade: bar") + b"BAR")
    assert (await client.head()).one(b"Upgrade") == b"bar"
    await client.expect(b"BAR")
    await client.send(b"RAB")
    await up.expect(b"RAB")


async def test_key_of_ones_own(wire: Stage) -> None:
    key = b64encode(b"0123456789abcdef")
    accept = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    client, up, _ = await wire.ask(get(b"/ws", *ASK[:3], b"sec-websocket-key: " + key))
    await up.send(crlf(b"HTTP/1.1 101 x", *GRANT[:2], b"SEC-WEBSOCKET-ACCEPT:  " + accept))
    assert (await client.head()).status == 101


WRONG = {
    "wrong accept": [*GRANT[:2], b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA="],
    "accept missing": GRANT[:2],
    "accept twice": [*GRANT, GRANT[2]],
    "accept of another case": [*GRANT[:2], b"Sec-WebSocket-Accept: " + ACCEPT.swapcase()],
    "other protocol": [b"Upgrade: foo", *GRANT[1:]],
    "h2c": [b"Upgrade: h2c", *GRANT[1:]],
    "no Upgrade": GRANT[1:],
}


@pytest.mark.parametrize("fields", [pytest.param(fields, id=name) for name, fields in WRONG.items()])
async def test_101_that_is_wrong_is_502(wire: Stage, fields: list[bytes]) -> None:
    client, up, _ = await wire.ask(HANDSHAKE)
    await up.send(crlf(b"HTTP/1.1 101 Switching Protocols", *fields) + FRAME)
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-invalid")
    await up.gone()


UNASKED = {
    "plain GET": get(),
    "Upgrade not named in Connection": get(b"/", *ASK[1:]),
    "Connection without Upgrade": get(b"/", *ASK[:1], *ASK[2:]),
    "HTTP/1.0": crlf(b"GET / HTTP/1.0", HOST, *ASK),
    "h2c only": get(b"/", b"Connection: Upgrade", b"Upgrade: h2c"),
}


@pytest.mark.http1
@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in UNASKED.items()])
async def test_101_that_nobody_asked_for_is_502(wire: Stage, data: bytes) -> None:
    client, up, head = await wire.ask(data)
    assert (head.all(b"Upgrade"), b"upgrade" in head.tokens(b"Connection")) == ([], False)
    await up.send(SWITCH + FRAME)
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-invalid")
    await up.gone()
    await wire.passes()


REFUSALS = [
    crlf(b"HTTP/1.1 403 Forbidden", b"Content-Length: 2") + b"no",
    crlf(b"HTTP/1.1 302 Found", b"Location: /login", b"Content-Length: 0"),
    crlf(b"HTTP/1.1 426 Upgrade Required", b"Sec-WebSocket-Version: 8", b"Content-Length: 0"),
    OK,
]


@pytest.mark.http1
@pytest.mark.parametrize("answer", REFUSALS)
async def test_refused_handshake_passes_and_the_connection_lives_on(wire: Stage, answer: bytes) -> None:
    client, up, _ = await wire.ask(HANDSHAKE)
    await up.send(answer)
    await client.expect(answer)
    await client.send(get(b"/after"))
    assert (await up.head()).target == b"/after"
    await up.send(OK)
    await client.expect(OK)


async def test_refused_handshake_with_chunks(wire: Stage) -> None:
    client, up, _ = await wire.ask(HANDSHAKE)
    await up.send(crlf(b"HTTP/1.1 400 Bad", b"Transfer-Encoding: chunked") + b"2\r\nno\r\n0\r\n\r\n")
    message = await client.response()
    assert (message.status, message.body) == (400, b"no")


async def test_handshake_that_is_closed_is_502(wire: Stage) -> None:
    wire.origin.always(_hang_up)
    client = await wire.connect()
    await client.send(HANDSHAKE)
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-closed")


async def _hang_up(peer: Peer) -> None:
    await peer.head()
    peer.close()


@pytest.mark.parametrize("data", [b"ERR not a websocket\r\n", b"ERR\n", b"\x81\x05hello"])
@pytest.mark.parametrize("end", [True, False], ids=["and FIN", "stays"])
async def test_handshake_answered_by_what_is_no_http_is_502(stage: Stage, data: bytes, end: bool) -> None:
    await stage.start(service("web", stage.origin, response_timeout=1.0))
    client, up, _ = await stage.ask(HANDSHAKE)
    await up.send(data)
    if end:
        up.close()
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-invalid")


@pytest.mark.http1
async def test_upgrade_with_a_body(wire: Stage) -> None:
    """The body is the request's; the protocol begins behind it."""
    client, up, head = await wire.ask(FOO)
    assert head.one(b"Content-Length") == b"5"
    await client.send(b"hello" + b"FOO")
    await up.expect(b"hello")
    assert not up.pending
    await up.send(crlf(b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade", b"Upgrade: foo"))
    assert (await client.head()).status == 101
    await up.expect(b"FOO")


@pytest.mark.http1
async def test_upgrade_with_a_body_that_is_refused(wire: Stage) -> None:
    client, up, _ = await wire.ask(FOO + b"hello" + get(b"/after"))
    await up.expect(b"hello")
    await up.send(OK)
    await client.expect(OK)
    assert (await up.head()).target == b"/after"


@pytest.mark.http1
async def test_interim_answer_before_the_101(wire: Stage) -> None:
    client, up, _ = await wire.ask(HANDSHAKE)
    await up.send(crlf(b"HTTP/1.1 103 Early Hints", b"Link: </a>") + SWITCH + FRAME)
    assert (await client.head()).status == 103
    assert (await client.head()).status == 101
    await client.expect(FRAME)


async def test_idle_tunnel_outlives_every_timeout(stage: Stage) -> None:
    options = {"response_timeout": 0.2, "hold": 0.2}
    await stage.start(service("web", stage.origin, **options), idle_timeout=0.2, header_timeout=0.2)
    client, up = await tunnel(stage)
    await stage.idle(1.0)
    await client.send(FRAME)
    await up.expect(FRAME)
    await up.send(FRAME)
    await client.expect(FRAME)
