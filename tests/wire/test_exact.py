"""What you see is what the app sent: lines, fields, order, case, duplicates and paths pass to the byte.

Lives here: messages that need no change, both ways.
Not here: the fields a proxy must drop or add (`test_fields.py`), bodies and their framing (`test_framing.py`).
"""

import pytest

from tests.wire.harness import HOST, OK, Stage, crlf, get

ADDED = (b"x-forwarded-", b"devproxy-chain", b"connection")


def kept(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The fields without those that the proxy adds."""
    return [(name, value) for name, value in fields if not name.lower().startswith(ADDED)]


@pytest.mark.http1
async def test_request_fields_keep_order_case_and_duplicates(wire: Stage) -> None:
    fields = [
        b"x-One: 1",
        b"X-TWO: 2",
        HOST,
        b"Cookie: a=1",
        b"x-one: again",
        b"COOKIE: b=2",
        b"accept: */*",
        b"X-Empty:",
    ]
    _, _, head = await wire.ask(crlf(b"GET / HTTP/1.1", *fields))
    sent = [tuple(part.strip() for part in field.split(b":", 1)) for field in fields]
    assert kept(head.fields) == sent


async def test_response_passes_to_the_byte(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    answer = crlf(
        b"HTTP/1.1 200 Quite All Right",
        b"server: app",
        b"Set-Cookie: a=1; Path=/",
        b"X-Thing: one",
        b"set-cookie: b=2; HttpOnly",
        b"CONTENT-TYPE: text/plain; charset=latin-1",
        b"Content-Length: 5",
        b"X-Thing: two",
        b"X-Empty:",
        b"Set-Cookie: c=3, with comma",
        b"X-Latin: caf\xe9",
    )
    await up.send(answer + b"hello")
    await client.expect(answer + b"hello")


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 299 Odd  reason\twith tab",
        b"HTTP/1.1 404 \xc3\xa9t\xc3\xa9",
        b"HTTP/1.1 599 x",
    ],
)
async def test_status_lines_pass(wire: Stage, line: bytes) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(crlf(line, b"Content-Length: 0"))
    await client.expect(crlf(line, b"Content-Length: 0"))


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/%41%2f%2F%7e~",
        b"//double//slash//",
        b"/a/./b/../c",
        b"/..;/admin",
        b"/a;b=c;d",
        b"/?",
        b"/??a=1&&b=?",
        b"/a?b/../c//d",
        b"/%00%0d%0a",
        b"/%zz%",
        b"/a?q={x}|[y]^`",
        b"/" + b"long/" * 2000,
        b"/!$&'()*+,;=:@-._~",
        b"/http://web.localhost/",
    ],
)
async def test_target_passes_to_the_byte(wire: Stage, target: bytes) -> None:
    _, _, head = await wire.ask(get(target))
    assert head.line == b"GET " + target + b" HTTP/1.1"


@pytest.mark.parametrize("method", [b"DELETE", b"OPTIONS", b"PROPFIND", b"get", b"M-SEARCH", b"X!#$%&'*+-.^_`|~9"])
async def test_method_passes_as_it_is(wire: Stage, method: bytes) -> None:
    client, up, head = await wire.ask(get(b"/m", method=method))
    assert head.line == method + b" /m HTTP/1.1"
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.http1
async def test_nothing_is_invented(wire: Stage) -> None:
    """No Accept-Encoding, User-Agent, content type or framing on a GET that had none."""
    _, up, head = await wire.ask(get(b"/bare"))
    assert kept(head.fields) == [(b"Host", b"web.localhost")]
    await up.send(OK)
    assert not up.pending


@pytest.mark.parametrize(
    "host", [b"web.localhost", b"WEB.LocalHost", b"web.localhost:8080", b"web.localhost.", b"web.localhost:"]
)
async def test_host_passes_as_it_was_written(wire: Stage, host: bytes) -> None:
    _, _, head = await wire.ask(get(host=host))
    assert head.one(b"Host") == host


async def test_twelve_kilobytes_of_cookie(wire: Stage) -> None:
    cookie = b"c=" + b"x" * 12288
    client, up, head = await wire.ask(get(b"/", b"Cookie: " + cookie))
    assert head.one(b"Cookie") == cookie
    answer = crlf(b"HTTP/1.1 200 OK", b"Set-Cookie: " + cookie, b"Content-Length: 0")
    await up.send(answer)
    await client.expect(answer)


async def test_unknown_content_coding_is_not_touched(wire: Stage) -> None:
    body = bytes(range(256)) * 4
    post = crlf(b"POST / HTTP/1.1", HOST, b"Content-Encoding: x-mine", b"Content-Length: 1024")
    client, up, head = await wire.ask(post + body)
    assert head.one(b"Content-Encoding") == b"x-mine"
    await up.expect(body)
    answer = crlf(b"HTTP/1.1 200 OK", b"Content-Encoding: gzip", b"Content-Length: 1024") + body
    await up.send(answer)
    await client.expect(answer)


@pytest.mark.parametrize(
    "location", [b"http://127.0.0.1:5173/x", b"/relative?a=%41", b"https://elsewhere.example/", b"../up"]
)
async def test_location_and_cookies_are_never_rewritten(wire: Stage, location: bytes) -> None:
    client, up, _ = await wire.ask(get())
    answer = crlf(
        b"HTTP/1.1 302 Found",
        b"Location: " + location,
        b"Set-Cookie: s=1; Domain=127.0.0.1; Path=/x",
        b"Content-Length: 0",
    )
    await up.send(answer)
    await client.expect(answer)


async def test_cookies_of_one_client_do_not_reach_another(wire: Stage) -> None:
    first, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Set-Cookie: secret=1", b"Content-Length: 0"))
    await first.head()
    second = await wire.connect()
    await second.send(get(b"/second"))
    head = await up.head()
    assert (head.target, head.all(b"Cookie")) == (b"/second", [])


@pytest.mark.http1
async def test_websocket_fields_without_upgrade_and_odd_names_pass(wire: Stage) -> None:
    odd = [
        b"My_Header: 1",
        b"Sec-WebSocket-Key: x",
        b"Proxy-Status: none",
        b"!#$%&'*+-.^_`|~: v",
        b"Warning: 299 - x",
        b"Via: 1.1 me",
    ]
    _, _, head = await wire.ask(get(b"/", *odd))
    assert kept(head.fields)[1:] == [tuple(line.split(b": ")) for line in odd]
