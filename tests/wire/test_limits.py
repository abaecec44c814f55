"""Limits: the head's size, the number of fields, time to send it, idle time, time to answer, open connections.

Lives here: every limit with a setting (issue "Limits"), each set low.
Not here: back-pressure (`test_pressure.py`), chunk limits (`test_bad_body.py`).
"""

import asyncio
import contextlib

import pytest

from tests.waiting import DEADLINE, until
from tests.wire.harness import HOST, OK, Origin, Stage, crlf, get, service
from tests.wire.peer import Message, Peer

ACCEPT_JSON = b"Accept: application/json"


def sized(total: int) -> bytes:
    """A request whose head is exactly `total` bytes."""
    rest = total - len(get(b"/", ACCEPT_JSON, b"X: "))
    return get(b"/", ACCEPT_JSON, b"X: " + b"y" * rest)


@pytest.mark.http1
@pytest.mark.parametrize("over", [1, 100, 100000])
async def test_head_over_the_limit_is_431_and_says_so(stage: Stage, over: int) -> None:
    await stage.start(max_header=2048)
    message = await stage.refuses(sized(2048 + over), 431, "header-too-large")
    assert b"2 KiB" in message.body or b"2048" in message.body
    assert message.head.tokens(b"Connection") == [b"close"]


async def test_head_under_the_limit_passes(stage: Stage) -> None:
    await stage.start(max_header=2048)
    client, up, _ = await stage.ask(sized(2000))
    await up.send(OK)
    await client.expect(OK)


async def test_default_limit_is_64_kib(wire: Stage) -> None:
    client, up, _ = await wire.ask(sized(65000))
    await up.send(OK)
    await client.expect(OK)
    await wire.origin.forget()
    await wire.refuses(sized(66000), 431, "header-too-large")


TOO_LARGE = {
    "value": (get()[:-2] + b"X: " + b"y" * 5000, 431, "header-too-large", b"clear the site"),
    "fields": (get()[:-2] + b"A: b\r\n" * 1000, 431, "header-too-large", b"clear the site"),
    "target": (b"GET /" + b"y" * 5000, 414, "target-too-long", b"POST"),
    "target and fields": (get(b"/" + b"y" * 1500)[:-2] + b"X: " + b"y" * 1000, 414, "target-too-long", b"POST"),
    "fields and target": (get(b"/" + b"y" * 1000)[:-2] + b"X: " + b"y" * 1500, 431, "header-too-large", b"clear the"),
    "method": (b"X" * 5000, 501, "method-too-long", b"such as GET"),
    "method and target": (b"X" * 65 + b" /" + b"y" * 5000, 501, "method-too-long", b"such as GET"),
}


@pytest.mark.http1
@pytest.mark.parametrize("whole", [False, True], ids=["without an end", "whole"])
@pytest.mark.parametrize("name", TOO_LARGE)
async def test_what_makes_a_head_too_large_is_named(stage: Stage, name: str, whole: bool) -> None:
    """Each with its own status and fix (RFC 9110 §15.5.15, RFC 9112 §3, RFC 6585 §5)."""
    await stage.start(max_header=2048)
    data, status, code, fix = TOO_LARGE[name]
    if whole:
        data += b" / HTTP/1.1\r\nHost: web.localhost" if b" " not in data else b"" if b"HTTP" in data else b" HTTP/1.1"
        data = data.removesuffix(b"\r\n") + b"\r\n\r\n"
    client = await stage.connect()
    await client.try_send(data)
    message = await client.response()
    assert (message.status, message.error) == (status, code)
    assert fix in message.body
    await client.gone()
    assert stage.origin.untouched()


@pytest.mark.parametrize(("length", "status"), [(64, 200), (65, 501)])
async def test_a_method_has_a_limit_of_its_own(wire: Stage, length: int, status: int) -> None:
    if status == 501:
        await wire.refuses(get(b"/", method=b"M" * length), 501, "method-too-long", method=b"GET")
    else:
        assert (await wire.ask(get(b"/", method=b"M" * length)))[2].method == b"M" * length


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("cut", [None, 1, 3000, 4093, 4095])
async def test_a_response_head_has_one_limit_however_it_comes(stage: Stage, over: int, cut: int | None) -> None:
    await stage.start(max_response_header=4096)
    answer = crlf(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"X: ")
    answer = answer[:-4] + b"y" * (4096 + over - len(answer)) + b"\r\n\r\nok"
    client, up, _ = await stage.ask(get(b"/", ACCEPT_JSON))
    await up.send(answer[:cut])
    if cut is not None:
        await stage.idle(0.1)
        await up.try_send(answer[cut:])
    message = await client.response()
    if over:
        assert (message.status, message.error) == (502, "upstream-invalid")
        assert b"over 4096 bytes (max_response_header)" in message.body
        assert b"raise `max_response_header` under [proxy]" in message.body
    else:
        assert (message.status, message.body) == (200, b"ok")


@pytest.mark.http1
async def test_a_response_may_have_a_larger_head_than_a_request(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    answer = crlf(b"HTTP/1.1 200 OK", *[b"X-Debug: " + b"y" * 1000] * 200, b"Content-Length: 2") + b"ok"
    await up.send(answer[:70000])
    await wire.idle(0.1)
    await up.send(answer[70000:])
    await client.expect(answer)


async def test_response_fields_have_a_limit_that_is_named(stage: Stage) -> None:
    await stage.start(max_headers=20)
    client, up, _ = await stage.ask(get(b"/", ACCEPT_JSON))
    await up.send(crlf(b"HTTP/1.1 200 OK", *[b"X: y"] * 30, b"Content-Length: 0"))
    message = await client.response()
    assert message.error == "upstream-invalid"
    assert b"32 fields, and the limit is 20 (max_headers)" in message.body


@pytest.mark.http1
async def test_limit_counts_each_head_of_a_pipeline_by_itself(stage: Stage) -> None:
    await stage.start(max_header=2048)
    client, up, _ = await stage.ask(sized(1500) * 3)
    for number in range(3):
        if number:
            await up.head()
        await up.send(OK)
        await client.expect(OK)


@pytest.mark.parametrize(("count", "status"), [(19, 200), (20, 431), (300, 431)])
async def test_number_of_fields(stage: Stage, count: int, status: int) -> None:
    """`Host` is one of them."""
    await stage.start(max_headers=20)
    data = get(b"/", *[b"X%d: y" % number for number in range(count)])
    if status == 431:
        await stage.refuses(data, 431, "header-too-large")
    else:
        await stage.ask(data)


async def test_client_that_dribbles_a_head_is_cut(stage: Stage) -> None:
    """Every byte on time, the whole too late."""
    await stage.start(header_timeout=3.0)
    client = await stage.connect()
    await until(lambda: stage.proxy.connections)
    ending = asyncio.create_task(client.gone())
    for byte in get(b"/", b"X: " + b"y" * 1000):
        with contextlib.suppress(ConnectionError):
            await client.send(bytes([byte]))
        await stage.pass_time(1.0)
        if ending.done():
            break
    assert await ending == b"" or client.received.startswith(b"HTTP/1.1 408 ")
    assert stage.origin.untouched()


@pytest.mark.parametrize("start", [b"", b"GET / HT"], ids=["silent", "half a line"])
async def test_client_that_never_sends_a_head_is_cut(stage: Stage, start: bytes) -> None:
    await stage.start(header_timeout=0.3, idle_timeout=0.3)
    client = await stage.connect()
    await client.send(start)
    said = await stage.meanwhile(1.0, client.gone())
    assert said == b"" or said.startswith(b"HTTP/1.1 408 ")


async def test_idle_connection_is_closed(stage: Stage) -> None:
    await stage.start(idle_timeout=0.3)
    client, up, _ = await stage.ask(get())
    await up.send(OK)
    await client.expect(OK)
    await stage.meanwhile(1.0, client.eof())


async def test_slow_second_head_is_cut(stage: Stage) -> None:
    await stage.start(header_timeout=0.3)
    client, up, _ = await stage.ask(get())
    await up.send(OK)
    await client.expect(OK)
    await client.send(b"GET / HTTP/1.1\r\nHo")
    said = await stage.meanwhile(1.0, client.gone())
    assert said == b"" or said.startswith(b"HTTP/1.1 408 ")


async def test_timeouts_do_not_touch_a_request_in_flight(stage: Stage) -> None:
    """Neither the idle nor the header timeout counts while a service thinks or an answer streams."""
    await stage.start(header_timeout=0.2, idle_timeout=0.2)
    client, up, _ = await stage.ask(get())
    await stage.idle(1.0)
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 2") + b"o")
    await client.head()
    await stage.idle(1.0)
    await up.send(b"k")
    await client.expect(b"ok")


async def test_service_that_never_answers_is_504(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, response_timeout=0.3))
    client, up, _ = await stage.ask(get(b"/", ACCEPT_JSON))
    message = await stage.meanwhile(1.0, client.response())
    assert (message.status, message.error) == (504, "upstream-timeout")
    await up.gone()
    await stage.passes()


async def test_interim_answers_do_not_stand_for_an_answer(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, response_timeout=0.3))
    client, up, _ = await stage.ask(get())
    await up.send(crlf(b"HTTP/1.1 103 Early Hints", b"Link: </a>"))
    await client.head()
    assert (await stage.meanwhile(1.0, client.response())).error == "upstream-timeout"
    await up.gone()


async def test_half_a_response_head_is_504(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, response_timeout=0.3))
    client, up, _ = await stage.ask(get())
    await up.send(b"HTTP/1.1 200 OK\r\nContent-Le")
    assert (await stage.meanwhile(1.0, client.response())).error == "upstream-timeout"
    await up.gone()


async def test_no_timeout_once_the_body_streams(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, response_timeout=0.3))
    client, up, _ = await stage.ask(get(b"/events"))
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked"))
    await client.head()
    await stage.idle(1.0)
    await up.send(b"2\r\nhi\r\n0\r\n\r\n")
    assert await client.chunked() == (b"hi", [])


async def test_slow_upload_is_not_a_slow_answer(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, response_timeout=0.5))
    client, up, _ = await stage.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 10"))
    for _ in range(10):
        await client.send(b"x")
        await up.expect(b"x")
        await stage.pass_time(0.3)
    await up.send(OK)
    await client.expect(OK)


async def test_504_while_the_client_still_uploads(stage: Stage) -> None:
    """The body stops half way, and so does the service: somebody ends it."""
    await stage.start(service("web", stage.origin, response_timeout=0.3))
    client, up, _ = await stage.ask(crlf(b"POST / HTTP/1.1", HOST, b"Content-Length: 5") + b"hello")
    await up.expect(b"hello")
    assert (await stage.meanwhile(1.0, client.response())).status == 504
    await up.gone()


async def _ask_once(stage: Stage) -> tuple[Peer, Message]:
    client = await stage.connect()
    await client.try_send(get())
    return client, await client.response()


@pytest.mark.http1
async def test_connections_over_the_cap_get_503_and_it_recovers(stage: Stage) -> None:
    await stage.start(max_connections=3)
    stage.origin.always(_serve)
    held = [await _ask_once(stage) for _ in range(3)]
    assert [message.status for _, message in held] == [200, 200, 200]
    refused, message = await _ask_once(stage)
    assert (message.status, message.error) == (503, "too-many-connections")
    assert message.head.tokens(b"Connection") == [b"close"]
    await refused.gone()
    await held[0][0].send(get())
    assert (await held[0][0].response()).status == 200
    held[1][0].close()
    await _until_served(stage)


async def _until_served(stage: Stage) -> None:
    async with asyncio.timeout(DEADLINE):
        while (found := await _ask_once(stage))[1].status != 200:
            found[0].close()


async def _serve(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.send(OK)


async def test_more_than_a_hundred_streams_at_once(stage: Stage) -> None:
    """No pool limit hangs the 101st."""
    origin: Origin = stage.origin
    await stage.start()
    pairs = []
    for number in range(120):
        client = await stage.connect()
        await client.send(get(b"/%d" % number))
        up = await origin.accept()
        assert (await up.head()).target == b"/%d" % number
        await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 5") + b"he")
        pairs.append((client, up))
    for client, up in pairs:
        assert (await client.head()).status == 200
        await up.send(b"llo")
        await client.expect(b"hello")
