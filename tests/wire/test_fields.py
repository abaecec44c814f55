"""Fields that a proxy drops, keeps or adds.

Lives here: hop-by-hop fields, those named in Connection, forwarded fields and forged ones, h2c (RFC 9110
§7.6).
Not here: fields that pass as they are (`test_exact.py`), Devproxy-Chain (`test_loop.py`), Upgrade (`test_upgrade.py`).
"""

import asyncio
import json
import time
from email.utils import parsedate_to_datetime
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from devproxy.registry.model import Upstream
from tests.wire.harness import HOST, OK, Stage, crlf, get, service

SECRET = b"Authorization: Basic secret"
HOP_BY_HOP = [
    b"Connection: keep-alive",
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: keep-alive",
    b"TE: gzip",
    b"Upgrade: websocket",
    b"HTTP2-Settings: AAMAAABk",
]
CLAIMED = [
    b"X-Forwarded-For: 6.6.6.6",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: evil.example",
    b"X-Forwarded-Port: 443",
    b"X-Forwarded-Prefix: /evil",
    b"x-forwarded-for: 6.6.6.7",
    b"X_Forwarded_For: 6.6.6.6",
    b"X-Forwarded_Host: evil.example",
    b"X_FORWARDED-PROTO: https",
    b"Forwarded: for=6.6.6.6;host=evil.example",
    b"X-Real-IP: 6.6.6.6",
    b"X_Real_IP: 6.6.6.6",
    b"Devproxy-Error: forged",
    b"Devproxy-Warning: forged",
    b"Devproxy_Chain: forged",
    b"Devproxy-Anything: forged",
]


@pytest.mark.http1
@pytest.mark.parametrize("field", HOP_BY_HOP)
async def test_hop_by_hop_request_field_is_removed(wire: Stage, field: bytes) -> None:
    _, _, head = await wire.ask(get(b"/", b"Before: 1", field, b"After: 1"))
    name, value = field.split(b": ")
    assert value not in head.all(name) or name == b"Connection"
    assert (head.one(b"Before"), head.one(b"After")) == (b"1", b"1")


@pytest.mark.http1
@pytest.mark.parametrize("connection", [b"X-Mine", b"x-mine, close", b"keep-alive,,X-MINE ,"])
async def test_fields_named_in_connection_are_removed(wire: Stage, connection: bytes) -> None:
    _, _, head = await wire.ask(get(b"/", b"X-Mine: 1", b"Connection: " + connection, b"X-Other: 2", b"x-mine: 3"))
    assert (head.all(b"X-Mine"), head.one(b"X-Other")) == ([], b"2")
    assert b"x-mine" not in head.tokens(b"Connection")


@pytest.mark.parametrize(
    "named", [b"Host", b"host, close", b"X-Forwarded-For, X-Forwarded-Host", b"Devproxy-Chain", b"x-forwarded-proto"]
)
async def test_connection_cannot_remove_host_or_forwarded_fields(wire: Stage, named: bytes) -> None:
    _, _, head = await wire.ask(get(b"/", b"Connection: " + named))
    assert head.one(b"Host") == b"web.localhost"
    for name in (b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-Forwarded-Port", b"Devproxy-Chain"):
        assert len(head.all(name)) == 1, name


@pytest.mark.parametrize("named", [b"Content-Length", b"content-length, close"])
async def test_connection_cannot_remove_a_length(wire: Stage, named: bytes) -> None:
    _, up, head = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, b"Connection: " + named, b"Content-Length: 2") + b"hi")
    assert head.one(b"Content-Length") == b"2"
    await up.expect(b"hi")


async def test_connection_cannot_remove_a_coding(wire: Stage) -> None:
    data = (
        crlf(b"POST / HTTP/1.1", HOST, b"Connection: transfer-encoding", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"
    )
    _, up, head = await wire.ask(data)
    assert head.one(b"Transfer-Encoding").lower() == b"chunked"
    await up.expect(b"0\r\n\r\n")


@pytest.mark.plain
async def test_forwarded_fields_come_from_the_connection(wire: Stage) -> None:
    _, _, head = await wire.ask(get(host=b"web.localhost:1234"))
    assert head.one(b"X-Forwarded-For") == wire.host.encode()
    assert head.one(b"X-Forwarded-Proto") == b"http"
    assert head.one(b"X-Forwarded-Host") == b"web.localhost:1234"
    assert head.one(b"X-Forwarded-Port") == str(wire.port).encode()


@pytest.mark.plain
@pytest.mark.parametrize("field", CLAIMED)
async def test_what_the_client_claims_is_dropped(wire: Stage, field: bytes) -> None:
    _, _, head = await wire.ask(get(b"/", b"Before: 1", field, b"After: 2"))
    name, value = field.split(b": ")
    assert value not in head.all(name)
    assert not any(part in b" ".join(part for _, part in head.fields) for part in (b"6.6.6", b"evil", b"forged"))
    assert (head.one(b"Before"), head.one(b"After")) == (b"1", b"2")


@pytest.mark.parametrize(
    "field", [b"X-Forwarder: 1", b"Forwarded-Not: 1", b"X-Real-IPs: 1", b"Devproxys: 1", b"Not-X-Forwarded-For: 1"]
)
async def test_names_that_only_look_like_ours_pass(wire: Stage, field: bytes) -> None:
    _, _, head = await wire.ask(get(b"/", field))
    assert head.one(field.split(b":")[0]) == b"1"


@pytest.mark.plain
async def test_a_trusted_proxy_tells_the_way_so_far_and_we_go_on(stage: Stage) -> None:
    await stage.start(trusted_forwarded=True)
    claimed = [
        b"X-Forwarded-For: 6.6.6.6, 7.7.7.7",
        b"x-forwarded-for: 8.8.8.8",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: me.tunnel.example",
        b"X-Forwarded-Prefix: /outer/",
        b"Forwarded: for=6.6.6.6",
        b"X_Forwarded_For: 9.9.9.9",
        b"X-Real-IP: 6.6.6.6",
    ]
    _, _, head = await stage.ask(get(b"/", *claimed))
    assert head.one(b"X-Forwarded-For") == b"6.6.6.6, 7.7.7.7, 8.8.8.8, " + stage.host.encode()
    assert head.one(b"X-Forwarded-Proto") == b"https"
    assert head.one(b"X-Forwarded-Host") == b"me.tunnel.example"
    assert head.one(b"X-Forwarded-Port") == b"443"
    assert head.one(b"X-Forwarded-Prefix") == b"/outer"
    node = f'"[{stage.host}]"' if ":" in stage.host else stage.host
    assert head.one(b"Forwarded") == f'for=6.6.6.6, for={node};host="web.localhost";proto=http'.encode()
    assert [head.all(name) for name in (b"X_Forwarded_For", b"X-Real-IP")] == [[], []]


@pytest.mark.plain
async def test_where_a_trusted_proxy_says_nothing_we_say_what_we_see(stage: Stage) -> None:
    await stage.start(trusted_forwarded=True)
    _, _, head = await stage.ask(get(b"/", host=b"web.localhost:81"))
    assert head.one(b"X-Forwarded-For") == stage.host.encode()
    assert head.one(b"X-Forwarded-Proto") == b"http"
    assert head.one(b"X-Forwarded-Host") == b"web.localhost:81"
    assert head.one(b"X-Forwarded-Port") == str(stage.port).encode()
    assert (head.all(b"Forwarded"), head.all(b"X-Forwarded-Prefix")) == ([], [])


H2C = [
    [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"],
    [b"Connection: Upgrade", b"Upgrade: H2C"],
    [b"Connection: upgrade", b"Upgrade: h2c, foo/1"],
    [b"Connection: HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAAQAAP__"],
    [b"Upgrade: h2c", b"HTTP2-Settings: AA"],
]


@pytest.mark.parametrize("fields", H2C)
async def test_h2c_never_passes(wire: Stage, fields: list[bytes]) -> None:
    client, up, head = await wire.ask(get(b"/", *fields))
    assert head.all(b"HTTP2-Settings") == []
    assert not any(token.startswith(b"h2c") for token in head.tokens(b"Upgrade"))
    assert b"http2-settings" not in head.tokens(b"Connection")
    await up.send(OK)
    await client.expect(OK)


async def test_h2c_granted_by_the_service_does_not_pass(wire: Stage) -> None:
    client, up, _ = await wire.ask(get(b"/", *H2C[0]))
    await up.send(crlf(b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade", b"Upgrade: h2c"))
    assert (await client.response()).error == "upstream-invalid"


@pytest.mark.parametrize(
    "field", [b"Keep-Alive: timeout=5", b"Proxy-Connection: close", b"X-Named: 1", b"Upgrade: h2c", b"TE: x"]
)
async def test_hop_by_hop_response_field_is_removed(wire: Stage, field: bytes) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(
        crlf(b"HTTP/1.1 200 OK", b"A: 1", field, b"Connection: x-named, keep-alive", b"B: 2", b"Content-Length: 0")
    )
    await client.expect(crlf(b"HTTP/1.1 200 OK", b"A: 1", b"B: 2", b"Content-Length: 0"))


async def test_connection_close_of_the_service_is_not_the_clients(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Connection: close", b"Content-Length: 2") + b"ok")
    await client.expect(OK)
    await client.send(get(b"/again"))
    fresh = await wire.origin.accept()
    assert (await fresh.head()).target == b"/again"
    await fresh.send(OK)
    await client.expect(OK)


@pytest.mark.http1
async def test_absolute_form_becomes_origin_form(wire: Stage) -> None:
    _, _, head = await wire.ask(get(b"http://web.localhost:81/a%41?b//", host=b"other.localhost"))
    assert head.target == b"/a%41?b//"
    assert head.one(b"Host") == b"web.localhost:81"
    assert head.one(b"X-Forwarded-Host") == b"web.localhost:81"


@pytest.mark.http1
@pytest.mark.parametrize(
    ("method", "target", "forwarded"),
    [
        (b"GET", b"http://web.localhost", b"/"),
        (b"GET", b"HTTP://WEB.localhost?a", b"/?a"),
        (b"OPTIONS", b"http://web.localhost", b"*"),
        (b"OPTIONS", b"http://web.localhost/", b"/"),
        (b"OPTIONS", b"*", b"*"),
    ],
)
async def test_target_forms(wire: Stage, method: bytes, target: bytes, forwarded: bytes) -> None:
    _, _, head = await wire.ask(get(target, method=method))
    assert head.line == method + b" " + forwarded + b" HTTP/1.1"


@pytest.mark.http1
@pytest.mark.parametrize("target", [b"/", b"http://web.localhost/"])
async def test_host_header_upstream(stage: Stage, target: bytes) -> None:
    await stage.start(service("web", stage.origin, host_header="upstream"))
    _, _, head = await stage.ask(get(target, host=b"web.localhost:99"))
    literal = f"[{stage.host}]" if ":" in stage.host else stage.host
    assert head.one(b"Host") == f"{literal}:{stage.origin.port}".encode()
    assert head.one(b"X-Forwarded-Host") in (b"web.localhost:99", b"web.localhost")


@pytest.mark.parametrize(
    "name", [b"X-Forwarded-User", b"X-Forwarded-Email", b"X-Forwarded-Groups", b"x-forwarded-access-token"]
)
@pytest.mark.parametrize("trusted", [True, False])
async def test_what_devproxy_does_not_set_is_not_its_to_drop(stage: Stage, name: bytes, trusted: bool) -> None:
    await stage.start(trusted_forwarded=trusted)
    _, _, head = await stage.ask(get(b"/", name + b": anna"))
    assert head.one(name) == b"anna"


FOLDED = [
    *(
        b"Content_Length: 5",
        b"content_length:5",
        b"CONTENT_LENGTH: 5",
        b"Content.Length: 5",
        b"Transfer_Encoding: chunked",
    ),
    *(b"TRANSFER_ENCODING: chunked", b"Keep_Alive: x", b"Proxy_Connection: x", b"Proxy_Authorization: x"),
    *(b"Sec_Fetch_Site: same-origin", b"HTTP2_Settings: x", b"Max_Forwards: 0", b"Sec_WebSocket_Key: x"),
]


@pytest.mark.parametrize("field", FOLDED)
@pytest.mark.parametrize("host_header", ["keep", "upstream"])
async def test_names_that_cgi_folds_into_one_with_a_meaning_do_not_pass(
    stage: Stage, field: bytes, host_header: str
) -> None:
    """WSGI, CGI and PHP make `HTTP_CONTENT_LENGTH` of both spellings (RFC 3875 §4.1.18)."""
    await stage.start(service("web", stage.origin, host_header=host_header))
    client, up, head = await stage.ask(get(b"/", b"A_B: 1", field, b"C: 2"))
    assert (head.one(b"A_B"), head.one(b"C")) == (b"1", b"2")
    assert field.partition(b":")[0].lower() not in {name.lower() for name, _ in head.fields}
    await up.send(OK)
    await client.expect(OK)


async def test_a_wsgi_server_sees_what_the_proxy_meant(stage: Stage) -> None:
    """wsgiref folds names as CGI does: none of them is there but by its right name."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen = {name: value for name, value in environ.items() if name.startswith(("HTTP_", "CONTENT_"))}
        body = json.dumps(seen).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    server = make_server("127.0.0.1", 0, application, handler_class=Silent)
    running = asyncio.create_task(asyncio.to_thread(server.serve_forever))
    try:
        await stage.start(service("web", Upstream("http", ("127.0.0.1",), server.server_port)))
        client = await stage.connect()
        await client.send(get(b"/", b"X-Mine: 1", *FOLDED, b"Content-Length: 0", b"Connection: close"))
        seen = json.loads((await client.response()).body)
    finally:
        await asyncio.to_thread(server.shutdown)
        await running
        server.server_close()
    assert (seen["HTTP_X_MINE"], seen["CONTENT_LENGTH"]) == ("1", "0")
    folded = {"HTTP_" + field.partition(b":")[0].decode().upper().replace("-", "_") for field in FOLDED}
    assert not folded & set(seen)


class Silent(WSGIRequestHandler):
    """It writes no log."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


async def test_a_folded_length_in_a_trailer_is_refused(wire: Stage) -> None:
    client, up, _ = await wire.ask(crlf(b"POST / HTTP/1.1", HOST, b"Transfer-Encoding: chunked"))
    await client.send(b"0\r\nContent_Length: 5\r\n\r\n")
    assert (await client.response()).error == "bad-request"
    await up.gone()


@pytest.mark.http1
@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ([b"TE: trailers", b"Connection: TE"], True),
        ([b"te: gzip;q=0.5, Trailers", b"connection: keep-alive, te"], True),
        ([b"TE: deflate", b"TE: trailers", b"Connection: TE"], True),
        ([b"TE: trailers"], True),
        ([b"TE: gzip, trailers2", b"Connection: TE"], False),
        ([b"Connection: TE"], False),
    ],
)
async def test_trailers_are_taken_where_the_client_takes_them(wire: Stage, fields: list[bytes], sent: bool) -> None:
    _, _, head = await wire.ask(get(b"/", *fields))
    assert head.all(b"TE") == ([b"trailers"] if sent else [])
    assert (b"te" in head.tokens(b"Connection")) is sent


@pytest.mark.http1
async def test_trailers_beside_an_upgrade(wire: Stage) -> None:
    _, _, head = await wire.ask(get(b"/", b"Connection: Upgrade, TE", b"Upgrade: foo", b"TE: trailers"))
    assert head.tokens(b"Connection") == [b"upgrade", b"te"]
    assert (head.one(b"TE"), head.one(b"Upgrade")) == (b"trailers", b"foo")


@pytest.mark.http1
async def test_a_client_of_http_1_0_takes_no_trailers(wire: Stage) -> None:
    _, _, head = await wire.ask(crlf(b"GET / HTTP/1.0", HOST, b"TE: trailers", b"Connection: TE"))
    assert head.all(b"TE") == []


@pytest.mark.parametrize("status", [b"200 OK", b"103 Early Hints", b"502 Bad Gateway", b"204 No Content", b"304 No"])
async def test_no_service_speaks_for_devproxy(wire: Stage, status: bytes) -> None:
    forged = [b"Devproxy-Error: starting", b"devproxy-warning: fine", b"DEVPROXY_CHAIN: x"]
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 " + status, b"A: 1", *forged, b"B: 2") + (OK if status[:1] == b"1" else b""))
    assert [name for name, _ in (await client.head()).fields if name.lower().startswith(b"devproxy")] == []


@pytest.mark.http1
async def test_nor_does_it_in_trailers(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(
        crlf(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked")
        + b"2\r\nhi\r\n0\r\nA: 1\r\nDevproxy-Error: x\r\nB : 2\r\n\r\n"
    )
    assert (await client.response()).trailers == [(b"A", b"1"), (b"B", b"2")]


@pytest.mark.http1
@pytest.mark.parametrize("times", [1, 2])
async def test_a_missing_date_is_added(wire: Stage, times: int) -> None:
    """RFC 9110 §6.6.1; the second response is one that was read before."""
    client, up, _ = await wire.ask(get())
    for _ in range(times):
        await up.send(crlf(b"HTTP/1.1 200 OK", b"A: 1", b"Content-Length: 2", dated=False) + b"ok")
        head = await client.head()
        assert [name for name, _ in head.fields] == [b"A", b"Content-Length", b"Date"]
        assert abs(parsedate_to_datetime(head.one(b"Date").decode()).timestamp() - time.time()) < 3600
        await client.expect(b"ok")
        await client.send(get())
        await up.head()


@pytest.mark.http1
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_missing_date_is_added_where_the_connection_ends(wire: Stage, version: bytes) -> None:
    client, up, _ = await wire.ask(crlf(b"GET / HTTP/" + version, HOST, b"Connection: close"))
    await up.send(crlf(b"HTTP/1.1 404 No", b"A: 1", b"X-Y: z", dated=False) + b"ok")
    up.close()
    head = await client.head()
    assert [name for name, _ in head.fields] == [b"A", b"X-Y", b"Connection", b"Date"]


@pytest.mark.parametrize("date", [b"date: x", b"DATE:", b"Date: Sun, 06 Nov 1994 08:49:37 GMT"])
async def test_a_date_of_the_services_is_its_own(wire: Stage, date: bytes) -> None:
    client, up, _ = await wire.ask(get())
    for number in (1, 2):
        answer = crlf(b"HTTP/1.1 200 OK", b"A: %d" % number, date, b"Content-Length: 0", dated=False)
        await up.send(answer)
        await client.expect(answer)
        await client.send(get())
        await up.head()


async def test_an_interim_response_gets_no_date(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(crlf(b"HTTP/1.1 103 Early Hints", b"A: 1"))
    await client.expect(crlf(b"HTTP/1.1 103 Early Hints", b"A: 1"))


SPACED = [b"X : 1", b"Content-Type\t: text/html", b"Set-Cookie \t : a=b"]


@pytest.mark.parametrize("field", SPACED)
async def test_space_before_the_colon_of_a_response_is_taken_out(wire: Stage, field: bytes) -> None:
    """RFC 9112 §5.1; in a request it is refused (`test_bad_head.py`)."""
    client, up, _ = await wire.ask(get())
    name, _, value = field.partition(b":")
    for _ in range(2):
        await up.send(crlf(b"HTTP/1.1 200 OK", field, b"Content-Length : 2") + b"ok")
        await client.expect(crlf(b"HTTP/1.1 200 OK", name.rstrip() + b":" + value, b"Content-Length: 2") + b"ok")
        await client.send(get())
        await up.head()
