"""WebSockets to services that speak HTTP/2: extended CONNECT towards them (RFC 8441), whatever the client speaks.

Lives here: handshakes that are translated, refused, wrong; bytes both ways, ends, resets, back-pressure.
Not here: WebSockets over HTTP/2 to services that speak HTTP/1.1 (`test_h2.py`).
"""

import asyncio

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from tests.waiting import until
from tests.wire.h2_client import Http2Client
from tests.wire.h2_service import Http2Service
from tests.wire.harness import Stage, get
from tests.wire.peer import Peer
from tests.wire.test_h2_upstream import h2c
from tests.wire.test_upgrade import ACCEPT, ASK, FRAME, HANDSHAKE

WELCOME = {int(SettingCodes.ENABLE_CONNECT_PROTOCOL): 1}


@pytest.fixture
async def grpc(stage: Stage) -> Stage:
    """A stage whose service speaks HTTP/2."""
    await stage.start(h2c(stage))
    return stage


async def asked(stage: Stage, data: bytes = HANDSHAKE) -> tuple[Peer, Http2Service, int]:
    """A handshake on a new client; returns that, the service's connection, and the stream it arrives on."""
    client = await stage.connect()
    await client.send(data)
    up = await Http2Service.accept(stage.origin, WELCOME)
    return client, up, await up.request()


async def opened(stage: Stage) -> tuple[Peer, Http2Service, int]:
    """Both ends of an open WebSocket."""
    client, up, stream = await asked(stage)
    await up.respond(stream)
    assert (await client.head()).status == 101
    return client, up, stream


async def test_a_handshake_is_an_extended_connect(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, get(b"/ws?a=b", *ASK, b"Sec-WebSocket-Protocol: vite-hmr, chat"))
    fields = up.fields(stream)
    control = {name: value for name, value in fields.items() if name.startswith(b":")}
    assert control == {
        b":method": b"CONNECT",
        b":protocol": b"websocket",
        b":scheme": b"http",
        b":authority": b"web.localhost",
        b":path": b"/ws?a=b",
    }
    assert fields[b"sec-websocket-version"] == b"13"
    assert fields[b"sec-websocket-protocol"] == b"vite-hmr, chat"
    assert fields[b"x-forwarded-host"] == b"web.localhost"
    assert not fields.keys() & {b"connection", b"upgrade", b"sec-websocket-key", b"host"}
    assert stream not in up.ended
    await up.respond(stream, (b"sec-websocket-protocol", b"chat"), (b"set-cookie", b"a=1"))
    head = await client.head()
    assert (head.status, head.one(b"sec-websocket-protocol"), head.one(b"set-cookie")) == (101, b"chat", b"a=1")
    assert head.one(b"upgrade") == b"websocket"


@pytest.mark.http1
async def test_the_key_of_the_client_is_answered(grpc: Stage) -> None:
    client, up, stream = await asked(grpc)
    await up.respond(stream, (b"sec-websocket-accept", b"of somebody else"))
    head = await client.head()
    assert head.all(b"sec-websocket-accept") == [ACCEPT]
    assert head.tokens(b"connection") == [b"upgrade"]


async def test_bytes_pass_both_ways_beside_requests(grpc: Stage) -> None:
    client, up, stream = await opened(grpc)
    other = await grpc.connect()
    for number in range(10):
        data = FRAME * number + bytes(range(256))
        await client.send(data)
        await up.data(stream, data[::-1], end=False)
        await client.expect(data[::-1])
        await up.until(lambda: len(up.body_of(stream)) >= len(data))  # noqa: B023
        assert up.bodies.pop(stream) == data
        await other.send(get(b"/%d" % number))
        await up.answer(await up.request(), b"%d" % number)
        assert (await other.response()).body == b"%d" % number


async def test_bytes_right_behind_the_handshake(grpc: Stage) -> None:
    client, up, stream = await asked(grpc, HANDSHAKE + FRAME)
    await up.respond(stream)
    assert (await client.head()).status == 101
    await up.until(lambda: up.body_of(stream) == FRAME)


@pytest.mark.http1
async def test_the_client_ends_first(grpc: Stage) -> None:
    client, up, stream = await opened(grpc)
    await client.send(FRAME)
    client.half_close()
    assert await up.whole(stream) == FRAME
    await up.data(stream, b"bye", end=True)
    await client.expect(b"bye")
    await client.eof()
    await until(lambda: not grpc.proxy.tunnels)


@pytest.mark.http1
async def test_the_service_ends_first(grpc: Stage) -> None:
    client, up, stream = await opened(grpc)
    await up.data(stream, b"bye", end=True)
    await client.expect(b"bye")
    await client.eof()
    await client.send(FRAME)
    client.half_close()
    assert await up.whole(stream) == FRAME
    await until(lambda: not grpc.proxy.tunnels)


@pytest.mark.http1
async def test_trailers_end_it_too(grpc: Stage) -> None:
    client, up, stream = await opened(grpc)
    await up.trailers(stream, (b"x-end", b"1"))
    await client.eof()


@pytest.mark.http1
async def test_an_answer_that_ends_at_once(grpc: Stage) -> None:
    client, up, stream = await asked(grpc)
    await up.respond(stream, end=True)
    assert (await client.head()).status == 101
    await client.eof()


@pytest.mark.parametrize("how", ["reset", "end"])
async def test_a_client_that_goes_resets_its_stream_alone(grpc: Stage, how: str) -> None:
    client, up, stream = await opened(grpc)
    other, later, number = await opened_beside(grpc, up)
    if how == "reset":
        client.reset()
    else:
        client.close()
    await up.until(lambda: stream in up.resets or stream in up.ended)
    await later.data(number, b"still here", end=False)
    await other.expect(b"still here")


async def opened_beside(stage: Stage, up: Http2Service) -> tuple[Peer, Http2Service, int]:
    """One more WebSocket on the same connection to the service."""
    other = await stage.connect()
    await other.send(HANDSHAKE)
    number = await up.request()
    await up.respond(number)
    assert (await other.head()).status == 101
    return other, up, number


@pytest.mark.http1
async def test_a_reset_by_the_service_is_one_for_the_client(grpc: Stage) -> None:
    client, up, stream = await opened(grpc)
    await up.data(stream, b"some", end=False)
    await client.expect(b"some")
    await up.reset(stream, ErrorCodes.INTERNAL_ERROR)
    await client.cut()
    await until(lambda: not grpc.proxy.tunnels)


@pytest.mark.http1
async def test_a_connection_that_breaks_off(grpc: Stage) -> None:
    client, up, _stream = await opened(grpc)
    await up.send_raw(b"\x00\x00\x08\x06\x00\x00\x00\x00\x01" + bytes(8))  # PING on a stream
    await client.cut()
    await until(lambda: not grpc.proxy.tunnels)


async def test_a_service_may_refuse(grpc: Stage) -> None:
    client, up, stream = await asked(grpc)
    await up.answer(stream, b"no", status=403)
    message = await client.response()
    assert (message.status, message.body) == (403, b"no")
    await up.until(lambda: stream in up.resets or stream in up.ended)


async def test_a_service_that_is_busy_is_asked_again(grpc: Stage) -> None:
    client, up, stream = await asked(grpc)
    await up.answer(stream, status=503)
    await client.response()
    other = await grpc.connect()
    await other.send(HANDSHAKE)
    await up.reset(await up.request(), ErrorCodes.REFUSED_STREAM)
    await up.respond(await up.request())
    assert (await other.head()).status == 101


async def test_a_service_that_does_not_open_websockets_on_streams(grpc: Stage) -> None:
    client = await grpc.connect()
    await client.send(HANDSHAKE)
    up = await Http2Service.accept(grpc.origin)
    reading = asyncio.create_task(up.read())
    message = await client.response()
    reading.cancel()
    assert (message.status, message.error) == (501, "unsupported-upgrade")
    assert b"RFC 8441" in message.body
    assert not up.headers


@pytest.mark.http1
@pytest.mark.parametrize("key", [b"short", b"dGhlIHNhbXBsZSBub25jZQ=\x20", b"dGhlIHNhbXBsZSBub25jZR==", b"", None])
async def test_a_key_that_is_none(grpc: Stage, key: bytes | None) -> None:
    client = await grpc.connect()
    keys = [] if key is None else [b"Sec-WebSocket-Key: " + key]
    await client.send(get(b"/ws", *ASK[:3], *keys))
    up = await Http2Service.accept(grpc.origin, WELCOME)
    reading = asyncio.create_task(up.read())
    message = await client.response()
    reading.cancel()
    assert (message.status, message.error) == (400, "bad-request")
    assert not up.headers


@pytest.mark.http1
async def test_another_protocol_is_not_asked_for(grpc: Stage) -> None:
    """HTTP/2 has no Upgrade: the service answers the request as it stands (RFC 9110 §7.8)."""
    client, up, stream = await asked(grpc, get(b"/", b"Connection: Upgrade", b"Upgrade: something"))
    assert up.fields(stream)[b":method"] == b"GET"
    assert stream in up.ended
    await up.answer(stream)
    assert (await client.response()).body == b"ok"


async def test_a_service_that_takes_nothing(grpc: Stage) -> None:
    client, up, stream = await asked(grpc)
    up.acknowledges = False
    await up.respond(stream)
    assert (await client.head()).status == 101
    sending = asyncio.create_task(client.send(bytes(30_000_000)))
    await up.until(lambda: len(up.body_of(stream)) == 65535)
    up.h2.ping(bytes(8))
    await up.write()
    await up.until(lambda: up.pongs)
    assert not sending.done()
    up.acknowledges = True
    up.h2.acknowledge_received_data(65535, stream)
    await up.write()
    await up.until(lambda: len(up.bodies[stream]) == 30_000_000)
    await sending


async def test_a_shutdown_ends_it(grpc: Stage) -> None:
    client, up, stream = await opened(grpc)
    draining = asyncio.create_task(grpc.proxy.drain(5))
    await up.until(lambda: stream in up.ended or stream in up.resets)
    await client.gone()
    await draining
    assert not grpc.proxy.tunnels


# From end to end in HTTP/2.

CONNECT = ((b":protocol", b"websocket"), (b"sec-websocket-version", b"13"))


async def through(stage: Stage) -> tuple[Http2Client, int, Http2Service, int]:
    """A client's stream, and the service's, of one WebSocket."""
    client = await Http2Client.connect(stage)
    near = await client.ask(b"/ws", *CONNECT, method=b"CONNECT", end=False)
    up = await Http2Service.accept(stage.origin, WELCOME)
    far = await up.request()
    await up.respond(far, (b"sec-websocket-protocol", b"x"))
    fields = dict(await client.headers_of(near))
    assert (fields[b":status"], fields[b"sec-websocket-protocol"]) == (b"200", b"x")
    assert b"sec-websocket-accept" not in fields
    return client, near, up, far


@pytest.mark.http1
@pytest.mark.parametrize("first", ["client", "service"])
async def test_each_side_ends_by_itself(grpc: Stage, first: str) -> None:
    client, near, up, far = await through(grpc)
    assert b"sec-websocket-key" not in up.fields(far)
    for who in ("client", "service") if first == "client" else ("service", "client"):
        if who == "client":
            await client.data(near, b"from the client", end=True)
            assert await up.whole(far) == b"from the client"
        else:
            await up.data(far, b"from the service", end=True)
            await client.until(lambda: near in client.ended)
            assert client.body_of(near) == b"from the service"
    await until(lambda: not grpc.proxy.tunnels)
    assert not client.resets
    assert not up.resets
    client.close()


@pytest.mark.http1
@pytest.mark.parametrize("who", ["client", "service"])
async def test_a_reset_passes(grpc: Stage, who: str) -> None:
    client, near, up, far = await through(grpc)
    if who == "client":
        await client.reset(near)
        assert await up.reset_of(far) == ErrorCodes.CANCEL
    else:
        await up.reset(far, ErrorCodes.CANCEL)
        assert await client.reset_of(near) == ErrorCodes.CANCEL
    await until(lambda: not grpc.proxy.tunnels)
    client.close()


@pytest.mark.http1
async def test_a_client_that_takes_nothing_stalls_nobody_else(grpc: Stage) -> None:
    client, near, up, far = await through(grpc)
    client.acknowledges = False
    sending = asyncio.create_task(up.data(far, bytes(3_000_000), end=False))
    await client.until(lambda: len(client.body_of(near)) == 65535)
    client.open_connection_window(1 << 20)
    await client.write()
    other = await client.ask(b"/other")
    await until(lambda: len(up.headers) == 2)
    assert not sending.done()
    up.h2.send_headers(list(up.headers)[-1], [(b":status", b"204")], end_stream=True)
    await up.write()
    assert (await client.response(other)).status == 204
    client.acknowledges = True
    await client.catch_up(near)
    await client.until(lambda: len(client.bodies[near]) == 3_000_000)
    await sending
    client.close()
