"""Chunked coding (RFC 9112 §7.1) both ways: however a body is cut into reads, it is the same; h11 agrees; faults are
found. The reader lives in `devproxy/http1/framing.py`."""

import re

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.http1.framing import ChunkedReader, ChunkError, chunk, last_chunk
from tests.proxy.values import lines

FIXED = settings(max_examples=200, deadline=None, derandomize=True, database=None)
SIZES = st.sampled_from([b"%x", b"%X", b"0%x", b"0000%X"])
EXTENSIONS = st.sampled_from(
    [b"", b";a", b";a=b", b';a="b c";d', b'; a\t=  "\xe9\\"" ; b', b" ;a", b'\t \t;\ta;!#$=%&\'*;q=""']
)
PIECES = st.lists(st.tuples(st.binary(min_size=1, max_size=40), SIZES, EXTENSIONS), max_size=6)
TRAILERS = st.lists(st.sampled_from([b"X-T: 1", b"Digest:abc", b"X-Empty:", b"x-t: \xe9 "]), max_size=3)
CUTS = st.lists(st.integers(0, 400), max_size=12)


def written(pieces: list[tuple[bytes, bytes, bytes]], trailers: list[bytes]) -> bytes:
    """A chunked body as some sender might write it."""
    each = [size % len(payload) + extension + b"\r\n" + payload + b"\r\n" for payload, size, extension in pieces]
    return b"".join(each) + b"0\r\n" + lines(*trailers) + b"\r\n"


def fed(data: bytes, cuts: list[int]) -> tuple[ChunkedReader, bytes]:
    """A reader that got `data` cut at these places until it was done, and the payload; `rest` is all that it left."""
    reader, payload, before = ChunkedReader(), b"", 0
    for at in sorted({min(cut, len(data)) for cut in cuts} | {len(data)}):
        payload += reader.feed(data[before:at])
        before = at
        if reader.done:
            reader.rest += data[at:]
            break
    return reader, payload


@FIXED
@given(pieces=PIECES, trailers=TRAILERS, cuts=CUTS, rest=st.sampled_from([b"", b"\r\n", b"GET / HTTP/1.1\r\n", b"0"]))
def test_however_a_body_is_cut_it_is_the_same(
    pieces: list[tuple[bytes, bytes, bytes]], trailers: list[bytes], cuts: list[int], rest: bytes
) -> None:
    reader, payload = fed(written(pieces, trailers) + rest, cuts)
    assert reader.done
    assert payload == b"".join(piece for piece, _, _ in pieces)
    assert reader.trailers == lines(*trailers)
    assert reader.rest == rest


@FIXED
@given(pieces=PIECES, trailers=TRAILERS, length=st.integers(0, 400))
def test_a_body_that_is_not_whole_is_not_done(
    pieces: list[tuple[bytes, bytes, bytes]], trailers: list[bytes], length: int
) -> None:
    whole = written(pieces, trailers)
    reader, payload = fed(whole[: min(length, len(whole) - 1)], [])
    assert not reader.done
    assert b"".join(piece for piece, _, _ in pieces).startswith(payload)


@FIXED
@given(payloads=st.lists(st.binary(min_size=1, max_size=70), max_size=5), trailers=TRAILERS, cuts=CUTS)
def test_what_we_write_reads_back(payloads: list[bytes], trailers: list[bytes], cuts: list[int]) -> None:
    coded = b"".join(map(chunk, payloads)) + last_chunk(lines(*trailers))
    reader, payload = fed(coded, cuts)
    assert (reader.done, payload, reader.trailers, reader.rest) == (True, b"".join(payloads), lines(*trailers), b"")
    assert h11_reads(coded) == (b"".join(payloads), True)


def h11_reads(data: bytes) -> tuple[bytes, bool] | None:
    """The payload that h11 finds, and whether the body is whole; None where it refuses."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    body = b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return body, False
            body += event.data if isinstance(event, h11.Data) else b""
    except h11.RemoteProtocolError:
        return None
    return body, True


SPACED = re.compile(rb"[0-9a-fA-F][ \t]+;")
NASTY = st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b"\t", b"0", b"f", b";", b"g", b"\0", b"x", b"-", b"+", b"\xff"])
CHANGES = st.lists(st.tuples(st.integers(0, 200), st.booleans(), NASTY), min_size=1, max_size=3)


@settings(FIXED, max_examples=400)
@given(pieces=PIECES, trailers=TRAILERS, changes=CHANGES, cuts=CUTS)
def test_h11_reads_every_body_that_we_take_in_the_same_way(
    pieces: list[tuple[bytes, bytes, bytes]],
    trailers: list[bytes],
    changes: list[tuple[int, bool, bytes]],
    cuts: list[int],
) -> None:
    """Whatever is broken in it: what we take as whole, h11 takes as whole, and as the same."""
    data = written(pieces, trailers)
    for position, over, nasty in changes:
        at = position % (len(data) + 1)
        data = data[:at] + nasty + data[at + over :]
    try:
        reader, payload = fed(data, cuts)
    except ChunkError:
        return
    if SPACED.search(data):
        return  # h11 knows no white space between size and extension, which RFC 9112 §7.1.1 allows
    theirs = h11_reads(data)
    assert theirs is not None
    if reader.done:
        assert theirs == (payload, True)
    else:
        assert not theirs[1]


# RFC 9112 §7.1.1 and RFC 9110 §5.6, rule by rule, without the turns that make ours linear.
WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
STRING = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
CHUNK_LINE = re.compile(
    rf"[0-9A-Fa-f]+(?:[ \t]*;[ \t]*{WORD}(?:[ \t]*=[ \t]*(?:{WORD}|{STRING}))?)*\r\n".encode("latin-1")
)
PARTS = [b" ", b"\t", b";", b"=", b'"', b"\\", b"a", b"bc", b"[", b"5", b"\xe9", b"\0", b"\r", b"\n", b'"q"', b'"\\""']


@settings(FIXED, max_examples=1500)
@given(parts=st.lists(st.sampled_from(PARTS), max_size=9))
def test_a_chunk_line_is_taken_where_the_grammar_has_it_and_nowhere_else(parts: list[bytes]) -> None:
    line = b"3" + b"".join(parts) + b"\r\n"
    try:
        reader, payload = fed(line + b"abc\r\n0\r\n\r\n", [])
    except ChunkError:
        assert CHUNK_LINE.fullmatch(line) is None
        return
    assert CHUNK_LINE.fullmatch(line) or payload != b"abc"  # else its size was another one
    assert reader.done or payload != b"abc"


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"g\r\n",
            b"-1\r\n",
            b"+5\r\nhello",
            b"0x5\r\nhello",
            b" 5\r\nhello",
            b"\r\n",
            b";a\r\n",
            b"_5\r\n",
        ),
        *(
            b"5\nhello",
            b"5\rhello",
            b"5\r\rhello",
            b"5;a\nhello",
            b"5;a\0b\r\n",
            b"5;a\rb\r\n",
            b"5" + b" " * 17 + b"\r\n",
            *(b"5 \r\n", b"5\t\r\n", b"5;\r\n", b"5;a \r\n", b"5;;a\r\n", b"5;a=\r\n", b"5;=b\r\n", b"5;bad[=x\r\n"),
            *(b"5;a=b c\r\n", b'5;a="b\r\n', b'5;a="b"c\r\n', b'5;a="\\"\r\n', b"5;a=\xe9\r\n", b"5;a b\r\n"),
            b"5 a\r\n",
        ),
        *(b"1234567890abcdef\r\n", b"5\r\nhello0\r\n", b"5\r\nhello\n0\r\n", b"5\r\nhello\r0", b"5\r\nhello\r\r\n"),
        *(b"0\r\nA\r\n\r\n", b"0\r\nA: b\nC: d\r\n\r\n", b"0\r\nA : b\r\n\r\n", b"0\r\n A: b\r\n\r\n"),
        *(b"0\r\nHost: x\r\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\n\n", b"0\n\n", b"0\r\nA: b\n"),
        *(b"1;" + b"a" * 1024, b"1;" + b"a" * 1024 + b"\r\n", b"0\r\nA: " + b"b" * 16385, b"0\r\nA: b\rc\r\n\r\n"),
    ],
    ids=lambda data: repr(data[:24]),
)
def test_a_malformed_body_is_refused_however_it_is_cut(data: bytes) -> None:
    for cuts in ([], list(range(len(data))) if len(data) < 100 else [3]):
        with pytest.raises(ChunkError):
            fed(data, cuts)


def test_chunk_extensions_have_a_limit_in_all() -> None:
    line = b"1;" + b"e" * 999 + b"\r\nx\r\n"
    reader = ChunkedReader()
    assert reader.feed(line * 16) == b"x" * 16
    with pytest.raises(ChunkError, match="16384 bytes of chunk extensions"):
        reader.feed(line)


@pytest.mark.parametrize("data", [b"5;aaaa", b"fffff", b"0\r\nA: b", b"5\r\nhello\r"])
def test_it_holds_at_most_one_unfinished_line_and_no_payload(data: bytes) -> None:
    reader = ChunkedReader()
    reader.feed(b"ff\r\n" + b"p" * 255 + b"\r\n" + data)
    assert len(reader._held) <= len(data)
    reader = ChunkedReader()
    reader.feed(b"ffffff\r\n" + b"p" * 1000)
    assert reader._held == b""


def test_a_read_within_one_chunk_is_passed_on_without_a_copy() -> None:
    reader, data = ChunkedReader(), b"p" * 1000
    reader.feed(b"%x\r\n" % 3000)
    assert reader.feed(data) is data
