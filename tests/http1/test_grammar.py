"""Heads by themselves: what is taken, what is refused with which words, and that the work is linear in the input.

What other parsers make of the same bytes: `test_grammar_oracles.py`. Bytes over sockets: `tests/wire/test_bad_head.py`.
"""

import importlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.http1 import fields, framing, grammar
from devproxy.http1.grammar import (
    Fault,
    early_fault,
    explain_fields,
    explain_request_line,
    request_head,
    status_line,
)
from devproxy.proxy import decide, upstream
from devproxy.routing import authority
from devproxy.text import shown_bytes
from tests.proxy.values import fault

FIXED = settings(max_examples=200, deadline=None, derandomize=True, database=None)
PATTERN_MODULES = (grammar, fields, framing, upstream, decide, authority)


def test_a_request_head_is_taken_apart_and_what_follows_is_left() -> None:
    data = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\nbody\r\n\r\n"
    assert request_head(data) == (b"GET", b"/a?b", 1, data.index(b"Host"), data.index(b"body"))
    assert request_head(b"M HTTP/1.0 HTTP/1.0\r\n\r\n") == (b"M", b"HTTP/1.0", 0, 21, 23)


def test_a_status_line_is_taken_apart() -> None:
    data = b"HTTP/1.0 404 Not \xe9 Found\r\nA: b\r\n\r\n"
    assert status_line(data) == (0, 404, b"404 Not \xe9 Found\r\n", data.index(b"A:"), len(data))
    assert status_line(b"HTTP/1.1 200 \r\n\r\n") == (1, 200, b"200 \r\n", 15, 17)
    assert status_line(b"HTTP/1.1 200\r\n\r\n") == (1, 200, b"200 \r\n", 14, 16)  # as it must be passed on


@pytest.mark.parametrize("whole", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nHost: x\r\n\r\n"])
def test_no_part_of_a_head_is_a_head(whole: bytes) -> None:
    read = request_head if whole.startswith(b"GET") else status_line
    assert all(read(whole[:length]) is None for length in range(len(whole)))
    assert read(whole) is not None


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        (b"GET / HTTP/2.0", 505, "HTTP/2.0 is not spoken here"),
        (b"GET / HTTP/0.9", 505, "HTTP/0.9"),
        (b"GET / HTTP/1.2", 505, "HTTP/1.2"),
        (b"GET /", 400, "no HTTP version"),
        (b"GET", 400, "1 parts"),
        (b"", 400, "1 parts"),
        (b"GET / x HTTP/1.1", 400, "4 parts"),
        (b"GET  / HTTP/1.1", 400, "4 parts"),
        (b" GET / HTTP/1.1", 400, "4 parts"),
        (b"GET / HTTP/1.1 ", 400, "4 parts"),
        (b"GET\t/ HTTP/1.1", 400, "no HTTP version"),
        (b"G(T / HTTP/1.1", 400, "the method is not a token: 'G(T'"),
        (b"G\xc3\x89T / HTTP/1.1", 400, "the method is not a token"),
        (b"GET / http/1.1", 400, "the version is malformed: 'http/1.1'"),
        (b"GET / HTTP/1.10", 400, "the version is malformed"),
        (b"GET / HTTP/11", 400, "the version is malformed"),
        (b"GET / RTSP/1.0", 400, "the version is malformed"),
        (b"GET /#a HTTP/1.1", 400, "a fragment"),
        (b"GET /\xc3\xa4 HTTP/1.1", 400, "non-ASCII"),
        (b"GET /\x7f HTTP/1.1", 400, "a control"),
        (b"GET /\0 HTTP/1.1", 400, "a control"),
        (b"GET /a\rb HTTP/1.1", 400, "a control"),
        (b"GET  HTTP/1.1", 400, "there is no request target"),
    ],
)
def test_a_request_line_that_is_none_says_why(line: bytes, status: int, words: str) -> None:
    found = fault(request_head(line + b"\r\nHost: x\r\n\r\n"))
    assert found.status == status
    assert words in found.detail


def test_a_bare_lf_at_the_end_of_the_request_line_is_named() -> None:
    assert "bare LF" in fault(request_head(b"GET /x y\n\r\n\r\n")).detail
    assert "bare LF" in fault(request_head(b"GET / HTTP/1.1\nHost: x\r\n\r\n")).detail


@pytest.mark.parametrize(
    "line",
    [
        b"HTTP/2 200 OK",
        b"HTTP/1.2 200 OK",
        b"http/1.1 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 000 Zero",
        b"HTTP/1.1 600 Six",
        b"HTTP/1.1 999 Nine",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1 200 O\0K",
        b"HTTP/1.1 200 O\x7fK",
        b"HTTP/1.1 200 O\rK",
        b"HTTP/1.1 200 O\nX: y",
        b"\r\nHTTP/1.1 200 OK",
        b"ICY 200 OK",
        b"<html>",
    ],
)
def test_a_status_line_that_is_none_is_shown_escaped(line: bytes) -> None:
    found = fault(status_line(line + b"\r\nA: b\r\n\r\n"))
    assert (found.status, found.code) == (502, "upstream-invalid")
    assert found.detail.isprintable()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"Host: x\nA: b", "field line 1 contains a bare LF"),
        (b"Host: x\r\nA: b\rc", "field line 2 contains a bare CR"),
        (b"Host: x\r\n folded", "field line 2 is folded"),
        (b"\tfolded: x", "field line 1 is folded"),
        (b"Host: x\r\nNothing", "field line 2 has no colon: 'Nothing'"),
        (b"Host : x", "white space before the colon of field line 1"),
        (b"Ho st: x", "a field name that is no token in field line 1"),
        (b": x", "a field name that is no token"),
        (b"A: b\0c", "a control character in the value of `A`"),
        (b"A: \x7f", "a control character in the value of `A`"),
    ],
)
def test_a_field_section_that_is_none_says_why(raw: bytes, words: str) -> None:
    found = explain_fields(raw)
    assert (found.status, found.code) == (400, "bad-request")
    assert words in found.detail


@FIXED
@given(raw=st.binary(max_size=300))
def test_what_is_shown_of_strange_bytes_is_plain_text(raw: bytes) -> None:
    for text in (shown_bytes(raw), explain_fields(raw).detail, explain_request_line(raw + b"\r\n").detail):
        assert text.isprintable()
        assert len(text) < 700
    assert shown_bytes(b"a" * 121).endswith("…")


LINES = st.lists(st.sampled_from([b"GET / HTTP/1.1", b"GET /", b"A: b", b"a" * 20, b"\xff", b"X", b""]), max_size=6)
ENDS = st.lists(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""]), min_size=6, max_size=6)


@settings(FIXED, max_examples=250)
@given(each=LINES, ends=ENDS, cuts=st.lists(st.integers(0, 100), max_size=8))
def test_a_head_that_comes_in_pieces_is_refused_as_soon_as_the_same_bytes_at_once(
    each: list[bytes], ends: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(line + end for line, end in zip(each, ends, strict=False))
    before = 0
    for length in sorted({min(cut, len(data)) for cut in cuts} | {len(data)}):
        found = early_fault(bytearray(data[:length]), max(0, before - 3))
        assert found == early_fault(data[:length], 0)
        if found is not None:
            return
        before = length


class Counted(bytearray):
    """A buffer that counts the bytes which searches in it pass over."""

    passed = 0

    def find(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        at = super().find(sub, start) if end is None else super().find(sub, start, end)
        self.passed += (at if at >= 0 else len(self)) - start
        return at

    def rfind(self, sub: Any, start: Any = 0, end: Any = None) -> int:
        at = super().rfind(sub, start, end)
        self.passed += end - max(at, 0)
        return at


@pytest.mark.parametrize("unit", [b"a", b"A:\r\n", b": ", b"\r\n"])
def test_a_head_that_dribbles_in_is_looked_at_once(unit: bytes) -> None:
    """By counting, not by timing: one byte a read, and the bytes passed over stay a small multiple of those read."""
    buffer = Counted(b"GET / HTTP/1.1\r\n")
    size = 8192
    for byte in (unit * size)[:size]:
        before = len(buffer)
        buffer += bytes([byte])
        assert early_fault(buffer, max(0, before - 3)) is None
    assert buffer.passed < 30 * size


def test_a_request_line_that_dribbles_in_is_looked_at_once() -> None:
    buffer = Counted(b"")
    for _ in range(8192):
        before = len(buffer)
        buffer += b"a"
        assert early_fault(buffer, max(0, before - 3)) is None
    assert buffer.passed < 10 * 8192


def patterns() -> Iterator[tuple[str, re.Pattern[bytes]]]:
    for module in PATTERN_MODULES:
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{module.__name__}.{name}", value


@pytest.mark.parametrize(("name", "pattern"), [pytest.param(*each, id=each[0]) for each in patterns()])
def test_no_expression_can_backtrack_over_and_over(name: str, pattern: re.Pattern[bytes]) -> None:
    """A repetition that may give back is never inside another repetition (which is what makes time explode)."""
    parser: Any = importlib.import_module("re._parser")
    assert nested(parser.parse(pattern.pattern, pattern.flags), inside=False) == 0, name


def nested(parsed: Any, *, inside: bool) -> int:
    """How many unbounded, backtracking repetitions stand inside a repetition."""
    found = 0
    for operation, argument in parsed:
        repeats = str(operation) in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
        again = repeats and argument[1] > 1
        gives_back = again and str(operation) != "POSSESSIVE_REPEAT" and argument[1] > 1000
        found += gives_back and inside
        for part in argument if isinstance(argument, tuple | list) else ():
            for branch in part if isinstance(part, list) else [part]:
                if type(branch).__name__ == "SubPattern":
                    found += nested(branch, inside=inside or again)
    return found


def test_the_check_itself_finds_what_it_looks_for() -> None:
    parser: Any = importlib.import_module("re._parser")
    for text, count in ((rb"(?:a+)+b", 1), (rb"(?:(?:x|a*)y)*", 1), (rb"(?:a++)*+", 0), (rb"a+(?:b*)?", 0)):
        assert nested(parser.parse(text), inside=False) == count, text


HOSTILE = [b":" * 65536, b" " * 65536, b"a" * 65536, b"a:" * 32768, b"\t" * 65536, b"," * 65536, b"\xff" * 65536]


@pytest.mark.parametrize("filler", HOSTILE, ids=lambda filler: repr(filler[:2]))
def test_64_kib_of_anything_anywhere_is_read_or_refused(filler: bytes) -> None:
    """Only pytest's own time limit watches over this one."""
    for data in (
        filler + b"\r\n\r\n",
        b"GET /" + filler + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + filler + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + filler + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: " + filler + b"\r\n\r\n",
    ):
        head = request_head(data)
        if isinstance(head, Fault):
            assert len(head.detail) < 700
            continue
        assert head is not None
        section = fields.section(data[head[3] : head[4] - 4], 256)
        if isinstance(section, fields.Section):
            assert isinstance(framing.request_length(section, 1), int | Fault)
