"""Heads beside h11 and httptools: whatever we accept, both must read the same way; so what they refuse, we refuse.

Agreed exceptions, each because the other parser knows less than it should, none because we are laxer on purpose:

- httptools knows a list of methods, we take any token (RFC 9110 §9.1);
- httptools takes some targets apart as URLs, we only look at their bytes and, in absolute-form, at the authority;
- h11 and httptools write no reason phrase in the same way as an empty one.

The suite runs the same examples every time; `DEVPROXY_FUZZ=20000` runs that many random ones.
"""

import os
import re
import string

from hypothesis import example, given, settings
from hypothesis import strategies as st

from devproxy.http1.fields import without_space
from devproxy.http1.framing import CHUNKED, UNTIL_CLOSE, ChunkedReader
from devproxy.http1.grammar import END
from tests.http1.oracles import (
    Seen,
    h11_request,
    h11_response,
    httptools_request,
    httptools_response,
    mutated,
    our_request,
    our_response,
)

_EXAMPLES = int(os.environ.get("DEVPROXY_FUZZ", "0"))
FUZZ = settings(max_examples=_EXAMPLES or 300, derandomize=not _EXAMPLES, database=None, deadline=None)
BUILT = settings(max_examples=100, deadline=None, derandomize=True, database=None)
_KNOWN_METHODS = frozenset(b"GET HEAD POST PUT DELETE OPTIONS TRACE PATCH PROPFIND REPORT QUERY M-SEARCH".split())
_TOKEN = st.text(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~", min_size=1, max_size=12).map(str.encode)
_VALUE = st.text(bytes([9, *range(32, 127), *range(128, 256)]).decode("latin-1"), max_size=30).map(
    lambda text: text.encode("latin-1")
)
_TARGET_CHARACTERS = bytes(byte for byte in range(0x21, 0x7F) if byte != 0x23).decode()
_TARGET = st.text(_TARGET_CHARACTERS, max_size=30).map(lambda text: b"/" + text.encode())
_FIELD = st.tuples(_TOKEN.map(lambda name: b"X-" + name), _VALUE)

REQUESTS = (
    b"GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n",
    b"GET /a%2Fb/../c?x=1&y=%41 HTTP/1.1\r\nHost: web.localhost:7080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
    b"POST /form HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 5\r\nContent-Type: a/b; c=d\r\n\r\nhello",
    b"PUT /up HTTP/1.1\r\nHost: web.localhost\r\nTransfer-Encoding: chunked\r\nTE: a\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: web.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://web.localhost\r\n\r\n",
    b"HEAD http://web.localhost/abs?q HTTP/1.1\r\nHost: other\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    b"GET /old HTTP/1.0\r\nHost: web.localhost\r\nConnection: keep-alive\r\nCookie: a=b; c=\xe9\r\nCookie: d\r\n\r\n",
    b"DELETE /x HTTP/1.1\r\nhost:web.localhost\r\nX-Empty:\r\nX-Spaces: \t a b \t \r\nx-empty: \r\n\r\n",
)
RESPONSES = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nhello and more",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\nmore",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\ndata: x\n\n",
    b"HTTP/1.0 404 Not Found\r\nServer: old\r\nConnection: close\r\n\r\ngone",
    b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 1000\r\n\r\n',
    b"HTTP/1.1 204 \r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n",
    b"HTTP/1.1 500 Erreur \xe9trange\r\nContent-Length: 0\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
)


def head_of(data: bytes) -> bytes:
    return data[: data.index(END) + 4]


@FUZZ
@given(data=mutated(REQUESTS))
def test_h11_reads_every_request_head_that_we_take_in_the_same_way(data: bytes) -> None:
    ours = our_request(data)
    if ours is None:
        return
    seen, reading = ours
    assert h11_request(data) == seen.lowered
    for name in {name.lower() for name, _ in seen.fields}:
        values = [value for other, value in seen.fields if other.lower() == name]
        assert reading.fields.any(name) == values[0]
        if name in reading.fields.found:
            assert reading.fields.all(name) == values


@FUZZ
@given(data=mutated(REQUESTS))
def test_httptools_reads_every_request_head_that_we_take_in_the_same_way(data: bytes) -> None:
    ours = our_request(data)
    if ours is None or ours[0].first not in _KNOWN_METHODS or not ours[0].second.startswith(b"/"):
        return
    assert httptools_request(head_of(data)) == ours[0]


@FUZZ
@given(data=mutated(RESPONSES), method=st.sampled_from([b"", b"HEAD"]))
@example(data=b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", method=b"")
@example(data=b"HTTP/1.1 200 OK\r\nhost : x\r\nContent-Length: 0\r\n\r\n", method=b"")
def test_h11_reads_every_response_that_we_take_in_the_same_way(data: bytes, method: bytes) -> None:
    ours = our_response(data, method)
    if ours is None:
        return
    seen, plan = ours
    # White space before a colon, which a proxy must take out (RFC 9112 §5.1), h11 refuses.
    head = re.sub(rb"(?m)^([!-9;-~]+)[ \t]+:", rb"\1:", data[: len(plan.head)])
    theirs = h11_response(head + data[len(plan.head) :], method)
    assert theirs is not None
    assert theirs[0] == seen.lowered
    body = data[len(plan.head) :]
    if plan.length >= 0 and plan.status >= 200:
        assert theirs[1:] == (body[: plan.length], len(body) >= plan.length)
    elif plan.length == UNTIL_CLOSE:
        assert theirs[1:] == (body, True)
    elif plan.length == CHUNKED:
        _same_chunks(body, *theirs[1:])


def _same_chunks(body: bytes, payload: bytes, whole: bool) -> None:
    reader = ChunkedReader()
    try:
        ours = reader.feed(body)
    except Exception:
        return  # the strictness of chunks has its own tests
    assert ours == payload
    assert reader.done is whole


@FUZZ
@given(data=mutated(RESPONSES))
def test_httptools_reads_every_response_head_that_we_take_in_the_same_way(data: bytes) -> None:
    ours = our_response(data, b"")
    if ours is not None:
        assert httptools_response(without_space(head_of(data))) == ours[0]  # which it does not forgive


@BUILT
@given(method=_TOKEN, target=_TARGET, minor=st.integers(0, 1), fields=st.lists(_FIELD, max_size=8))
def test_every_well_formed_request_head_is_taken_as_it_was_written(
    method: bytes, target: bytes, minor: int, fields: list[tuple[bytes, bytes]]
) -> None:
    written = [(b"Host", b"web.localhost"), *fields]
    section = b"".join(name + b": " + value + b"\r\n" for name, value in written)
    data = b"%b %b HTTP/1.%d\r\n%b\r\n" % (method, target, minor, section)
    expected = Seen(method, target, minor, [(name, value.strip(b" \t")) for name, value in written])
    ours = our_request(data + b"what follows is not looked at")
    assert method == b"CONNECT" or (ours is not None and ours[0] == expected)
    assert h11_request(data) == expected


@BUILT
@given(status=st.integers(200, 599), reason=_VALUE, minor=st.integers(0, 1), fields=st.lists(_FIELD, max_size=8))
def test_every_well_formed_response_head_is_taken_as_it_was_written(
    status: int, reason: bytes, minor: int, fields: list[tuple[bytes, bytes]]
) -> None:
    section = b"".join(name + b":" + value + b"\r\n" for name, value in fields)
    data = b"HTTP/1.%d %d %b\r\n%b\r\n" % (minor, status, reason, section)
    ours, theirs = our_response(data, b""), h11_response(data, b"")
    assert ours is not None
    assert theirs is not None
    assert ours[0] == theirs[0]
