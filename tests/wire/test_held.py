"""Requests that wait for a service to be started: what it gets once it is up, and the other ends of waiting.

Not here: who waits at all (`test_dormant.py`), real services (`tests/e2e/test_on_request.py`).
"""

import asyncio

import pytest

from devproxy.proxy.gates import Dormant, Gate
from tests.waiting import until
from tests.wire.asleep import ACCEPTED, KEY, UPGRADE, Asleep
from tests.wire.harness import HOST, OK, Stage, crlf, get, service


async def test_a_request_waits_and_is_forwarded_once_the_service_is_up(asleep: Asleep) -> None:
    client = await asleep.ask(get(b"/a?b=c", b"X-One: 1"))
    assert asleep.woken == ["web"]
    asleep.come_up()
    up = await asleep.stage.origin.accept()
    head = await up.head()
    assert (head.line, head.one(b"X-One")) == (b"GET /a?b=c HTTP/1.1", b"1")
    await up.send(OK)
    await client.expect(OK)
    await client.send(get(b"/again"))
    assert (await up.head()).target == b"/again"


async def test_a_body_arrives_byte_for_byte_whether_it_came_before_or_after_the_start(asleep: Asleep) -> None:
    body = bytes(range(256)) * 100
    client = await asleep.ask(crlf(b"POST /in HTTP/1.1", HOST, b"Content-Length: %d" % len(body)) + body[:1000])
    await client.send(body[1000:9000])
    asleep.come_up()
    up = await asleep.stage.origin.accept()
    await client.send(body[9000:])
    message = await up.request()
    assert (message.head.one(b"Content-Length"), message.body) == (b"%d" % len(body), body)
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.http1
async def test_chunks_and_trailers_arrive_as_they_were(asleep: Asleep) -> None:
    data = crlf(b"POST /in HTTP/1.1", HOST, b"Transfer-Encoding: chunked", b"Trailer: X-Sum")
    client = await asleep.ask(data + b"5\r\nhello\r\n3\r\n, w\r\n0\r\nX-Sum: 1\r\n\r\n")
    asleep.come_up()
    message = await (await asleep.stage.origin.accept()).request()
    assert (message.framing, message.body, message.trailers) == ("chunked", b"hello, w", [(b"X-Sum", b"1")])
    client.close()


@pytest.mark.http1
async def test_a_client_that_sends_much_is_not_read_further(asleep: Asleep) -> None:
    body = b"x" * (4 << 20)
    client = await asleep.ask(crlf(b"POST /in HTTP/1.1", HOST, b"Content-Length: %d" % len(body)))
    sending = asyncio.create_task(client.send(body))
    connection = asleep.stage.connection
    await until(lambda: connection._paused)
    assert len(connection._buffer) < 1 << 20
    asleep.come_up()
    message = await (await asleep.stage.origin.accept()).request()
    await sending
    assert message.body == body


@pytest.mark.http1
async def test_requests_behind_one_that_waits_keep_their_order(asleep: Asleep) -> None:
    client = await asleep.ask(get(b"/1") + crlf(b"POST /2 HTTP/1.1", HOST, b"Content-Length: 2") + b"ab" + get(b"/3"))
    asleep.come_up()
    up = await asleep.stage.origin.accept()
    for target in (b"/1", b"/2", b"/3"):
        message = await up.request()
        assert message.head.target == target
        await up.send(OK)
        await client.expect(OK)


@pytest.mark.http1
async def test_an_upgrade_waits_and_becomes_a_tunnel(asleep: Asleep) -> None:
    client = await asleep.ask(get(b"/ws", *UPGRADE, KEY))
    asleep.come_up()
    up = await asleep.stage.origin.accept()
    await up.head()
    await up.send(ACCEPTED + b"first")
    await client.expect(ACCEPTED + b"first")
    await client.send(b"ping")
    await up.expect(b"ping")


@pytest.mark.http1
@pytest.mark.plain
async def test_a_half_close_is_no_reason_not_to_answer(asleep: Asleep) -> None:
    client = await asleep.ask(get())
    client.half_close()
    asleep.come_up()
    up = await asleep.stage.origin.accept()
    await up.head()
    await up.send(OK)
    await client.expect(OK)
    await client.eof()


@pytest.mark.http1
@pytest.mark.plain
async def test_a_body_that_broke_off_while_it_waited_never_looks_whole(asleep: Asleep) -> None:
    client = await asleep.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 10") + b"abc")
    connection = asleep.stage.connection
    client.half_close()
    await until(lambda: connection._eof)
    asleep.come_up()
    message = await client.response()
    assert (message.status, message.error) == (400, "bad-request")
    assert asleep.stage.origin.untouched()


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_goes_away_is_forgotten(asleep: Asleep, how: str) -> None:
    client = await asleep.ask(get())
    getattr(client, how)()
    await until(lambda: not asleep.stage.proxy.held)
    await until(lambda: not asleep.stage.proxy.connections)


@pytest.mark.http1
async def test_one_that_goes_away_while_it_is_not_read_is_forgotten_too(asleep: Asleep) -> None:
    client = await asleep.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 9999999"))
    await client.send(b"x" * 200_000)
    connection = asleep.stage.connection
    await until(lambda: connection._paused)
    client.close()
    await until(lambda: not asleep.stage.proxy.held)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE"])
async def test_waiting_has_an_end_and_the_connection_goes_on(stage: Stage, method: bytes) -> None:
    asleep = Asleep(stage)
    await asleep.start(response_timeout=0.2)
    client = await asleep.ask(get(b"/1", method=method))
    message = await stage.meanwhile(1.0, client.response(method))
    assert (message.status, message.error) == (503, "starting")
    assert message.head.one(b"Retry-After") == b"1"
    assert message.head.one(b"Content-Type") == b"text/plain; charset=utf-8"
    assert (b"not up within 0.2 s" in message.body) is (method != b"HEAD")
    assert not message.head.all(b"Connection")
    asleep.come_up()
    await client.send(get(b"/2"))
    up = await stage.origin.accept()
    assert (await up.head()).target == b"/2"


@pytest.mark.http1
async def test_a_body_that_nobody_reads_ends_the_connection(stage: Stage) -> None:
    asleep = Asleep(stage)
    await asleep.start(response_timeout=0.2)
    client = await asleep.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 3") + b"abc" + get(b"/smuggled"))
    message = await stage.meanwhile(1.0, client.response())
    assert (message.status, message.head.one(b"Connection")) == (503, b"close")
    await client.eof()
    asleep.come_up()
    assert stage.origin.untouched()


async def test_one_with_a_port_waits_at_the_gate_that_health_has_closed(asleep: Asleep) -> None:
    asleep.come_up()
    dormant = Dormant(asleep.web(up=True))  # it is down, and has a port of its own
    asleep.stage.proxy.set_gates({"web": Gate(dormant=dormant)})
    client = await asleep.ask(get())
    asleep.stage.proxy.set_gates({})
    up = await asleep.stage.origin.accept()
    await up.head()
    await up.send(OK)
    await client.expect(OK)


async def test_a_service_that_is_gone_from_the_registry_is_waited_for_no_more(asleep: Asleep) -> None:
    client = await asleep.ask(get())
    asleep.stage.swap(service("other", asleep.stage.origin))
    message = await client.response()
    assert (message.status, message.error) == (404, "unknown-host")


async def test_one_that_is_not_trusted_any_more_is_waited_for_no_more(asleep: Asleep) -> None:
    client = await asleep.ask(get())
    asleep.stage.swap(asleep.web(trusted=False))
    assert (await client.response()).error == "no-upstream"


@pytest.mark.http1
@pytest.mark.plain
async def test_the_end_of_the_proxy_is_the_end_of_waiting(asleep: Asleep) -> None:
    waiting, idle = await asleep.ask(get()), await asleep.stage.connect()
    await until(lambda: len(asleep.stage.proxy.connections) == 2)
    await asleep.stage.proxy.drain(5.0)
    message = await waiting.response()
    assert (message.status, message.error, message.head.one(b"Connection")) == (503, "starting", b"close")
    await waiting.eof()
    await idle.eof()


async def test_an_end_without_grace_leaves_nothing(asleep: Asleep) -> None:
    client = await asleep.ask(get())
    asleep.stage.proxy.close()
    await client.gone()
    assert not asleep.stage.proxy.held
