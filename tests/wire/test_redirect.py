"""From http to https: who is sent there (`redirect`), and who never is."""

import pytest

from devproxy.http1.response import ResponseHead
from tests.wire.harness import OK, Stage, crlf, get, service

PORT = 7443
UPGRADE = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")


@pytest.fixture
async def redirecting(stage: Stage) -> Stage:
    """`web` is redirected, `api` is not."""
    await stage.start(service("web", stage.origin, redirect=True), service("api", stage.origin))
    stage.proxy.https_port = PORT
    return stage


async def location(stage: Stage, request: bytes, method: bytes = b"GET") -> bytes:
    client = await stage.connect()
    await client.send(request)
    message = await client.response(method)
    assert message.status == 308
    assert message.head.one(b"Cache-Control") == b"no-store"
    assert stage.origin.untouched()
    return message.head.one(b"Location")


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
async def test_get_and_head_are_sent_to_https(redirecting: Stage, method: bytes) -> None:
    asked = get(b"/a%20b?c=http://x/", method=method, host=b"web.localhost:%d" % redirecting.port)
    assert await location(redirecting, asked, method) == b"https://web.localhost:7443/a%20b?c=http://x/"


async def test_the_standard_port_is_not_named(redirecting: Stage) -> None:
    redirecting.proxy.https_port = 443
    assert await location(redirecting, get()) == b"https://web.localhost/"


async def test_the_connection_goes_on(redirecting: Stage) -> None:
    client = await redirecting.connect()
    for path in (b"/1", b"/2"):
        await client.send(get(path))
        assert (await client.response()).head.one(b"Location").endswith(path)


@pytest.mark.parametrize(
    "request_bytes",
    [
        get(method=b"POST", host=b"web.localhost"),
        get(method=b"OPTIONS"),
        pytest.param(get(b"/", *UPGRADE), marks=pytest.mark.http1),  # which nothing but 101 accepts in HTTP/2
        get(host=b"api.localhost"),
    ],
)
async def test_others_go_to_the_service(redirecting: Stage, request_bytes: bytes) -> None:
    client, up, _ = await redirecting.ask(request_bytes)
    await up.send(OK)
    await client.expect(OK)


async def test_a_get_with_a_body_goes_to_the_service(redirecting: Stage) -> None:
    client, up, _ = await redirecting.ask(get(b"/", b"Content-Length: 1") + b"x")
    await up.expect(b"x")
    await up.send(OK)
    await client.expect(OK)


async def test_nobody_is_sent_anywhere_where_https_is_off(redirecting: Stage) -> None:
    redirecting.proxy.https_port = None
    client, up, _ = await redirecting.ask(get())
    await up.send(OK)
    await client.expect(OK)


async def test_a_page_from_elsewhere_is_refused_first(redirecting: Stage) -> None:
    client = await redirecting.connect()
    await client.send(get(b"/", b"Sec-Fetch-Site: cross-site", b"Origin: https://evil.example"))
    message = await client.response()
    assert (message.status, message.error) == (403, "cross-site")


async def test_a_name_that_nobody_has_stays_unknown(redirecting: Stage) -> None:
    client = await redirecting.connect()
    await client.send(get(host=b"nobody.localhost"))
    assert (await client.response()).error == "unknown-host"


async def test_our_own_pages_are_redirected_with_all(stage: Stage) -> None:
    await stage.start(redirect=True)
    stage.proxy.https_port = PORT
    assert await location(stage, get(host=b"devproxy.localhost")) == b"https://devproxy.localhost:7443/"


# What pins a browser


HSTS = b"Strict-Transport-Security: max-age=31536000; includeSubDomains"
ALT_SVC = b'Alt-Svc: h3=":443"; ma=86400'


async def answered(stage: Stage, *fields: bytes, asked: bytes = b"") -> list[bytes]:
    """The names of the fields that arrive."""
    client, up, _ = await stage.ask(asked or get())
    await up.send(crlf(b"HTTP/1.1 200 OK", *fields, b"Content-Length: 0", b"Connection: close"))
    names = [name.lower() for name, _ in (await client.response()).head.fields]
    client.close()
    return names


async def test_hsts_and_alt_svc_are_dropped_and_told_once(stage: Stage) -> None:
    told: list[str] = []
    await stage.start()
    stage.proxy.on_pitfall = told.append
    for _ in range(3):
        names = await answered(stage, b"X-A: 1", HSTS, ALT_SVC, b"X-B: 1")
        assert names == [b"date", b"x-a", b"x-b", b"content-length"]
    assert told == ["web"]
    assert stage.proxy.pitfalls["web"].keys() == {"hsts", "alt-svc"}


@pytest.mark.parametrize(
    ("settings", "passes"),
    [({"hsts": "pass"}, [b"strict-transport-security"]), ({"alt_svc": "pass"}, [b"alt-svc"])],
)
async def test_a_setting_passes_them_on(stage: Stage, settings: dict[str, str], passes: list[bytes]) -> None:
    await stage.start(service("web", stage.origin, **settings))
    names = await answered(stage, HSTS, ALT_SVC)
    assert [name for name in names if name in (b"strict-transport-security", b"alt-svc")] == passes
    assert len(stage.proxy.pitfalls["web"]) == 1


async def test_alt_svc_that_forgets_passes(wire: Stage) -> None:
    assert b"alt-svc" in await answered(wire, b"Alt-Svc: clear")
    assert wire.proxy.pitfalls == {}


async def test_they_are_dropped_from_a_head_that_is_read_again(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    for number in range(3):
        if number:
            await client.send(get())
            await up.head()
        await up.send(crlf(b"HTTP/1.1 200 OK", HSTS, b"X-N: %d" % number, b"Content-Length: 0"))
        head = (await client.response()).head
        assert head.one(b"X-N") == b"%d" % number
        assert head.all(b"Strict-Transport-Security") == []
    (address,) = wire.proxy.pool.addresses.values()
    assert isinstance(address.last_response, ResponseHead)
    assert address.last_response.simple
