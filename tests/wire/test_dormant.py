"""A request to a service that does not run: who has it started, who waits, who gets a page, and who gets nothing.

Not here: waiting (`test_held.py`).
"""

import pytest

from devproxy.proxy.gates import Dormant, Gate, failed
from tests.wire.asleep import KEY, PAGE, UPGRADE, Asleep
from tests.wire.harness import HOST, Stage, crlf, get


async def test_a_start_that_fails_is_told_to_everyone_who_waits(asleep: Asleep) -> None:
    clients = [await asleep.ask(get(b"/%d" % number, b"Accept: application/json")) for number in range(3)]
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


CROSS, TYPED = b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Site: none"
TAB = (PAGE, b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document", b"Upgrade-Insecure-Requests: 1")
BROWSER = (b"User-Agent: Mozilla/5.0", b"Accept-Language: en")


async def test_a_page_from_elsewhere_starts_nothing(asleep: Asleep) -> None:
    evil = (b"Origin: https://evil.example", CROSS)
    for fields in (
        *(evil, (*evil, PAGE), (b"Referer: https://evil.example/",), (CROSS,), (*BROWSER, b"Accept: image/*")),
        *((TYPED, *TAB, b"Sec-Purpose: prefetch"), (TYPED, *TAB, b"Sec-Fetch-User: ?1", b"Purpose: prefetch")),
        (CROSS, *TAB, b"Sec-Fetch-User: ?1", b"Sec-Purpose: prefetch;prerender"),
    ):
        client = await asleep.stage.connect()
        await client.send(get(b"/", *fields))
        message = await client.response()
        assert (message.status, message.error) == (403, "cross-site")
    assert asleep.woken == []


@pytest.mark.parametrize(
    "fields",
    [
        (CROSS, *TAB),
        (CROSS, *TAB, b"Referer: http://web.localhost/"),
        (CROSS, b"Origin: null", b"Referer: http://web.localhost:80/"),
        (CROSS, b"Referer: http://localhost:3000/"),
        (TYPED, b"Accept: */*"),
        (b"Sec-Fetch-Site: same-origin", b"Sec-Purpose: prefetch"),
        (b"Referer: http://localhost:3000/",),
        (*BROWSER, PAGE, b"Upgrade-Insecure-Requests: 1", b"Referer: http://localhost:3000/"),
    ],
    ids=["nobody clicked", "led back", "redirected", "embedded", "extension", "in advance", "by Referer", "frame"],
)
async def test_what_passes_without_a_sign_of_a_person_starts_nothing_and_is_told_so(
    asleep: Asleep, fields: tuple[bytes, ...]
) -> None:
    client = await asleep.stage.connect()
    await client.send(get(b"/", *fields))
    message = await client.response()
    assert (message.status, message.error) == (503, "not-running")
    assert b"<script" not in message.body
    assert (b"<a href>" in message.body) is (PAGE in fields)  # a link to itself, for a person to follow
    assert asleep.woken == []
    await client.send(get(b"/", b"Sec-Fetch-Site: same-origin", *TAB, b"Sec-Fetch-User: ?1"))
    assert (await client.response()).error == "starting"
    assert asleep.woken == ["web"]


async def test_where_a_tab_and_a_frame_look_the_same_the_page_starts_it(asleep: Asleep) -> None:
    """Under an ending without Sec-Fetch; a frame does not show the page, so it does not ask again there."""
    client = await asleep.stage.connect()
    await client.send(get(b"/", *BROWSER, PAGE, b"Upgrade-Insecure-Requests: 1"))
    message = await client.response()
    assert (message.status, message.error) == (503, "starting")
    assert b"frame-ancestors 'none'" in message.head.one(b"Content-Security-Policy")
    assert message.head.one(b"Referrer-Policy") == b"same-origin"
    assert asleep.woken == []
    await client.send(get(b"/", *BROWSER, b"Accept: */*", b"Referer: http://web.localhost/", method=b"HEAD"))
    await asleep.waits()
    assert asleep.woken == ["web"]


async def test_allow_lets_everything_start_it_but_what_is_asked_in_advance(stage: Stage) -> None:
    asleep = Asleep(stage)
    await asleep.start(cross_site="allow")
    client = await stage.connect()
    await client.send(get(b"/", TYPED, *TAB, b"Sec-Purpose: prefetch"))
    assert (await client.response()).error == "not-running"
    assert asleep.woken == []
    await asleep.ask(get(b"/", CROSS, b"Origin: https://evil.example"))
    assert asleep.woken == ["web"]


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
