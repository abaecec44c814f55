"""Loops through Devproxy-Chain: found by the field that devproxy adds, and named.

Lives here: the same pass again, a route's fifth pass, forged chains.
Not here: what a chain looks like; the tests only carry it from the service back to the proxy.
"""

import json

import pytest

from tests.wire.harness import OK, Stage, answer_once, get, service

JSON = b"Accept: application/json"


async def start(stage: Stage) -> None:
    await stage.start(service("web", stage.origin), service("api", stage.origin))


async def through(
    stage: Stage, target: bytes, chain: bytes | None, host: bytes = b"web.localhost", method: bytes = b"GET"
) -> bytes:
    """One pass: what the service sees as chain."""
    await stage.origin.forget()
    fields = [] if chain is None else [b"Devproxy-Chain: " + chain]
    client, up, head = await stage.ask(get(target, *fields, host=host, method=method))
    await up.send(OK)
    await client.expect(OK)
    client.close()
    return b", ".join(head.all(b"Devproxy-Chain"))


async def refused(stage: Stage, target: bytes, chain: bytes, host: bytes = b"web.localhost") -> str:
    """A pass that is a loop: the answer's text."""
    await stage.origin.forget()
    client = await stage.connect()
    await client.send(get(target, b"Devproxy-Chain: " + chain, JSON, host=host))
    message = await client.response()
    assert (message.status, message.error) == (508, "loop"), message
    assert stage.origin.untouched()
    return json.dumps(json.loads(message.body), ensure_ascii=False)


async def test_same_route_method_and_target_again(stage: Stage) -> None:
    await start(stage)
    chain = await through(stage, b"/x", None)
    await refused(stage, b"/x", chain)


async def test_two_services_are_named_in_order(stage: Stage) -> None:
    await start(stage)
    chain = await through(stage, b"/x", None)
    chain = await through(stage, b"/y", chain, b"api.localhost")
    text = await refused(stage, b"/x", chain)
    assert "web → api → web" in text


@pytest.mark.parametrize(
    ("target", "host", "method"),
    [
        (b"/other", b"web.localhost", b"GET"),
        (b"/x?", b"web.localhost", b"GET"),
        (b"/x", b"api.localhost", b"GET"),
        (b"/x", b"web.localhost", b"POST"),
        (b"/X", b"web.localhost", b"GET"),
    ],
)
async def test_another_pass_is_no_loop(stage: Stage, target: bytes, host: bytes, method: bytes) -> None:
    """A service that asks another, or itself something else."""
    await start(stage)
    chain = await through(stage, b"/x", None)
    assert await through(stage, target, chain, host, method)


async def test_fifth_pass_of_a_route(stage: Stage) -> None:
    """The target grows each time: `/x`, `/x/x`, …"""
    await start(stage)
    chain = None
    for number in range(1, 5):
        chain = await through(stage, b"/x" * number, chain)
    assert chain
    await refused(stage, b"/x" * 5, chain)


async def test_fan_out_is_no_loop(stage: Stage) -> None:
    """Five requests that each begin anew at one pass."""
    await start(stage)
    chain = await through(stage, b"/page", None)
    for number in range(5):
        await through(stage, b"/%d" % number, chain, b"api.localhost")


async def test_chain_in_several_fields(stage: Stage) -> None:
    await start(stage)
    chain = await through(stage, b"/x", None)
    longer = await through(stage, b"/y", chain, b"api.localhost")
    rest = longer.removeprefix(chain).lstrip(b", ")
    await refused(stage, b"/x", chain + b"\r\nDevproxy-Chain: " + rest)


@pytest.mark.parametrize(
    "forged",
    [b"x", b"", b",,,", b";;;=", b"web", b"\xff\xfe", b"a" * 5000, b"web;web;web", b"<script>alert(1)</script>", b'"'],
)
async def test_forged_chain_harms_nobody(stage: Stage, forged: bytes) -> None:
    """It passes, or is taken for a loop; the next request is right."""
    await start(stage)
    client = await stage.connect()
    await client.send(get(b"/x", b"Devproxy-Chain: " + forged, b"Accept: text/html"))
    stage.origin.always(answer_once)
    message = await client.response()
    assert message.status in (200, 508)
    assert b"<script>alert" not in message.body
    await stage.passes()


async def test_forged_loop_is_refused_and_escaped(stage: Stage) -> None:
    await start(stage)
    chain = await through(stage, b"/x", None)
    await stage.origin.forget()
    client = await stage.connect()
    await client.send(get(b"/x", b"Accept: text/html", b"Devproxy-Chain: <script>alert(1)</script>, " + chain))
    message = await client.response()
    assert message.status == 508
    assert b"<script>alert" not in message.body
