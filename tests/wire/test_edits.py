"""Fields that the registry changes: `request_headers`, `response_headers`, `strip_rewrite`, `origin_header`.

Not here: each rule (`tests/http1/test_edits.py`), what a file may say (`tests/registry/golden/`).
"""

from typing import Any

import pytest

from devproxy.registry.model import HeaderEdits, Mount
from tests.wire.harness import HOST, OK, Stage, crlf, get, service

REQUEST = HeaderEdits(remove=("cookie",), set=(("X-User", "anna"),), add=(("Accept", "text/x"),))
RESPONSE = HeaderEdits(remove=("x-frame-options",), set=(("Cache-Control", "no-store"),), add=(("Set-Cookie", "b=2"),))


async def test_a_request_is_changed_as_the_registry_says_each_time(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, request_headers=REQUEST))
    client, up, head = await stage.ask(get(b"/", b"Cookie: a", b"x-user: eve", b"X_User: eve", b"A: 1", b"Accept: */*"))
    for number in (1, 2):
        assert (head.all(b"Cookie"), head.one(b"X-User"), head.one(b"A")) == ([], b"anna", b"%d" % number)
        assert head.all(b"X_User") == []  # one variable with the other where names are CGI's
        assert head.all(b"Accept") == [b"*/*", b"text/x"]
        assert head.one(b"X-Forwarded-Host") == b"web.localhost"
        await up.send(OK)
        await client.expect(OK)
        await client.send(get(b"/", b"Cookie: b", b"A: %d" % (number + 1), b"Accept: */*", b"X-USER: eve"))
        head = await up.head()


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_response_is_changed_as_the_registry_says_each_time(stage: Stage, version: bytes) -> None:
    await stage.start(service("web", stage.origin, response_headers=RESPONSE))
    ask = crlf(b"GET / HTTP/" + version, HOST, b"Connection: keep-alive")
    client, up, _ = await stage.ask(ask)
    for number in (1, 2, 2):
        fields = [b"X-Frame-Options: DENY", b"cache-control: public", b"Set-Cookie: a=1", b"X: %d" % number]
        await up.send(crlf(b"HTTP/1.1 200 OK", *fields, b"Content-Length: 2") + b"ok")
        message = await client.response()
        assert (message.body, message.head.all(b"X-Frame-Options")) == (b"ok", [])
        assert message.head.one(b"Cache-Control") == b"no-store"
        assert message.head.all(b"Set-Cookie") == [b"a=1", b"b=2"]
        assert message.head.one(b"X") == b"%d" % number
        await client.send(ask)
        await up.head()


async def test_what_two_routes_to_one_address_change_is_kept_apart(stage: Stage) -> None:
    """A head that one has remembered is not the other's."""
    mount = Mount("other.localhost", "/m", response_headers=HeaderEdits(set=(("X-Where", "mount"),)))
    edits: dict[str, Any] = {"response_headers": HeaderEdits(set=(("X-Where", "host"), ("X-All", "1")))}
    await stage.start(service("web", stage.origin, mounts=(mount,), **edits), service("plain", stage.origin))
    wanted = {(b"web", b"/"): [b"host"], (b"other", b"/m/x"): [b"mount"], (b"plain", b"/"): []}
    for _ in range(2):
        for (name, target), where in wanted.items():
            client, up, _ = await stage.ask(get(target, b"Connection: close", host=name + b".localhost"))
            await up.send(OK)
            message = await client.response()
            assert message.head.all(b"X-Where") == where, name
            assert message.head.all(b"X-All") == ([] if name == b"plain" else [b"1"])
            await stage.origin.forget()


async def test_an_edit_is_taken_up_by_a_connection_that_is_open(stage: Stage) -> None:
    await stage.start(service("web", stage.origin))
    client, up, _ = await stage.ask(get())
    await up.send(OK)
    await client.expect(OK)
    stage.swap(service("web", stage.origin, request_headers=REQUEST, response_headers=RESPONSE))
    await client.send(get())
    up = await stage.origin.accept()
    assert (await up.head()).one(b"X-User") == b"anna"
    await up.send(OK)
    assert (await client.response()).head.one(b"Cache-Control") == b"no-store"


async def test_interim_responses_are_left_alone(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, response_headers=RESPONSE))
    client, up, _ = await stage.ask(get())
    hints = crlf(b"HTTP/1.1 103 Early Hints", b"Link: </a>")
    await up.send(hints + OK)
    await client.expect(hints)
    assert (await client.response()).head.one(b"Cache-Control") == b"no-store"


def api(stage: Stage, **options: Any) -> Any:
    mount = Mount("shop.localhost", "/api", strip=True, strip_rewrite=options.pop("rewrite", True))
    return service("api", stage.origin, mounts=(mount,), **options)


@pytest.mark.parametrize("rewrite", [True, False])
async def test_places_below_a_mount_are_moved_where_that_is_asked_for(stage: Stage, rewrite: bool) -> None:
    await stage.start(api(stage, rewrite=rewrite))
    client, up, head = await stage.ask(
        get(b"/api/a", b"Destination: http://shop.localhost/api/b", method=b"MOVE", host=b"shop.localhost")
    )
    assert head.target == b"/a"
    assert head.one(b"Destination") == (b"http://shop.localhost/b" if rewrite else b"http://shop.localhost/api/b")
    fields = [b"Location: /login", b"Content-Location: http://shop.localhost/b", b"Set-Cookie: s=1; Path=/"]
    moved = [b"Location: /api/login", b"Content-Location: http://shop.localhost/api/b", b"Set-Cookie: s=1; Path=/api"]
    answer = crlf(b"HTTP/1.1 302 Found", *fields, b"Content-Length: 0")
    await up.send(answer)
    await client.expect(crlf(b"HTTP/1.1 302 Found", *moved, b"Content-Length: 0") if rewrite else answer)


async def test_a_service_that_names_itself_by_its_address_is_moved_too(stage: Stage) -> None:
    await stage.start(api(stage, host_header="upstream"))
    client, up, head = await stage.ask(
        get(b"/api/a", b"Destination: http://shop.localhost/api/b", method=b"COPY", host=b"shop.localhost")
    )
    own = head.one(b"Host")
    assert head.one(b"Destination") == b"http://%b/b" % own
    await up.send(crlf(b"HTTP/1.1 201 Created", b"Location: http://%b/b" % own, b"Content-Length: 0"))
    await client.expect(crlf(b"HTTP/1.1 201 Created", b"Location: /api/b", b"Content-Length: 0"))


@pytest.mark.parametrize("origin_header", ["keep", "upstream"])
async def test_origin_and_referer_follow_host_where_that_is_asked_for(stage: Stage, origin_header: str) -> None:
    await stage.start(service("web", stage.origin, host_header="upstream", origin_header=origin_header))
    _, _, head = await stage.ask(
        get(b"/", b"Origin: http://web.localhost", b"Referer: http://web.localhost/a", b"X: http://web.localhost")
    )
    name = head.one(b"Host") if origin_header == "upstream" else b"web.localhost"
    assert (head.one(b"Origin"), head.one(b"Referer")) == (b"http://" + name, b"http://" + name + b"/a")
    assert head.one(b"X") == b"http://web.localhost"


async def test_the_guard_reads_what_the_client_sent(stage: Stage) -> None:
    """No edit makes a page from elsewhere one of the service's own."""
    edits = HeaderEdits(set=(("Origin", "http://web.localhost"), ("Sec-Fetch-Site", "same-origin")))
    options: dict[str, Any] = {"host_header": "upstream", "origin_header": "upstream", "request_headers": edits}
    await stage.start(service("web", stage.origin, **options))
    client = await stage.connect()
    await client.send(get(b"/", b"Origin: http://evil.example"))
    assert (await client.response()).status == 403
    assert stage.origin.untouched()
