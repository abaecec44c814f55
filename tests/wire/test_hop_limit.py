"""Max-Forwards: TRACE and OPTIONS go so many hops and no further (RFC 9110 §7.6.2).

Not here: loops (`test_loop.py`).
"""

import pytest

from tests.wire.harness import OK, Stage, get

SECRETS = [
    b"Cookie: SECRET",
    b"Authorization: Basic SECRET",
    b"X-Api-Key: SECRET",
    b"X-Forwarded-Access-Token: SECRET",
    b"X-CSRF-Token: SECRET",
]


@pytest.mark.parametrize("method", [b"TRACE", b"OPTIONS"])
async def test_each_hop_takes_one_off(wire: Stage, method: bytes) -> None:
    client, up, head = await wire.ask(get(b"/a", b"max-Forwards:  07 ", b"A: 1", method=method))
    assert head.line == method + b" /a HTTP/1.1"
    assert (head.all(b"max-forwards"), head.one(b"A")) == ([b"6"], b"1")
    await up.send(OK)
    await client.expect(OK)
    await client.send(get(b"/a", b"max-Forwards:  07 ", b"A: 1", method=method))
    assert (await up.head()).all(b"max-forwards") == [b"6"]


@pytest.mark.http1
async def test_where_none_is_left_trace_is_answered_with_the_request(wire: Stage) -> None:
    client = await wire.connect()
    await client.send(get(b"/a?b", *SECRETS, b"Max-Forwards: 0", b"A: 1", method=b"TRACE"))
    message = await client.response()
    assert (message.status, message.error, message.head.one(b"Content-Type")) == (200, "", b"message/http")
    assert message.body == b"TRACE /a?b HTTP/1.1\r\nHost: web.localhost\r\nMax-Forwards: 0\r\nA: 1\r\n\r\n"
    assert b"SECRET" not in client.received
    assert wire.origin.untouched()
    await client.send(get(b"/next"))
    assert (await (await wire.origin.accept()).head()).target == b"/next"


@pytest.mark.parametrize("target", [b"/", b"*"])
async def test_where_none_is_left_options_says_what_is_forwarded(wire: Stage, target: bytes) -> None:
    client = await wire.connect()
    await client.send(get(target, b"Max-Forwards: 0", method=b"OPTIONS"))
    message = await client.response()
    assert (message.status, message.body, message.error) == (200, b"", "")
    assert b"options" in message.head.tokens(b"Allow")
    assert wire.origin.untouched()


async def test_the_guard_comes_first(wire: Stage) -> None:
    client = await wire.connect()
    await client.send(get(b"/", b"Max-Forwards: 0", b"Origin: http://evil.example", method=b"TRACE"))
    assert (await client.response()).status == 403


@pytest.mark.parametrize("value", [b"0", b"5", b"x", b"-1", b"", b"5, 5"])
async def test_other_methods_pass_with_it_as_it_is(wire: Stage, value: bytes) -> None:
    _, _, head = await wire.ask(get(b"/", b"Max-Forwards: " + value))
    assert head.one(b"Max-Forwards") == value


@pytest.mark.parametrize("fields", [[b"Max-Forwards: x"], [b"Max-Forwards: 0, 0"], [b"Max-Forwards: 0"] * 2])
async def test_what_says_nothing_limits_nothing(wire: Stage, fields: list[bytes]) -> None:
    _, _, head = await wire.ask(get(b"/", *fields, method=b"TRACE"))
    assert [b"Max-Forwards: " + value for value in head.all(b"Max-Forwards")] == fields


async def test_it_is_the_same_request_again_only_with_the_same_method(wire: Stage) -> None:
    """Fields that a connection has seen before are not read again; what they mean hangs on the method here."""
    client, up, _ = await wire.ask(get(b"/", b"Max-Forwards: 3"))
    for method, left in ((b"TRACE", b"2"), (b"GET", b"3"), (b"OPTIONS", b"2")):
        await up.send(OK)
        await client.expect(OK)
        await client.send(get(b"/", b"Max-Forwards: 3", method=method))
        assert (await up.head()).one(b"Max-Forwards") == left
