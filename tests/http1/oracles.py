"""Heads as other parsers read them: h11 (pure Python) and httptools (llhttp, Node's parser), beside ours.

Lives here: one function a parser and direction, each from bytes to `Seen`, or None where the parser refuses; and the
bytes to try: realistic heads, and mutations of them.
Not here: what must hold (`test_grammar_oracles.py`), whole messages over sockets (`tests/wire/oracle.py`).
"""

from typing import NamedTuple

import h11
import httptools
from hypothesis import strategies as st

from devproxy.http1.fields import Section, section
from devproxy.http1.grammar import request_head
from devproxy.http1.response import ResponseHead, read_response_head
from devproxy.proxy.decide import Reading, absolute, read, target_fault
from tests.proxy.values import table

Fields = list[tuple[bytes, bytes]]
_BIG = 1 << 22
_TABLE = table()


class Seen(NamedTuple):
    """A head: method and target, or status and reason; the minor version; the fields as they were written."""

    first: bytes
    second: bytes
    minor: int
    fields: Fields

    @property
    def lowered(self) -> "Seen":
        """With transfer codings in lower case, as h11 gives them."""
        return self._replace(
            fields=[(n, v.lower() if n.lower() == b"transfer-encoding" else v) for n, v in self.fields]
        )


def naive(raw: bytes) -> Fields:
    """The fields of a section (lines without the last CRLF), read in the plainest way there is."""
    pairs = [line.partition(b":") for line in raw.split(b"\r\n")] if raw else []
    return [(name, value.strip(b" \t")) for name, _, value in pairs]


def our_request(data: bytes) -> tuple[Seen, Reading] | None:
    """A request head that would be forwarded or answered as a request."""
    head = request_head(data)
    if not isinstance(head, tuple) or len(head) != 5:
        return None
    method, target, minor, start, end = head
    fields = section(data[start : end - 4], 256)
    whole = absolute(method, target)
    if not isinstance(fields, Section) or (whole is None and target_fault(method, target)):
        return None
    reading = read(fields, minor, _TABLE, whole[0] if whole else None)
    return (Seen(method, target, minor, naive(fields.raw)), reading) if isinstance(reading, Reading) else None


def our_response(data: bytes, method: bytes) -> tuple[Seen, ResponseHead] | None:
    """A response head that would be passed on."""
    plan = read_response_head(data, method, 65536, 256)
    if not isinstance(plan, ResponseHead):
        return None
    reason = plan.line.rstrip(b"\r\n")[4:]
    return Seen(b"%d" % plan.status, reason, int(plan.head[7:8]), naive(plan.fields.raw)), plan


def h11_request(data: bytes) -> Seen | None:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_BIG)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.Request):
        return None
    return Seen(event.method, event.target, int(event.http_version[2:]), list(event.headers.raw_items()))


def h11_response(data: bytes, method: bytes) -> tuple[Seen, bytes, bool] | None:
    """The head, the body, and whether that is whole, of a response after which the connection ends."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_BIG)
    asked = [("Host", "x"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
    connection.send(h11.Request(method=method or b"GET", target=b"/", headers=asked))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    try:
        event = connection.next_event()
        if not isinstance(event, h11.Response | h11.InformationalResponse):
            return None
        version, reason = int(event.http_version[2:]), event.reason
        seen = Seen(b"%d" % event.status_code, bytes(reason), version, list(event.headers.raw_items()))
    except h11.RemoteProtocolError:
        return None
    return seen, *_h11_body(connection)


def _h11_body(connection: h11.Connection) -> tuple[bytes, bool]:
    body, ended = b"", False
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Data):
                body += event.data
            elif event is h11.NEED_DATA and not ended:
                ended = True
                connection.receive_data(b"")
            else:
                return body, isinstance(event, h11.EndOfMessage)
    except h11.RemoteProtocolError:
        return body, False


class _Callbacks:
    """What httptools calls; it joins what llhttp gives in pieces."""

    def __init__(self) -> None:
        self.second = b""
        self.fields: Fields = []
        self.complete = False

    def on_url(self, piece: bytes) -> None:
        self.second += piece

    def on_status(self, piece: bytes) -> None:
        self.second += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


def httptools_request(head: bytes) -> Seen | None:
    """`head` must end with its empty line."""
    seen = _Callbacks()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    if not seen.complete:
        return None
    return Seen(parser.get_method(), seen.second, int(parser.get_http_version()[2:]), seen.fields)


def httptools_response(head: bytes) -> Seen | None:
    """`head` must end with its empty line."""
    seen = _Callbacks()
    parser = httptools.HttpResponseParser(seen)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        return None
    if not seen.complete:
        return None
    return Seen(b"%d" % parser.get_status_code(), seen.second, int(parser.get_http_version()[2:]), seen.fields)


_PIECES = (
    *(bytes([byte]) for byte in b"\r\n \t:,;#/?*aZ9\0\x0b\x0c\x1f\x7f\x85\xa0\xff+-0\"'()[]{}\\<>^`|"),
    *(b"\r\n", b"\n\n", b"\r\r", b"\r\n ", b"\r\n\t", b"\r\n\r\n", b"\n ", b" :", b": ", b"::", b", ,", b"chunked"),
    *(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.10", b"HTTP/0.9", b"http/1.1", b"%00", b"%0d%0a", b"://", b"@"),
)
_LINES = (
    *(b"Host: a.localhost", b"Host:", b"host : web.localhost", b"X: y\r\n z", b"X-A:b", b"x-forwarded_for: \t1.2.3.4"),
    *(
        b"Content-Length: 5",
        b"Content-Length: +5",
        b"Content-Length: 5, 5",
        b"Content-Length: 0x5",
        b"Content-Length: 05",
    ),
    *(b"Content-Length : 5", b"Content-Length: 5 5", b"content_length: 5", b"Content-Length:", b"Content-Length: -0"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: ,chunked"),
    *(b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: identity", b"Transfer-Encoding:\r\n chunked"),
    *(b"transfer-encoding: CHUNKED", b"Transfer-Encoding: chunked;a=b", b"Transfer_Encoding: chunked", b"TE: trailers"),
    *(b"Connection: close", b"Upgrade: websocket", b"Connection: Host, Content-Length", b"Foo", b" folded", b"\xe9: x"),
)
_CHANGES = st.one_of(
    st.tuples(st.just("line"), st.integers(0, 12), st.just(0), st.sampled_from(_LINES)),
    st.tuples(st.sampled_from(("in", "over")), st.integers(0, 400), st.integers(1, 3), st.sampled_from(_PIECES)),
    st.tuples(st.sampled_from(("cut", "double")), st.integers(0, 400), st.integers(1, 30), st.just(b"")),
)


@st.composite
def mutated(draw: st.DrawFn, heads: tuple[bytes, ...]) -> bytes:
    """One of `heads`, changed: a field line put in, something else put in or over a piece, a piece cut or doubled."""
    data = draw(st.sampled_from(heads))
    for kind, position, length, new in draw(st.lists(_CHANGES, max_size=3)):
        if kind == "line":
            lines = data.split(b"\r\n")
            lines.insert(position % len(lines), new)
            data = b"\r\n".join(lines)
            continue
        at = position % (len(data) + 1)
        before, piece, after = data[:at], data[at : at + length], data[at + length :]
        data = before + {"in": new + piece, "over": new, "cut": b"", "double": piece + piece}[kind] + after
    return data
