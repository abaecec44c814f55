"""A request to a service that does not run: who has it started, who waits, who gets a page, and who gets nothing.

Not here: waiting (`test_held.py`).
"""

import pytest

from devproxy.proxy.gates import Dormant, Gate, failed
from tests.wire.asleep import KEY, PAGE, UPGRADE, Asleep
from tests.wire.harness import HOST, Stage, crlf, get


async def test_a_start_that_fails_is_told_to_everyone_who_waits(asleep: Asleep) -> None:
    clients = [await asleep.ask(get(b"/%d" % number)) for number in range(3)]
    instead = failed(asleep.web(), "its command has ended", ("oops", "<b>bad</b>"))
    asleep.stage.proxy.set_gates({"web": Gate(dormant=Dormant(asleep.web(), instead=instead))})
    for client in clients:
        message = await client.response()
        assert (message.status, message.error) == (502, "start-failed")
        assert b'"log": ["oops", "<b>bad</b>"]' in message.body
    woken = len(asleep.woken)
    await clients[0].send(get(b"/", PAGE))
    message = await clients[0].response()
    assert (message.status, message.error) == (502, "start-failed")
    assert b"oops\n&lt;b&gt;bad" in message.body
    assert b"<script" not in message.body
    assert len(asleep.woken) == woken


async def test_who_navigates_gets_a_page_at_once_that_loads_again(asleep: Asleep) -> None:
    client = await asleep.stage.connect()
    await client.send(
        get(b"/", PAGE, b"Sec-Fetch-Site: none", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document")
    )
    message = await client.response()
    assert (message.status, message.error, message.head.one(b"Retry-After")) == (503, "starting", b"1")
    assert b"<h1>web is starting</h1>" in message.body
    assert asleep.woken == ["web"]
    asleep.stage.proxy.set_gates({"web": Gate(dormant=Dormant(asleep.web(), lines=("compiling <a>",)))})
    await client.send(get(b"/", PAGE))
    assert b"compiling &lt;a&gt;" in (await client.response()).body
    await client.send(get(method=b"HEAD"))  # its script's question waits
    await asleep.waits()
    asleep.come_up()
    up = await asleep.stage.origin.accept()
    assert (await up.head()).method == b"HEAD"


@pytest.mark.parametrize(
    "data",
    [
        get(b"/", b"Accept: */*"),
        get(b"/", PAGE, b"Sec-Fetch-Dest: empty", b"Sec-Fetch-Site: same-origin"),
        get(b"/", PAGE, b"Sec-Fetch-Dest: iframe", b"Sec-Fetch-Site: same-origin"),
        get(b"/", PAGE, method=b"HEAD"),
        get(b"/", PAGE, *UPGRADE, KEY),
        crlf(b"POST / HTTP/1.1", HOST, PAGE, b"Content-Length: 1") + b"x",
        crlf(b"GET / HTTP/1.1", HOST, PAGE, b"Content-Length: 1") + b"x",
    ],
    ids=["api", "fetch", "frame", "HEAD", "upgrade", "form", "GET with a body"],
)
async def test_everything_else_waits(asleep: Asleep, data: bytes) -> None:
    await asleep.ask(data)
    assert asleep.woken == ["web"]


async def test_a_page_from_elsewhere_starts_nothing(asleep: Asleep) -> None:
    evil = (b"Origin: https://evil.example", b"Sec-Fetch-Site: cross-site")
    for fields in (evil, (*evil, PAGE), (b"Referer: https://evil.example/",), (b"Sec-Fetch-Site: cross-site",)):
        client = await asleep.stage.connect()
        await client.send(get(b"/", *fields))
        message = await client.response()
        assert (message.status, message.error) == (403, "cross-site")
    assert asleep.woken == []


async def test_a_loop_starts_nothing(asleep: Asleep) -> None:
    client = await asleep.stage.connect()
    await client.send(get(b"/", b"Devproxy-Chain: web;1, web;2, web;3, web;4"))
    assert (await client.response()).error == "loop"
    assert asleep.woken == []


async def test_a_service_that_is_not_trusted_is_not_started(stage: Stage) -> None:
    asleep = Asleep(stage)
    await asleep.start(trusted=False)
    client = await stage.connect()
    await client.send(get())
    message = await client.response()
    assert (message.status, message.error) == (502, "no-upstream")
    assert b"devproxy link --trust /registry.toml" in message.body
    assert asleep.woken == []


async def test_one_with_a_port_that_is_not_trusted_says_so_too(stage: Stage) -> None:
    asleep = Asleep(stage)
    stage.origin.refuse()
    await stage.start(asleep.web(up=True, trusted=False))
    client = await stage.connect()
    await client.send(get())
    message = await client.response()
    assert message.error == "upstream-refused"
    assert b"devproxy link --trust" in message.body
