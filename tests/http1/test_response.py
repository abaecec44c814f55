"""Response heads as they are passed on, what follows from them, and answers that are refused."""

from inspect import isdatadescriptor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.http1.framing import CHUNKED, UNTIL_CLOSE
from devproxy.http1.response import ResponseHead, date_line, read_response_head, switch_fault
from tests.proxy.values import fault, lines

FIXED = settings(max_examples=150, deadline=None, derandomize=True, database=None)
CHUNKS = b"Transfer-Encoding: chunked"
KEY, ACCEPT = b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the example of RFC 6455 §1.3


def head(*each: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """A head; that of a final response has a Date."""
    return lines(line, *([] if line[9:10] == b"1" else [b"Date: x"]), *each) + b"\r\n"


def plan(
    *each: bytes, line: bytes = b"HTTP/1.1 200 OK", method: bytes = b"", last: ResponseHead | None = None
) -> ResponseHead:
    found = read_response_head(head(*each, line=line) + b"body", method, 65536, 256, last)
    assert isinstance(found, ResponseHead), found
    return found


def test_a_head_is_read_and_passed_on_to_the_byte() -> None:
    each = (b"content-LENGTH: 5", b"Set-Cookie: a", b"set-cookie:b", b"Content-Encoding: weird", b"X-\x7e:\xff")
    found = plan(*each, line=b"HTTP/1.0 200 Tr\xe8s  bien")
    assert found.head == head(*each, line=b"HTTP/1.0 200 Tr\xe8s  bien")
    assert (found.status, found.length) == (200, 5)
    assert found.plain == head(*each, line=b"HTTP/1.1 200 Tr\xe8s  bien")


@pytest.mark.parametrize(
    ("each", "line", "method", "length", "plain"),
    [
        ((b"Content-Length: 5",), b"HTTP/1.1 200 OK", b"", 5, True),
        ((b"Content-Length: 5",), b"HTTP/1.1 200 OK", b"HEAD", 0, True),
        ((b"Content-Length: 5",), b"HTTP/1.1 304 Not Modified", b"", 0, True),
        ((), b"HTTP/1.1 204 No Content", b"", 0, True),
        ((), b"HTTP/1.1 103 Early Hints", b"", 0, True),
        ((b"Transfer-Encoding: chunked",), b"HTTP/1.1 200 OK", b"", CHUNKED, True),
        ((), b"HTTP/1.1 200 OK", b"", UNTIL_CLOSE, False),
    ],
)
def test_how_long_the_body_is_and_whether_the_clients_connection_may_stay(
    each: tuple[bytes, ...], line: bytes, method: bytes, length: int, plain: bool
) -> None:
    found = plan(*each, line=line, method=method)
    assert (found.length, bool(found.plain)) == (length, plain)


@pytest.mark.parametrize(
    ("line", "each", "reusable"),
    [
        (b"HTTP/1.1 200 OK", (), True),
        (b"HTTP/1.1 200 OK", (b"Connection: Close",), False),
        (b"HTTP/1.1 200 OK", (b"Connection: x", b"Connection: a, close"), False),
        (b"HTTP/1.0 200 OK", (), False),
        (b"HTTP/1.0 200 OK", (b"Connection: Keep-Alive",), True),
        (b"HTTP/1.0 200 OK", (b"Connection: keep-alive, close",), False),
    ],
)
def test_whether_the_services_connection_may_be_used_again(
    line: bytes, each: tuple[bytes, ...], reusable: bool
) -> None:
    assert plan(b"Content-Length: 0", *each, line=line).reusable is reusable


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        (b"timeout=5", 4.0),
        (b"max=100, Timeout=5", 4.0),
        (b"timeout=1", 0.5),
        (b"timeout=0", 0.5),
        (b"timeout=72", 55.0),
        (b"timeout=99999999999999999999", 55.0),
        *(
            (value, 55.0)
            for value in (b"", b"timeout", b"timeout=", b"timeout=-5", b"timeout=5s", b"timeout=\xb2", b"max=5")
        ),
    ],
)
def test_an_idle_connection_is_given_up_before_the_service_does(value: bytes, limit: float) -> None:
    assert plan(b"Keep-Alive: " + value).idle_limit == limit
    assert plan().idle_limit == 55.0


def test_the_head_for_other_clients() -> None:
    found = plan(b"A: 1", b"Transfer-Encoding: chunked", b"Connection: x-hop", b"X-Hop: 1", b"B: 2")
    assert found.plain == head(b"A: 1", b"Transfer-Encoding: chunked", b"B: 2")
    assert found.towards(1, b"close") == head(b"A: 1", b"Transfer-Encoding: chunked", b"B: 2", b"Connection: close")
    assert found.towards(0, b"keep-alive") == head(b"A: 1", b"B: 2", b"Connection: keep-alive")


@pytest.mark.parametrize(
    ("line", "granted"),
    [
        (b"HTTP/1.1 426 Upgrade Required", (b"Connection: Upgrade", b"Upgrade: WebSocket")),
        (b"HTTP/1.1 200 OK", ()),
    ],
)
def test_an_offer_to_switch_passes_where_it_means_something(line: bytes, granted: tuple[bytes, ...]) -> None:
    each = (b"Content-Length: 0", b"Connection: upgrade, x-hop", b"upgrade: WebSocket, h2c", b"X-Hop: 1")
    assert plan(*each, line=line).towards(1, b"") == head(b"Content-Length: 0", *granted, line=line)
    line, granted = b"HTTP/1.1 101 Switching Protocols", (b"Connection: Upgrade", b"Upgrade: WebSocket")
    assert plan(*each, line=line).towards(1, b"") == head(*granted, line=line)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"HTTP/2 200 OK\r\n\r\n", "the status line is not HTTP/1.x: 'HTTP/2 200 OK'"),
        (b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", "the response header is not HTTP: field line 1 contains a bare LF"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "obs-fold"),
        (b"HTTP/1.1 200 OK\r\n : b\r\n\r\n", "obs-fold"),
        (b"HTTP/1.1 200 OK\r\nA b : c\r\n\r\n", "white space before the colon"),
        (b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", "a control character"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "cannot be framed: two lengths"),
        (b"HTTP/1.1 103 Early\r\nContent-Length: 5, 5\r\n\r\n", "cannot be framed"),
        (b"HTTP/1.1 204 No\r\nTransfer-Encoding: gzip\r\n\r\n", "cannot be framed"),
        (head(*[b"A: b"] * 257), "its response header has 258 fields, and the limit is 256 (max_headers)"),
        (head(CHUNKS, CHUNKS), "Transfer-Encoding stands 2 times"),
    ],
)
def test_an_answer_that_is_not_http_is_refused(data: bytes, words: str) -> None:
    found = fault(read_response_head(data, b"", 65536, 256))
    assert (found.status, found.code) == (502, "upstream-invalid")
    assert words in found.detail


def test_a_head_that_is_not_whole_is_waited_for() -> None:
    whole = head(b"Content-Length: 5")
    for length in range(len(whole)):
        assert read_response_head(whole[:length], b"", 65536, 256) is None


@pytest.mark.parametrize(
    "data", [b"x", b"HTTQ", b"\r\n", b" HTTP/1.1", b"HTTP/2.0 200", b"http/1.1", b"<html>", b"SSH-2.0"]
)
def test_what_cannot_become_an_answer_is_refused_at_once(data: bytes) -> None:
    assert "not HTTP/1.x" in fault(read_response_head(data, b"", 65536, 256)).detail


def test_an_answer_has_limits_while_it_comes_and_when_it_is_there() -> None:
    def detail(data: bytes) -> str:
        return fault(read_response_head(data, b"", 100, 256)).detail

    begun = head(b"A: b")[:-2]
    assert "over 100 bytes (max_response_header)" in detail(begun + b"a" * 100)
    assert "over 100 bytes (max_response_header)" in detail(begun + b"a: " + b"a" * 100 + b"\r\n\r\n")
    assert "bare LF" in detail(begun + b"B: c\n")
    assert "bare LF" in detail(b"HTTP/1.1 200 OK\n")


EACH = st.lists(
    st.sampled_from(
        [
            *(b"Date: 1", b"Date: 2", b"DATE: 3", b"X-Id: a", b"Set-Cookie: a", b"Content-Length: 5"),
            *(b"Content-Length: 6", b"Devproxy-Error: x"),
            *(b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: X-Id", b"Keep-Alive: timeout=5"),
            *(b"Connection: upgrade", b"Upgrade: websocket", b"X-Forwarded-For: 1", b"Referer: x"),
        ]
    ),
    max_size=5,
)
STATUS = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.1 200 Fine", b"HTTP/1.0 200 OK", b"HTTP/1.1 304 OK", b"HTTP/1.1 426 "),
        *(b"HTTP/1.1 204 No", b"HTTP/1.1 103 Early"),
    ]
)
HEADS = st.tuples(STATUS, EACH).map(lambda pair: lines(pair[0], *pair[1]) + b"\r\n")


@settings(FIXED, max_examples=400)
@given(first=HEADS, second=HEADS, before=st.sampled_from([b"", b"HEAD"]), method=st.sampled_from([b"", b"HEAD"]))
def test_a_head_means_the_same_whatever_came_before(first: bytes, second: bytes, before: bytes, method: bytes) -> None:
    last = read_response_head(first, before, 65536, 256)
    alone = read_response_head(second, method, 65536, 256)
    after = read_response_head(second, method, 65536, 256, last if isinstance(last, ResponseHead) else None)
    if not isinstance(alone, ResponseHead):
        assert after == alone
        return
    assert isinstance(after, ResponseHead)
    names = [name for name, found in vars(ResponseHead).items() if isdatadescriptor(found) and name[:2] != "__"]
    assert {"_edit", "plain", "status", "undated"} < set(names)
    for name in names:
        if name == "fields":
            continue
        assert getattr(after, name) == getattr(alone, name), name
    assert after.towards(0, b"close") == alone.towards(0, b"close")


@pytest.mark.parametrize(
    ("asked", "key", "each", "words"),
    [
        (b"websocket", KEY, (b"Upgrade: websocket", b"Sec-WebSocket-Accept: " + ACCEPT), None),
        (b"WebSocket", KEY, (b"upgrade: WEBSOCKET", b"sec-websocket-accept:" + ACCEPT), None),
        (b"foo/1, bar", None, (b"Upgrade: bar",), None),
        (b"websocket", None, (b"Upgrade: websocket",), None),
        (b"", None, (b"Upgrade: websocket",), "nobody asked"),
        (b"websocket", KEY, (b"Upgrade: other",), "'websocket' was asked for"),
        (b"websocket", KEY, (), "was asked for"),
        (b"foo/1, bar", None, (b"Upgrade: foo/1, bar",), "was asked for"),
        (b"websocket", KEY, (b"Upgrade: websocket",), "Sec-WebSocket-Accept"),
        (b"websocket", KEY, (b"Upgrade: websocket", b"Sec-WebSocket-Accept: x"), "Sec-WebSocket-Accept"),
        (
            b"websocket",
            KEY,
            (b"Upgrade: websocket", *(b"Sec-WebSocket-Accept: " + ACCEPT,) * 2),
            "Sec-WebSocket-Accept",
        ),
        (b"websocket", b"", (b"Upgrade: websocket", b"Sec-WebSocket-Accept: " + ACCEPT), "Sec-WebSocket-Accept"),
    ],
)
def test_a_switch_must_be_what_was_asked_for_and_prove_it(
    asked: bytes, key: bytes | None, each: tuple[bytes, ...], words: str | None
) -> None:
    found = switch_fault(plan(b"Connection: Upgrade", *each, line=b"HTTP/1.1 101 Switching"), asked, key)
    assert (found is None) if words is None else (words in fault(found).detail)


def test_a_switch_that_connection_does_not_name_is_none() -> None:
    found = switch_fault(plan(b"Upgrade: websocket", line=b"HTTP/1.1 101 Switching"), b"websocket", None)
    assert "was asked for" in fault(found).detail


@FIXED
@given(data=st.binary(max_size=80), start=st.sampled_from([b"", b"HTTP/1.", b"HTTP/1.1 200 OK\r\n"]))
def test_no_bytes_crash_it(data: bytes, start: bytes) -> None:
    for found in (
        read_response_head(start + data + b"\r\n\r\n", b"", 65536, 256),
        read_response_head(start + data, b"", 60, 256),
    ):
        assert found is None or isinstance(found, ResponseHead) or (found.status == 502 and found.detail.isprintable())


@pytest.mark.parametrize(
    ("status", "each", "kept", "reusable"),
    [
        (b"204 No", (b"Content-Length: 0",), (), True),
        (b"204 No", (b"Content-Length: 5",), (), False),
        (b"204 No", (CHUNKS,), (), False),
        (b"100 Go", (b"Content-Length: 5",), (), False),
        (b"103 Hm", (CHUNKS,), (), False),
        (b"101 Up", (b"Content-Length: 0",), (), True),
        (b"304 No", (CHUNKS,), (), False),
        (b"304 No", (b"Content-Length: 5",), (b"Content-Length: 5",), True),
        (b"205 Reset", (b"Content-Length: 0",), (b"Content-Length: 0",), True),
        (b"205 Reset", (CHUNKS,), (CHUNKS,), True),
        (b"404 No", (b"Content-Length: 0",), (b"Content-Length: 0",), True),
    ],
)
def test_framing_stands_only_where_a_body_may_follow(
    status: bytes, each: tuple[bytes, ...], kept: tuple[bytes, ...], reusable: bool
) -> None:
    """RFC 9110 §8.6, RFC 9112 §6.1; where a body was announced that cannot be, it may still come: not used again."""
    line = b"HTTP/1.1 " + status
    found = plan(b"A: 1", *each, b"B: 2", line=line)
    assert found.towards(1, b"") == head(b"A: 1", *kept, b"B: 2", line=line)
    assert found.plain == found.towards(1, b"")
    assert found.reusable is reusable


@pytest.mark.parametrize("line", [b"Content-Length: 5", CHUNKS])
def test_an_answer_to_head_says_how_long_another_would_be(line: bytes) -> None:
    found = plan(line, method=b"HEAD")
    assert (found.length, found.plain, found.reusable) == (0, head(line), True)


def test_no_service_speaks_for_devproxy_but_its_own_pages_do() -> None:
    data = head(b"Devproxy-Error: starting", b"A: 1", b"devproxy_warning: x", b"Content-Length: 0", b"DEVPROXY-X: y")
    found = read_response_head(data, b"", 65536, 256)
    assert isinstance(found, ResponseHead)
    assert found.plain == found.towards(1, b"") == head(b"A: 1", b"Content-Length: 0")
    own = read_response_head(data, b"", 65536, 256, is_own=True)
    assert isinstance(own, ResponseHead)
    assert own.plain == data
    assert not own.simple


def test_space_before_the_colon_is_taken_out() -> None:
    data = lines(b"HTTP/1.1 200 OK", b"Date : x", b"Content-Length \t : 5", b"A: b : c", b"B :d") + b"\r\n"
    found = read_response_head(data, b"", 65536, 256)
    assert isinstance(found, ResponseHead)
    assert (found.head, found.length) == (data, 5)
    assert found.plain == lines(b"HTTP/1.1 200 OK", b"Date: x", b"Content-Length: 5", b"A: b : c", b"B:d") + b"\r\n"
    twice = lines(b"HTTP/1.1 200 OK", b"Content-Length: 5", b"Content-Length : 6") + b"\r\n"
    assert "two lengths" in fault(read_response_head(twice, b"", 65536, 256)).detail


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 OK", b"HTTP/1.1 304 No", b"HTTP/1.1 500 Oh"])
def test_a_missing_date_is_left_to_be_added_and_one_that_is_there_is_kept(line: bytes) -> None:
    data = lines(line, b"Content-Length: 0") + b"\r\n"
    found = read_response_head(data, b"", 65536, 256)
    assert isinstance(found, ResponseHead)
    assert (found.plain, found.undated + b"\r\n") == (b"", data)
    assert plan(b"Content-Length: 0", line=line).undated == b""


def test_the_date_of_a_second() -> None:
    assert date_line(784111777) == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"


@settings(FIXED, max_examples=100)
@given(first=HEADS, cuts=st.lists(st.integers(0, 200), max_size=6))
def test_a_head_that_comes_in_pieces_is_the_same(first: bytes, cuts: list[int]) -> None:
    whole = read_response_head(first, b"", 120, 256)
    found, before = None, 0
    for at in [*sorted({min(cut, len(first)) for cut in cuts}), len(first)]:
        found = read_response_head(first[:at], b"", 120, 256, checked=before)
        before = at
        if found is not None:
            break
    if isinstance(whole, ResponseHead):
        assert isinstance(found, ResponseHead)
        assert (found.head, found.plain, found.undated) == (whole.head, whole.plain, whole.undated)
    else:
        assert found == whole
