"""The cross-site guard: a page from elsewhere is refused before the service is touched.

Lives here: each rule of the guard in its order (Fetch Metadata, RFC 6454).
Not here: a real browser (`tests/e2e/`).
"""

from typing import Any

import pytest

from tests.wire.harness import HOST, OK, Stage, crlf, get, service
from tests.wire.test_upgrade import ASK

EVIL = b"Origin: https://evil.example"
CROSS = b"Sec-Fetch-Site: cross-site"
NAVIGATE = [CROSS, b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document"]
LOCAL_REFERER = b"Referer: http://api.localhost:7080/page"
EVIL_REFERER = b"Referer: https://evil.example/page"

PASS: dict[str, tuple[bytes, list[bytes]]] = {
    "nothing (curl)": (b"GET", []),
    "nothing, POST": (b"POST", []),
    "same-origin": (b"POST", [b"Sec-Fetch-Site: same-origin"]),
    "same-site": (b"POST", [b"Sec-Fetch-Site: same-site"]),
    "none": (b"GET", [b"Sec-Fetch-Site: none"]),
    "same-origin beats Origin null": (b"POST", [b"Sec-Fetch-Site: same-origin", b"Origin: null"]),
    "same-origin beats a foreign Origin": (b"POST", [b"Sec-Fetch-Site: same-origin", EVIL]),
    "same-origin beats a foreign Referer": (b"GET", [b"Sec-Fetch-Site: same-origin", EVIL_REFERER]),
    "cross-site, registered Origin": (b"POST", [CROSS, b"Origin: http://api.localhost"]),
    "cross-site, registered Origin with a port": (b"POST", [CROSS, b"Origin: https://api.localhost:7443"]),
    "cross-site, loopback Origin": (b"POST", [CROSS, b"Origin: http://localhost:3000"]),
    "cross-site, 127.0.0.1": (b"POST", [CROSS, b"Origin: http://127.0.0.1:5173"]),
    "cross-site, ::1": (b"POST", [CROSS, b"Origin: http://[::1]:5173"]),
    "Origin alone, registered": (b"POST", [b"Origin: http://web.localhost:7080"]),
    "Origin alone, loopback": (b"POST", [b"Origin: http://127.0.0.1"]),
    "navigation": (b"GET", NAVIGATE),
    "navigation HEAD": (b"HEAD", NAVIGATE),
    "navigation with a foreign Referer": (b"GET", [*NAVIGATE, EVIL_REFERER]),
    "cross-site, local Referer": (b"GET", [CROSS, LOCAL_REFERER]),
    "cross-site, local Referer, POST": (b"POST", [CROSS, LOCAL_REFERER]),
    "Referer alone, local": (b"GET", [LOCAL_REFERER]),
    "Referer alone, loopback": (b"POST", [b"Referer: http://localhost:3000/"]),
}

REFUSE: dict[str, tuple[bytes, list[bytes]]] = {
    "cross-site, foreign Origin": (b"GET", [CROSS, EVIL]),
    "cross-site, Origin null": (b"POST", [CROSS, b"Origin: null"]),
    "foreign Origin alone": (b"POST", [EVIL]),
    "foreign Origin, GET": (b"GET", [EVIL]),
    "Origin null alone": (b"POST", [b"Origin: null"]),
    "foreign Origin beats a navigation": (b"GET", [*NAVIGATE, EVIL]),
    "foreign Origin beats a local Referer": (b"GET", [EVIL, LOCAL_REFERER]),
    "Origin that only ends like ours": (b"GET", [b"Origin: http://notweb.localhost.evil.example"]),
    "Origin that only begins like ours": (b"GET", [b"Origin: http://web.localhost.evil.example"]),
    "Origin with userinfo": (b"GET", [b"Origin: http://web.localhost@evil.example"]),
    "Origin with our name in the path": (b"GET", [b"Origin: http://evil.example/http://web.localhost"]),
    "Origin like loopback": (b"GET", [b"Origin: http://127.0.0.1.evil.example"]),
    "Origin localhost.evil": (b"GET", [b"Origin: http://localhost.evil.example"]),
    "Origin private address": (b"GET", [b"Origin: http://192.168.0.1"]),
    "Origin of another scheme": (b"GET", [b"Origin: chrome-extension://abcdef"]),
    "Origin garbage": (b"GET", [b"Origin: ://"]),
    "Origin list": (b"GET", [b"Origin: http://web.localhost https://evil.example"]),
    "navigation POST": (b"POST", NAVIGATE),
    "navigation into a frame": (b"GET", [CROSS, b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: iframe"]),
    "no-cors to document": (b"GET", [CROSS, b"Sec-Fetch-Mode: no-cors", b"Sec-Fetch-Dest: document"]),
    "script tag": (b"GET", [CROSS, b"Sec-Fetch-Mode: no-cors", b"Sec-Fetch-Dest: script"]),
    "cross-site, foreign Referer": (b"GET", [CROSS, EVIL_REFERER]),
    "cross-site, nothing else": (b"GET", [CROSS]),
    "Referer alone, foreign": (b"GET", [EVIL_REFERER]),
    "Referer like ours": (b"GET", [b"Referer: http://web.localhost.evil.example/"]),
    "Referer with ours in the query": (b"GET", [b"Referer: https://evil.example/?http://web.localhost/"]),
    "WebSocket": (b"GET", [*ASK, EVIL]),
    "WebSocket, null": (b"GET", [*ASK, b"Origin: null"]),
}


def _ids(table: dict[str, tuple[bytes, list[bytes]]]) -> list[Any]:
    return [pytest.param(*case, id=name) for name, case in table.items()]


async def start(stage: Stage, **options: Any) -> None:
    await stage.start(service("web", stage.origin, **options), service("api", stage.origin))


@pytest.mark.parametrize(("method", "fields"), _ids(PASS))
async def test_passes(stage: Stage, method: bytes, fields: list[bytes]) -> None:
    await start(stage)
    _, _, head = await stage.ask(get(b"/", *fields, method=method))
    for field in fields:
        name, value = field.split(b": ", 1)
        assert head.one(name) == value


@pytest.mark.parametrize(("method", "fields"), _ids(REFUSE))
async def test_refuses(stage: Stage, method: bytes, fields: list[bytes]) -> None:
    await start(stage)
    message = await stage.refuses(get(b"/", *fields, method=method), 403, "cross-site", method)
    assert b"cross_site" in message.body
    assert message.head.all(b"Access-Control-Allow-Origin") == []


async def test_names_the_file_that_allows_it(stage: Stage) -> None:
    await start(stage)
    message = await stage.refuses(get(b"/", EVIL), 403, "cross-site")
    assert b"/registry.toml" in message.body
    assert b"https://evil.example" in message.body


@pytest.mark.parametrize(("method", "fields"), _ids(REFUSE))
async def test_allow_lets_everything_pass(stage: Stage, method: bytes, fields: list[bytes]) -> None:
    await start(stage, cross_site="allow")
    await stage.ask(get(b"/", *fields, method=method))


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        (b"https://evil.example", True),
        (b"https://idp.example:8443", True),
        (b"https://idp.example", False),
        (b"http://evil.example", False),
        (b"https://other.example", False),
        (b"null", False),
    ],
)
async def test_list_of_origins(stage: Stage, origin: bytes, passes: bool) -> None:
    await start(stage, cross_site=("https://evil.example", "https://idp.example:8443"))
    data = get(b"/", CROSS, b"Origin: " + origin, method=b"POST")
    if passes:
        await stage.ask(data)
    else:
        await stage.refuses(data, 403, "cross-site")


@pytest.mark.parametrize("value", [b"Same-Origin", b"same-originx", b"", b"none, cross-site"])
async def test_unknown_site_is_no_pass(stage: Stage, value: bytes) -> None:
    await start(stage)
    await stage.refuses(get(b"/", b"Sec-Fetch-Site: " + value, EVIL), 403, "cross-site")


@pytest.mark.parametrize("second", [b"Sec-Fetch-Site: cross-site", b"sec-fetch-site: none"])
async def test_two_sites_are_no_pass(stage: Stage, second: bytes) -> None:
    await start(stage)
    await stage.refuses(get(b"/", b"Sec-Fetch-Site: same-origin", second, EVIL), 403, "cross-site")


@pytest.mark.parametrize("cross_site", ["refuse", "allow"])
@pytest.mark.parametrize("origins", [(b"Origin: http://web.localhost", EVIL), (EVIL, b"Origin: http://web.localhost")])
async def test_two_origins_are_no_http(stage: Stage, origins: tuple[bytes, ...], cross_site: str) -> None:
    await start(stage, cross_site=cross_site)
    for site in ((), (b"Sec-Fetch-Site: same-origin",)):
        await stage.refuses(get(b"/", *site, *origins), 400, "bad-request")


@pytest.mark.http1
async def test_refused_body_is_not_the_next_request(stage: Stage) -> None:
    """A form post whose body is a request."""
    await start(stage)
    inner = get(b"/smuggled")
    client = await stage.connect()
    await client.send(crlf(b"POST / HTTP/1.1", HOST, EVIL, b"Content-Length: %d" % len(inner)) + inner)
    assert (await client.response()).error == "cross-site"
    client.half_close()
    await client.gone()
    assert stage.origin.untouched()


async def test_guard_looks_at_every_request_of_a_connection(stage: Stage) -> None:
    await start(stage)
    client, up, _ = await stage.ask(get(b"/1"))
    await up.send(OK)
    await client.expect(OK)
    await client.send(get(b"/2", EVIL))
    assert (await client.response()).error == "cross-site"
    assert not up.pending
