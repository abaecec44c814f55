"""Where bodies end: the cases of RFC 9112 §6.3 as a table, and what trailers may hold. Chunks: `test_chunks.py`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.http1.framing import CHUNKED, UNTIL_CLOSE, ChunkError, checked_trailers, request_length, response_length
from tests.proxy.values import fault, fields, lines

FIXED = settings(max_examples=200, deadline=None, derandomize=True, database=None)


@pytest.mark.parametrize(
    ("each", "minor", "expected"),
    [
        ((), 1, 0),
        ((), 0, 0),
        ((b"Content-Length: 0",), 1, 0),
        ((b"Content-Length: 5",), 1, 5),
        ((b"Content-Length: 5",), 0, 5),
        ((b"content-length:\t 0005 ",), 1, 5),
        ((b"Content-Length: 999999999999999999",), 1, 999999999999999999),
        ((b"Transfer-Encoding: chunked",), 1, CHUNKED),
        ((b"transfer-encoding:\tCHUNKED ",), 1, CHUNKED),
        ((b"Content_Length: 5", b"Transfer_Encoding: chunked", b"X-Content-Length: 5"), 1, 0),
    ],
)
def test_the_body_of_a_request_is_as_long_as_its_fields_say(each: tuple[bytes, ...], minor: int, expected: int) -> None:
    assert request_length(fields(*each), minor) == expected


CHUNKS = b"Transfer-Encoding: chunked"
FIVE = b"Content-Length: 5"


@pytest.mark.parametrize(
    ("each", "minor", "status", "words"),
    [
        ((FIVE, CHUNKS), 1, 400, "both Content-Length and Transfer-Encoding"),
        ((CHUNKS, FIVE), 1, 400, "both Content-Length and Transfer-Encoding"),
        ((CHUNKS, b"Content-Length:"), 1, 400, "both Content-Length and Transfer-Encoding"),
        ((CHUNKS, FIVE), 0, 400, "both Content-Length and Transfer-Encoding"),
        ((CHUNKS,), 0, 400, "Transfer-Encoding in an HTTP/1.0 request"),
        ((FIVE, FIVE), 1, 400, "two lengths"),
        ((FIVE, b"content-length: 6"), 1, 400, "two lengths"),
        ((b"Content-Length: 5, 5",), 1, 400, "not a number of bytes"),
        ((b"Content-Length: 5 5",), 1, 400, "not a number of bytes"),
        ((b"Content-Length: +5",), 1, 400, "not a number of bytes"),
        ((b"Content-Length: -5",), 1, 400, "not a number of bytes"),
        ((b"Content-Length: 0x5",), 1, 400, "not a number of bytes"),
        ((b"Content-Length: 5.0",), 1, 400, "not a number of bytes"),
        ((b"Content-Length: 1_0",), 1, 400, "not a number of bytes"),
        ((b"Content-Length: \xb2",), 1, 400, "not a number of bytes"),
        ((b"Content-Length:",), 1, 400, "not a number of bytes"),
        ((b"Content-Length: 1000000000000000000",), 1, 400, "not a number of bytes"),
        ((b"Transfer-Encoding:",), 1, 400, "malformed"),
        ((b"Transfer-Encoding: ,chunked",), 1, 400, "malformed"),
        ((b"Transfer-Encoding: chunked,",), 1, 400, "malformed"),
        ((b"Transfer-Encoding: chun ked",), 1, 400, "malformed"),
        ((b"Transfer-Encoding: \xa0chunked",), 1, 400, "malformed"),
        ((b"Transfer-Encoding: chunked, chunked",), 1, 400, "must be the last"),
        ((CHUNKS, CHUNKS), 1, 400, "stands 2 times, and must stand once"),
        ((b"Transfer-Encoding: chunked, gzip",), 1, 400, "must be the last"),
        ((b"Transfer-Encoding: gzip",), 1, 400, "must be the last"),
        ((b"Transfer-Encoding: identity",), 1, 400, "must be the last"),
        ((b"Transfer-Encoding: chunked;a=b",), 1, 400, "must be the last"),
        ((b"Transfer-Encoding: gzip, chunked",), 1, 501, "are not carried"),
        ((b"Transfer-Encoding: gzip", CHUNKS), 1, 501, "are not carried"),
        ((b"Transfer-Encoding: br, chunked",), 1, 501, "not known here"),
        ((b"Transfer-Encoding: xchunked",), 1, 501, "not known here"),
    ],
)
def test_a_request_whose_end_is_in_doubt_is_refused(
    each: tuple[bytes, ...], minor: int, status: int, words: str
) -> None:
    found = fault(request_length(fields(*each), minor))
    assert found.status == status
    assert words in found.detail


@pytest.mark.parametrize(
    ("each", "minor", "status", "method", "expected"),
    [
        ((), 1, 200, b"", UNTIL_CLOSE),
        ((), 0, 200, b"", UNTIL_CLOSE),
        ((FIVE,), 1, 200, b"", 5),
        ((FIVE,), 0, 404, b"", 5),
        ((CHUNKS,), 1, 200, b"", CHUNKED),
        ((), 1, 204, b"", 0),
        ((), 1, 304, b"", 0),
        ((), 1, 100, b"", 0),
        ((), 1, 103, b"", 0),
        ((), 1, 200, b"HEAD", 0),
        ((FIVE,), 1, 200, b"HEAD", 0),
        ((CHUNKS,), 1, 200, b"HEAD", 0),
        ((FIVE,), 1, 304, b"", 0),
        ((CHUNKS,), 1, 304, b"", 0),
        ((FIVE,), 1, 204, b"", 0),
        ((FIVE,), 1, 103, b"", 0),
        ((b"Content-Length: 0",), 1, 205, b"", 0),
    ],
)
def test_the_body_of_a_response_is_as_long_as_its_fields_status_and_method_say(
    each: tuple[bytes, ...], minor: int, status: int, method: bytes, expected: int
) -> None:
    assert response_length(fields(*each), minor, status, method) == expected


@pytest.mark.parametrize("status", [100, 200, 204, 304])
@pytest.mark.parametrize("method", [b"", b"HEAD"])
@pytest.mark.parametrize(
    ("each", "minor"),
    [
        ((FIVE, CHUNKS), 1),
        ((FIVE, FIVE), 1),
        ((b"Content-Length: 5, 5",), 1),
        ((b"Content-Length: five",), 1),
        ((CHUNKS,), 0),
        ((CHUNKS, CHUNKS), 1),
        ((b"Transfer-Encoding: gzip",), 1),
        ((b"Transfer-Encoding: gzip, chunked",), 1),
        ((b"Transfer-Encoding: identity",), 1),
    ],
)
def test_a_response_whose_end_is_in_doubt_is_refused_whatever_it_answers(
    each: tuple[bytes, ...], minor: int, method: bytes, status: int
) -> None:
    found = fault(response_length(fields(*each), minor, status, method))
    assert (found.status, found.code) == (502, "upstream-invalid")


@pytest.mark.parametrize(
    "line",
    [b"X-Checksum: abc", b"grpc-status: 0", b"Server-Timing: db;dur=5", b"Digest:", b"X: \xe9", b"Set-Cookie: a"],
)
def test_trailers_pass_to_the_byte(line: bytes) -> None:
    assert checked_trailers(lines(line, b"x:y")) == lines(line, b"x:y")


@pytest.mark.parametrize(
    "name",
    [
        *(b"Transfer-Encoding", b"Content-Length", b"Host", b"HOST", b"Connection", b"Upgrade", b"TE", b"Trailer"),
        *(b"Keep-Alive", b"Proxy-Authorization", b"X-Forwarded-For", b"x_forwarded-for", b"X-Real-IP", b"Forwarded"),
        *(b"Devproxy-Chain", b"devproxy_chain"),
    ],
)
def test_trailers_must_not_hold_framing_routing_or_forwarding(name: bytes) -> None:
    for each in ((name + b": 1",), (b"A: b", name + b": 1")):
        with pytest.raises(ChunkError, match="must not stand in trailers"):
            checked_trailers(lines(*each))


@pytest.mark.parametrize(
    "raw", [b"A\r\n", b" A: b\r\n", b"A : b\r\n", b"A: b\nC: d\r\n", b"A: \0\r\n", lines(*[b"A: b"] * 65)]
)
def test_trailers_that_are_no_fields_or_too_many_are_refused(raw: bytes) -> None:
    with pytest.raises(ChunkError, match="in the trailers"):
        checked_trailers(raw)


def test_trailers_have_a_limit() -> None:
    with pytest.raises(ChunkError, match="over 16384 bytes"):
        checked_trailers(lines(b"A: " + b"b" * 16384))


CODINGS = st.sampled_from([b"chunked", b"gzip", b"identity", b"br", b"", b"CHUNKED", b"chunked;q=1", b"x y"])


@FIXED
@given(codings=st.lists(CODINGS, min_size=1, max_size=3), lengths=st.lists(st.integers(0, 9), max_size=2))
def test_only_chunked_alone_or_one_length_alone_gives_a_length(codings: list[bytes], lengths: list[int]) -> None:
    each = [b"Transfer-Encoding: " + b", ".join(codings)] + [b"Content-Length: %d" % length for length in lengths]
    good = [coding.lower() for coding in codings] == [b"chunked"] and not lengths
    assert (request_length(fields(*each), 1) == CHUNKED) is good
    assert (response_length(fields(*each), 1, 200, b"") == CHUNKED) is good
