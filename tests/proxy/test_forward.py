"""What is forwarded, dropped and added: order, case and duplicates to the byte, hop-by-hop fields, loops."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.http1.fields import request_lines, response_lines, upgrade_protocols
from devproxy.http1.framing import CHUNKED, UNTIL_CLOSE, delimited
from devproxy.proxy.forward import CHAIN_LIMIT, added_lines, chain_entry, loop, upstream_authority
from devproxy.registry.model import Upstream
from tests.proxy.values import CLIENT, fields, lines, route, service

FIXED = settings(max_examples=200, deadline=None, derandomize=True, database=None)
HOST = b"Host: web.localhost"


def test_what_is_not_the_connections_own_passes_to_the_byte() -> None:
    each = (
        b"hOsT:web.localhost:7080",
        b"Cookie: a=b",
        b"X-Odd:\t  spaces kept \t",
        b"cookie: c=d",
        b"X-Empty:",
        b"Accept-Encoding: br",
        b"Expect: 100-continue",
        b"Trailer: X-T",
        b"X-\xc3\xa9".replace(b"\xc3\xa9", b"e") + b": \xc3\xa9",
        b"Via: 1.1 other",
        b"Set-Cookie: odd in a request",
    )
    assert request_lines(fields(*each), None) == lines(*each)
    assert response_lines(fields(*each), chunks=True) == lines(*each)


@pytest.mark.parametrize(
    "name",
    [
        *(b"Connection", b"Keep-Alive", b"TE", b"Upgrade", b"Proxy-Connection", b"Proxy-Authorization"),
        *(b"HTTP2-Settings", b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Forwarded-Prefix", b"X_Forwarded_For"),
        *(b"x-forwarded_proto", b"Forwarded", b"X-Real-IP", b"X_Real_IP", b"Devproxy-Chain", b"Devproxy-Error"),
    ],
)
def test_the_connections_own_fields_and_claims_about_the_client_do_not_reach_a_service(name: bytes) -> None:
    for written in (name, name.lower(), name.upper()):
        found = fields(b"A: 1", written + b": x", HOST, written + b":x", b"B: 2")
        assert request_lines(found, None) == lines(b"A: 1", HOST, b"B: 2")


@pytest.mark.parametrize(
    "name", [b"Connection", b"Keep-Alive", b"TE", b"Upgrade", b"Proxy-Connection", b"Proxy-Authenticate"]
)
def test_the_services_own_connection_does_not_reach_a_client(name: bytes) -> None:
    assert response_lines(fields(b"A: 1", name + b": x", b"B: 2"), chunks=True) == lines(b"A: 1", b"B: 2")


def test_what_connection_names_goes_with_it() -> None:
    found = fields(
        HOST, b"Connection: close, X-Hop", b"x-hop: 1", b"connection:\tCookie ,,", b"Cookie: a", b"X-Hop2: 2"
    )
    assert request_lines(found, None) == lines(HOST, b"X-Hop2: 2")
    assert response_lines(found, chunks=True) == lines(HOST, b"X-Hop2: 2")


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"Transfer-Encoding", b"Trailer", b"Expect"])
def test_connection_cannot_name_what_would_change_the_message(name: bytes) -> None:
    line = name + (b": chunked" if name == b"Transfer-Encoding" else b": 5")
    found = fields(b"Connection: " + name.lower(), line, b"A: 1")
    assert request_lines(found, None) == lines(line, b"A: 1")
    assert response_lines(found, chunks=True) == lines(line, b"A: 1")


def test_connection_cannot_take_our_own_fields_away() -> None:
    found = fields(b"Connection: X-Forwarded-For, Devproxy-Chain, X-Forwarded-Host", HOST)
    sent = request_lines(found, None) + added_lines(
        found, route(), CLIENT, b"web.localhost", upgrade=b"", trusted=False
    )
    assert b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: web.localhost\r\n" in sent
    assert sent.endswith(b"Devproxy-Chain: web;")


def test_framing_is_written_where_it_stood() -> None:
    found = fields(HOST, b"content-length:  007", b"A: 1")
    assert request_lines(found, None) == lines(HOST, b"content-length: 7", b"A: 1")
    found = fields(b"A: 1", b"TRANSFER-encoding:CHUNKED", b"B: 2")
    assert response_lines(found, chunks=True) == lines(b"A: 1", b"TRANSFER-encoding: chunked", b"B: 2")
    assert response_lines(found, chunks=False) == lines(b"A: 1", b"B: 2")


def test_another_host_stands_where_the_first_one_stood() -> None:
    assert request_lines(fields(b"A: 1", b"hOSt:x", b"B: 2"), b"y:1") == lines(b"A: 1", b"hOSt: y:1", b"B: 2")
    assert request_lines(fields(b"A: 1"), b"y") == lines(b"Host: y", b"A: 1")


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        (Upstream("http", ("127.0.0.1", "::1"), 5173), b"localhost:5173"),
        (Upstream("http", ("127.0.0.1",), 9000), b"127.0.0.1:9000"),
        (Upstream("https", ("::1",), 9443), b"[::1]:9443"),
        (Upstream("http", path="/run/app.sock"), b"localhost"),
        (None, b"localhost"),
    ],
)
def test_a_service_is_told_its_own_address_where_it_insists(upstream: Upstream | None, expected: bytes) -> None:
    assert upstream_authority(upstream) == expected


def test_a_service_learns_where_a_request_came_from() -> None:
    claims = (b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-Proto: https", b"x-forwarded-host: out.example")
    found = fields(HOST, *claims, b"X-Forwarded-Port: 443", b"Devproxy-Chain: a;1", b"devproxy-chain: b;2")
    plain = added_lines(found, route(b"/api"), CLIENT, b"web.localhost", upgrade=b"", trusted=False)
    assert plain == (
        b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: web.localhost\r\n"
        b"X-Forwarded-Port: 80\r\nDevproxy-Chain: a;1, b;2, web;"
    )
    trusted = added_lines(found, route(b"/api", strip=True), CLIENT, b"x", upgrade=b"websocket", trusted=True)
    assert trusted == (
        b"X-Forwarded-For: 6.6.6.6, 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: out.example\r\n"
        b"X-Forwarded-Port: 443\r\nX-Forwarded-Prefix: /api\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Devproxy-Chain: a;1, b;2, web;"
    )


def test_underscore_spellings_are_not_trusted_either() -> None:
    found = fields(HOST, b"X_Forwarded_Proto: https", b"X-Forwarded_Host: evil")
    added = added_lines(found, route(), CLIENT, b"web.localhost", upgrade=b"", trusted=True)
    assert b"Proto: http\r\nX-Forwarded-Host: web.localhost" in added


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        ((b"Connection: Upgrade", b"Upgrade: websocket"), b"websocket"),
        ((b"connection: keep-alive, uPGRADE", b"upgrade: WebSocket"), b"WebSocket"),
        ((b"Connection: Upgrade", b"Upgrade: h2c, websocket", b"Upgrade: foo/1"), b"websocket, foo/1"),
        ((b"Connection: Upgrade", b"Upgrade: h2c"), b""),
        ((b"Connection: Upgrade", b"Upgrade: H2C"), b""),
        ((b"Connection: Upgrade", b"Upgrade: ,"), b""),
        ((b"Connection: Upgrade",), b""),
        ((b"Upgrade: websocket",), b""),
        ((b"Connection: keep-alive", b"Upgrade: websocket"), b""),
    ],
)
def test_an_upgrade_counts_only_where_connection_names_it_and_never_to_h2c(
    each: tuple[bytes, ...], expected: bytes
) -> None:
    assert upgrade_protocols(fields(*each)) == expected


def test_the_same_request_through_the_same_route_again_is_a_loop() -> None:
    here = route()
    entry = chain_entry(here, b"GET", b"/a")
    assert loop(fields(b"Devproxy-Chain: api;1, " + entry), entry) == ["api", "web", "web"]
    assert loop(fields(b"Devproxy-Chain: api;1", b"devproxy-chain:" + entry), entry) == ["api", "web", "web"]
    for method, target in ((b"POST", b"/a"), (b"GET", b"/b"), (b"GETa", b"/")):
        assert loop(fields(b"Devproxy-Chain: " + entry), chain_entry(here, method, target)) is None
    assert loop(fields(HOST), entry) is None


def test_a_fifth_pass_through_a_route_is_a_loop_whatever_is_asked() -> None:
    here = route()
    passed = [chain_entry(here, b"GET", b"/%d" % number) for number in range(CHAIN_LIMIT)]
    for count in range(CHAIN_LIMIT):
        chain = fields(b"Devproxy-Chain: " + b", ".join(passed[:count])) if count else fields()
        found = loop(chain, passed[-1])
        assert (found is None) is (count < CHAIN_LIMIT - 1)
    other = chain_entry(route(id="web.shop"), b"GET", b"/")
    assert loop(fields(b"Devproxy-Chain: " + b", ".join(passed)), other) is None


@FIXED
@given(value=st.text('aw;eb, \t\xe9"0', max_size=30))
def test_a_forged_chain_harms_nobody(value: str) -> None:
    entry = chain_entry(route(), b"GET", b"/")
    found = loop(fields(b"Devproxy-Chain: " + value.encode("latin-1")), entry)
    assert found is None or found[-1] == "web"


@FIXED
@given(method=st.binary(min_size=1), target=st.binary(), other=st.binary())
def test_an_entry_is_short_and_tells_requests_apart(method: bytes, target: bytes, other: bytes) -> None:
    entry = chain_entry(route(), method, target)
    assert entry.startswith(b"web;")
    assert len(entry) == 12
    assert (chain_entry(route(), method, other) == entry) is (target == other)


@pytest.mark.parametrize(
    ("length", "minor", "expected"),
    [
        *((0, 0, True), (5, 0, True), (5, 1, True), (CHUNKED, 1, True)),
        *((CHUNKED, 0, False), (UNTIL_CLOSE, 0, False), (UNTIL_CLOSE, 1, False)),
    ],
)
def test_a_client_can_tell_the_end_of_some_responses(length: int, minor: int, expected: bool) -> None:
    assert delimited(length, minor) is expected


NAMES = st.sampled_from([b"Cookie", b"cookie", b"X-A", b"Accept", b"Host", b"X-Hop", b"TE", b"Upgrade", b"Referer"])


@FIXED
@given(each=st.lists(st.tuples(NAMES, st.sampled_from([b"", b" 1", b"\t2 "])), max_size=12), hop=st.booleans())
def test_forwarding_is_the_naive_filter(each: list[tuple[bytes, bytes]], hop: bool) -> None:
    written = [name + b":" + value for name, value in each]
    dropped = {b"te", b"upgrade", b"connection"} | ({b"x-hop", b"cookie"} if hop else set())
    kept = [line for line in written if line.partition(b":")[0].lower() not in dropped]
    found = fields(*([b"Connection: x-hop, COOKIE"] if hop else []), *written)
    assert request_lines(found, None) == lines(*kept)
    assert response_lines(found, chunks=True) == lines(*kept)


def test_a_service_in_a_project_is_named_whole_in_the_chain() -> None:
    assert chain_entry(route(id=service("api.shop").id), b"GET", b"/").startswith(b"api.shop;")


CLAIM = st.tuples(
    st.sampled_from(
        [
            *(
                b"X-Forwarded-For",
                b"x-forwarded-for",
                b"X_Forwarded_For",
                b"Forwarded",
                b"X-Real-IP",
                b"X-Forwarded-User",
            ),
            *(
                b"X-Forwarded-Proto",
                b"X-Forwarded-Host",
                b"X-Forwarded-Port",
                b"X-Forwarded-Prefix",
                b"X.Forwarded.For",
            ),
        ]
    ),
    st.sampled_from([b"6.6.6.6", b"https", b"out.example:8443", b"1, 2", b"", b"/p"]),
)


@FIXED
@given(claims=st.lists(CLAIM, max_size=8), trusted=st.booleans(), strip=st.booleans())
def test_a_chain_is_kept_and_added_to_and_everything_else_is_said_once(
    claims: list[tuple[bytes, bytes]], trusted: bool, strip: bool
) -> None:
    found = fields(HOST, *(name + b": " + value for name, value in claims))
    added = added_lines(found, route(b"/api", strip=strip), CLIENT, b"web.localhost", upgrade=b"", trusted=trusted)
    sent = [line.split(b": ", 1) for line in (request_lines(found, None) + added).split(b"\r\n")]
    said = dict(sent)
    assert all(sum(other == name for other, _ in sent) == 1 for name in said if name != b"X-Forwarded-User")

    def claimed(name: bytes) -> list[bytes]:
        return [value for other, value in claims if other.lower() == name and value and trusted]

    assert said[b"X-Forwarded-For"] == b", ".join([*claimed(b"x-forwarded-for"), b"127.0.0.1"])
    assert said[b"X-Forwarded-Proto"] == ([b"http", *claimed(b"x-forwarded-proto")])[-1]
    assert said[b"X-Forwarded-Host"] == ([b"web.localhost", *claimed(b"x-forwarded-host")])[-1]
    prefix = ([b"", *claimed(b"x-forwarded-prefix")])[-1] + (b"/api" if strip else b"")
    assert said.get(b"X-Forwarded-Prefix", b"") == prefix
    chain = claimed(b"forwarded")
    ours = b'for=127.0.0.1;host="web.localhost";proto=http'
    assert said.get(b"Forwarded", b"") == (b", ".join([*chain, ours]) if chain else b"")
    assert [value for name, value in sent if name == b"X-Forwarded-User"] == [
        value for name, value in claims if name == b"X-Forwarded-User"
    ]
    assert not {b"X_Forwarded_For", b"X.Forwarded.For", b"X-Real-IP"} & set(said)


@pytest.mark.parametrize(
    ("each", "port"),
    [
        ((), b"80"),
        ((b"X-Forwarded-Proto: https",), b"443"),
        ((b"X-Forwarded-Host: out.example",), b"80"),
        ((b"X-Forwarded-Host: out.example:8443",), b"8443"),
        ((b"X-Forwarded-Host: out.example", b"X-Forwarded-Proto: HTTPS"), b"443"),
        ((b"X-Forwarded-Host: [::1]:8443", b"X-Forwarded-Port: 9"), b"9"),
    ],
)
def test_the_port_that_a_service_is_told_belongs_to_the_host_that_it_is_told(
    each: tuple[bytes, ...], port: bytes
) -> None:
    peer = CLIENT._replace(port=b"80")
    added = added_lines(fields(HOST, *each), route(), peer, b"web.localhost", upgrade=b"", trusted=True)
    assert b"X-Forwarded-Port: %b\r\n" % port in added
