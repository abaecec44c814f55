"""Request heads with a fault: refused with the right status, the connection closed, and nothing reaches the service.

Lives here: request smuggling vectors and every other fault of a head (RFC 9112 §§2–6; RFC 9110 §§5, 7.2).
Not here: faults in bodies (`test_bad_body.py`), limits and time (`test_limits.py`), hosts that are no route
(`test_routing.py`).
"""

import asyncio
import ssl

import pytest

from tests.wire.harness import HOST, OK, Stage, crlf, get

pytestmark = pytest.mark.http1  # it speaks of what HTTP/1.1 alone has

CL, TE = b"Content-Length: 5", b"Transfer-Encoding: chunked"
BODY = b"0\r\n\r\nG"


def head(*fields: bytes, line: bytes = b"POST / HTTP/1.1") -> bytes:
    return crlf(line, HOST, *fields)


FRAMING = {
    "CL+TE": head(CL, TE) + BODY,
    "TE+CL": head(TE, CL) + BODY,
    "two CLs differ": head(CL, b"Content-Length: 6") + BODY,
    "two CLs same": head(CL, CL) + BODY,
    "CL plus": head(b"Content-Length: +5") + BODY,
    "CL minus": head(b"Content-Length: -5") + BODY,
    "CL list": head(b"Content-Length: 5, 5") + BODY,
    "CL empty": head(b"Content-Length:") + BODY,
    "CL hex": head(b"Content-Length: 0x5") + BODY,
    "CL underscore": head(b"Content-Length: 1_0") + BODY,
    "CL space inside": head(b"Content-Length: 5 5") + BODY,
    "CL not ASCII digit": head("Content-Length: ٥".encode()) + BODY,
    "CL enormous": head(b"Content-Length: " + b"9" * 40) + BODY,
    "CL decimal": head(b"Content-Length: 5.0") + BODY,
    "TE chunked twice": head(b"Transfer-Encoding: chunked, chunked") + BODY,
    "TE two fields": head(TE, TE) + BODY,
    "TE chunked not last": head(b"Transfer-Encoding: chunked, gzip") + BODY,
    "TE empty": head(b"Transfer-Encoding:") + BODY,
    "TE empty member": head(b"Transfer-Encoding: ,chunked") + BODY,
    "TE vertical tab": head(b"Transfer-Encoding: \x0bchunked") + BODY,
    "TE quoted": head(b'Transfer-Encoding: "chunked"') + BODY,
    "TE on 1.0": head(TE, line=b"POST / HTTP/1.0") + BODY,
    "TE identity, CL": head(b"Transfer-Encoding: identity", CL) + BODY,
    "TE then obs-fold": head(b"Transfer-Encoding:\r\n chunked", CL) + BODY,
    "TE space before colon": head(b"Transfer-Encoding : chunked") + BODY,
}

FIELDS = {
    "space before colon": head(b"X : 1"),
    "tab before colon": head(b"X\t: 1"),
    "no colon": head(b"NoColon"),
    "no name": head(b": value"),
    "space in name": head(b"X Y: 1"),
    "name not ASCII": head(b"X\xe9: 1"),
    "name control": head(b"X\x01: 1"),
    "obs-fold": head(b"X: a\r\n b"),
    "obs-fold tab": head(b"X: a\r\n\tb"),
    "first field folded": b"GET / HTTP/1.1\r\n Host: web.localhost\r\n\r\n",
    "NUL in value": head(b"X: a\x00b"),
    "DEL in value": head(b"X: a\x7fb"),
    "escape in value": head(b"X: \x1b[31m"),
    "vertical tab in value": head(b"X: a\x0bb"),
    "bare CR in value": head(b"X: a\rb"),
    "bare LF in field": head(b"X: a\nY: b"),
    "CR CR LF": b"GET / HTTP/1.1\r\nHost: web.localhost\r\r\n\r\n",
    "bare LF after line": b"GET / HTTP/1.1\nHost: web.localhost\r\n\r\n",
    "bare LF all": b"GET / HTTP/1.1\nHost: web.localhost\n\n",
    "bare LF at end": b"GET / HTTP/1.1\r\nHost: web.localhost\r\n\n",
    "bare LF after field": b"GET / HTTP/1.1\r\nHost: web.localhost\n\r\n",
}

LINES = {
    "no version": b"GET /\r\n\r\n",
    "two spaces": head(line=b"GET  / HTTP/1.1"),
    "trailing space": head(line=b"GET / HTTP/1.1 "),
    "leading space": head(line=b" GET / HTTP/1.1"),
    "tab": head(line=b"GET\t/ HTTP/1.1"),
    "space in target": head(line=b"GET /a b HTTP/1.1"),
    "fragment": head(line=b"GET /a#b HTTP/1.1"),
    "raw UTF-8": head(line="GET /é HTTP/1.1".encode()),
    "raw latin": head(line=b"GET /\xe9 HTTP/1.1"),
    "control in target": head(line=b"GET /\x01 HTTP/1.1"),
    "DEL in target": head(line=b"GET /\x7f HTTP/1.1"),
    "NUL in target": head(line=b"GET /\x00 HTTP/1.1"),
    "CR in target": head(line=b"GET /\r HTTP/1.1"),
    "empty target": head(line=b"GET  HTTP/1.1"),
    "relative target": head(line=b"GET index.html HTTP/1.1"),
    "star without OPTIONS": head(line=b"GET * HTTP/1.1"),
    "authority-form": head(line=b"GET web.localhost:80 HTTP/1.1"),
    "no method": head(line=b" / HTTP/1.1"),
    "method not a token": head(line=b"GE(T / HTTP/1.1"),
    "method not ASCII": head(line=b"G\xc9T / HTTP/1.1"),
    "version lower case": head(line=b"GET / http/1.1"),
    "version short": head(line=b"GET / HTTP/1"),
    "version long": head(line=b"GET / HTTP/1.10"),
    "version leading zero": head(line=b"GET / HTTP/01.1"),
    "version letters": head(line=b"GET / HTTP/a.b"),
    "other protocol": head(line=b"GET / RTSP/1.0"),
    "two empty lines first": b"\r\n\r\n" + get(),
    "bare LF first": b"\n" + get(),
    "HTTP/0.9 bare LF": b"GET /\n",
    "status line": b"HTTP/1.1 200 OK\r\nHost: web.localhost\r\n\r\n",
}

HOSTS = {
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "no Host on 1.0": b"GET / HTTP/1.0\r\n\r\n",
    "two Hosts": head(b"Host: other.localhost"),
    "two Hosts same": head(HOST),
    "empty": get(host=b""),
    "space": get(host=b"web localhost"),
    "userinfo": get(host=b"user@web.localhost"),
    "path": get(host=b"web.localhost/x"),
    "port letters": get(host=b"web.localhost:abc"),
    "port too high": get(host=b"web.localhost:65536"),
    "port endless": get(host=b"web.localhost:" + b"8" * 30),
    "two ports": get(host=b"web.localhost:80:80"),
    "half a bracket": get(host=b"[::1"),
    "not IPv6": get(host=b"[web.localhost]"),
    "not ASCII": get(host=b"w\xe9b.localhost"),
    "angle": get(host=b"<script>.localhost"),
    "backslash": get(host=b"web.localhost\\x"),
    "absolute-form without Host": b"GET http://web.localhost/ HTTP/1.1\r\n\r\n",
    "absolute-form with userinfo": get(b"http://user@web.localhost/"),
    "absolute-form without authority": get(b"http:///x"),
    "absolute-form bad port": get(b"http://web.localhost:x/"),
    "other scheme": get(b"ftp://web.localhost/"),
    "CONNECT": get(b"web.localhost:443", method=b"CONNECT"),
    "CONNECT path": get(b"/", method=b"CONNECT"),
}

BAD = {
    f"{group}: {name}": data
    for group, table in (("framing", FRAMING), ("field", FIELDS), ("line", LINES), ("host", HOSTS))
    for name, data in table.items()
}


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in BAD.items()])
async def test_fault_in_a_head(wire: Stage, data: bytes) -> None:
    message = await wire.refuses(data, 400, "bad-request")
    assert message.head.tokens(b"Connection") == [b"close"]


@pytest.mark.parametrize(
    "data", [pytest.param(BAD[name], id=name) for name in ("framing: CL+TE", "field: obs-fold", "host: two Hosts")]
)
async def test_connection_is_closed_and_what_follows_is_not_read(wire: Stage, data: bytes) -> None:
    client = await wire.connect()
    await client.send(data + get(b"/smuggled"))
    assert (await client.response()).status == 400
    assert await client.gone() == b""
    assert wire.origin.untouched()


@pytest.mark.parametrize(
    "coding", [b"x-unknown", b"gzip, chunked", b"br", b"x-unknown, chunked", b"chunked\r\nTransfer-Encoding: x"]
)
async def test_unknown_coding_is_501(wire: Stage, coding: bytes) -> None:
    await wire.refuses(head(b"Transfer-Encoding: " + coding) + BODY, 501, "unsupported-coding")


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9", b"HTTP/3.0", b"HTTP/1.2", b"HTTP/9.9"])
async def test_other_version_is_505(wire: Stage, version: bytes) -> None:
    await wire.refuses(head(line=b"GET / " + version), 505, "unsupported-version")


async def test_http_2_preface_behind_a_request_is_505(wire: Stage) -> None:
    """At the front of a connection it begins HTTP/2 (`test_h2.py`)."""
    client, up, _ = await wire.ask(get(b"/good") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    await up.send(OK)
    await client.expect(OK)
    assert (await client.response()).status == 505
    await client.gone()


@pytest.mark.parametrize("name", ["framing: CL+TE", "field: space before colon", "line: fragment", "host: two Hosts"])
async def test_fault_after_a_good_request(wire: Stage, name: str) -> None:
    """The good one is served, the bad one refused, and the service sees the good one only."""
    client, up, first = await wire.ask(get(b"/good") + BAD[name])
    assert first.target == b"/good"
    await up.send(OK)
    await client.expect(OK)
    assert (await client.response()).error == "bad-request"
    await client.gone()
    assert not up.pending


@pytest.mark.parametrize("name", ["field: bare LF in field", "line: fragment", "framing: CL+TE"])
async def test_fault_that_comes_byte_by_byte(wire: Stage, name: str) -> None:
    client = await wire.connect()
    for byte in BAD[name]:
        await client.try_send(bytes([byte]))
    assert (await client.response()).error == "bad-request"
    assert wire.origin.untouched()


async def test_one_empty_line_before_a_request_is_skipped(wire: Stage) -> None:
    client, up, first = await wire.ask(b"\r\n" + get(b"/first"))
    assert first.target == b"/first"
    await up.send(OK)
    await client.expect(OK)
    await client.send(b"\r\n" + get(b"/second"))
    assert (await up.head()).target == b"/second"
    await up.send(OK)
    await client.expect(OK)


async def test_a_body_is_never_read_as_a_request(wire: Stage) -> None:
    inner = get(b"/smuggled")
    client, up, _ = await wire.ask(head(b"Content-Length: %d" % len(inner)) + inner + get(b"/second"))
    await up.expect(inner)
    await up.send(OK)
    await client.expect(OK)
    assert (await up.head()).target == b"/second"


async def test_head_may_come_in_pieces(wire: Stage) -> None:
    client = await wire.connect()
    for byte in get(b"/slowly", b"X-Long: " + b"y" * 200):
        await client.send(bytes([byte]))
    up = await wire.origin.accept()
    assert (await up.head()).target == b"/slowly"
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize(
    "fields",
    [(HOST,), (b"X : 1",), (CL, TE), (b"Transfer-Encoding: x",), (b"X: " + b"y" * 70000,)],
    ids=lambda fields: fields[0][:20].decode(),
)
async def test_refusal_of_head_has_no_body(wire: Stage, fields: tuple[bytes, ...]) -> None:
    """What is wrong stands behind the request line, so the method is known (RFC 9110 §9.3.2)."""
    client = await wire.connect()
    await client.send(head(*fields, line=b"HEAD / HTTP/1.1"))
    assert (await client.response(b"HEAD")).status in (400, 431, 501)
    assert await client.gone() == b""


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)) * 2


@pytest.mark.parametrize("data", [HELLO, HELLO[:2], HELLO[:3], b"\r\n" + HELLO, HELLO[:9] + b"\r\n\r\n"])
@pytest.mark.parametrize("by_byte", [False, True])
async def test_a_tls_handshake_is_answered_at_once_with_a_sentence(wire: Stage, data: bytes, by_byte: bool) -> None:
    client = await wire.connect()
    for piece in [data[at : at + 1] for at in range(len(data))] if by_byte else [data]:
        await client.try_send(piece)
    message = await client.response()
    assert (message.status, message.error) == (400, "tls-on-http-port")
    assert message.head.one(b"Content-Type") == b"text/plain; charset=utf-8"
    assert b"plain HTTP" in message.body
    assert b"use http://" in message.body
    assert message.body.count(b"\n") == 1
    assert await client.gone() == b""
    await wire.passes()


@pytest.mark.plain
@pytest.mark.parametrize("data", [HELLO, HELLO[:9] + b"\r\n\r\n"])
async def test_a_tls_handshake_is_told_where_https_is(wire: Stage, data: bytes) -> None:
    for port, named in ((7443, True), (None, False)):
        wire.proxy.https_port = port
        client = await wire.connect()
        await client.try_send(data)
        assert (b"port 7443" in (await client.response()).body) is named


@pytest.mark.plain
async def test_a_tls_client_says_what_it_met(wire: Stage) -> None:
    """Python's ssl names an HTTP answer: it has read ours, and not waited for the end of a deadline."""
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError, match=r"(?i)http.request|wrong.version|record"):
        await asyncio.open_connection(wire.host, wire.port, ssl=context, server_hostname="web.localhost")


@pytest.mark.parametrize(
    "data", [b"\x05\x01\x00", b"\x04\x01", b"\x00\x00\x00\x08\x04\xd2", b"\x80\x2e\x01\x00\x02", b"{", b"\xff", b" "]
)
async def test_what_begins_no_request_is_refused_at_once(wire: Stage, data: bytes) -> None:
    """SOCKS, PostgreSQL, SSLv2: none of them ends in a line that could be waited for."""
    await wire.refuses(data, 400, "bad-request")
