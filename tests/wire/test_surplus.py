"""Bytes of a service that belong to no answer: the connection is not used again, and the next request is not blamed.

Lives here: surplus that comes before, with and after the next request (RFC 9112 §6.3, last paragraph).
Not here: surplus in the same read as an answer (`test_bad_answer.py`).
"""

import pytest

from tests.waiting import until
from tests.wire.harness import OK, Stage, crlf, get
from tests.wire.peer import Peer
from tests.wire.test_pool import POST, warm

SURPLUS = [b"x", b"\r\n", b"0\r\n\r\n", b"<html>more of it than it said</html>", b"HTTP/1.1 2"]


async def on_a_new_one(wire: Stage, client: Peer) -> None:
    fresh = await wire.origin.accept()
    await fresh.request()
    await fresh.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize("data", [get(b"/next"), POST], ids=["GET", "POST"])
async def test_between_two_requests(wire: Stage, surplus: bytes, data: bytes) -> None:
    client, up = await warm(wire)
    await up.send(surplus)
    assert await up.gone() == b""
    await client.send(data)
    await on_a_new_one(wire, client)


@pytest.mark.http1
@pytest.mark.parametrize("surplus", SURPLUS[:4])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
async def test_together_with_a_safe_request(wire: Stage, surplus: bytes, method: bytes) -> None:
    """Nothing runs between the two: the request is written before the surplus is read."""
    client, up = await warm(wire)
    client.send_some(get(b"/next", method=method))
    up.send_some(surplus)
    fresh = await wire.origin.accept()
    assert (await fresh.request()).head.target == b"/next"
    await fresh.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 0"))
    assert (await client.response(method)).status == 200
    await up.gone()


@pytest.mark.http1
@pytest.mark.parametrize("surplus", SURPLUS)
async def test_in_the_kernel_before_a_request_that_is_not_safe(wire: Stage, surplus: bytes) -> None:
    """It is looked for before the request is written, which could not be sent again."""
    client, up = await warm(wire)
    client.send_some(POST)
    up.send_some(surplus)
    await on_a_new_one(wire, client)
    assert POST not in up.received


async def test_what_answers_wrongly_on_a_new_connection_too_is_to_blame(wire: Stage) -> None:
    client, up = await warm(wire)
    await client.send(get(b"/next"))
    await up.head()
    await up.send(b"nonsense\r\n\r\n")
    fresh = await wire.origin.accept()
    await fresh.head()
    await fresh.send(b"nonsense\r\n\r\n")
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-invalid")
    await until(lambda: not wire.origin.waiting())


async def test_a_wrong_answer_to_what_is_not_safe_is_final(wire: Stage) -> None:
    client, up = await warm(wire)
    await client.send(POST)
    await up.request()
    await up.send(b"nonsense\r\n\r\n")
    message = await client.response()
    assert (message.status, message.error) == (502, "upstream-invalid")
    assert not wire.origin.waiting()


@pytest.mark.http1
async def test_a_whole_response_in_the_kernel_is_no_answer_to_a_request_that_is_not_safe(wire: Stage) -> None:
    """Before a safe one it is not looked for, which would cost each of them a system call: SECURITY.md says so."""
    client, up = await warm(wire)
    client.send_some(POST)
    up.send_some(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 4") + b"evil")
    await on_a_new_one(wire, client)
    assert POST not in up.received
