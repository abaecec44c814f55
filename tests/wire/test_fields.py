"""Fields that a proxy drops, keeps or adds.

Lives here: hop-by-hop fields, those named in Connection, forwarded fields and forged ones, h2c (RFC 9110
§7.6).
Not here: fields that pass as they are (`test_exact.py`), Devproxy-Chain (`test_loop.py`), Upgrade (`test_upgrade.py`).
"""

import pytest

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


@pytest.mark.parametrize("field", HOP_BY_HOP)
async def test_hop_by_hop_request_field_is_removed(wire: Stage, field: bytes) -> None:
    _, _, head = await wire.ask(get(b"/", b"Before: 1", field, b"After: 1"))
    name, value = field.split(b": ")
    assert value not in head.all(name) or name == b"Connection"
    assert (head.one(b"Before"), head.one(b"After")) == (b"1", b"1")


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


async def test_forwarded_fields_come_from_the_connection(wire: Stage) -> None:
    _, _, head = await wire.ask(get(host=b"web.localhost:1234"))
    assert head.one(b"X-Forwarded-For") == wire.host.encode()
    assert head.one(b"X-Forwarded-Proto") == b"http"
    assert head.one(b"X-Forwarded-Host") == b"web.localhost:1234"
    assert head.one(b"X-Forwarded-Port") == str(wire.port).encode()


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


async def test_a_trusted_tunnel_tells_the_outside_scheme_and_host(stage: Stage) -> None:
    await stage.start(trusted_forwarded=True)
    claimed = [b"X-Forwarded-Proto: https", b"X-Forwarded-Host: me.tunnel.example", b"Forwarded: for=6.6.6.6"]
    _, _, head = await stage.ask(get(b"/", *claimed))
    assert head.one(b"X-Forwarded-Proto") == b"https"
    assert head.one(b"X-Forwarded-Host") == b"me.tunnel.example"
    assert head.all(b"Forwarded") == []


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


async def test_absolute_form_becomes_origin_form(wire: Stage) -> None:
    _, _, head = await wire.ask(get(b"http://web.localhost:81/a%41?b//", host=b"other.localhost"))
    assert head.target == b"/a%41?b//"
    assert head.one(b"Host") == b"web.localhost:81"
    assert head.one(b"X-Forwarded-Host") == b"web.localhost:81"


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


@pytest.mark.parametrize("target", [b"/", b"http://web.localhost/"])
async def test_host_header_upstream(stage: Stage, target: bytes) -> None:
    await stage.start(service("web", stage.origin, host_header="upstream"))
    _, _, head = await stage.ask(get(target, host=b"web.localhost:99"))
    literal = f"[{stage.host}]" if ":" in stage.host else stage.host
    assert head.one(b"Host") == f"{literal}:{stage.origin.port}".encode()
    assert head.one(b"X-Forwarded-Host") in (b"web.localhost:99", b"web.localhost")
