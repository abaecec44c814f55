"""`http1/h2_fields.py`: a message of one protocol in the other's form, and nothing more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.http1.framing import CHUNKED
from devproxy.http1.h2_fields import Pair, list_of_lines, request_list, response_head
from devproxy.http1.response import ResponseHead, read_response_head

TOKEN = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=12).map(
    lambda text: b"x-" + text.encode()
)
VALUE = st.binary(max_size=30).map(lambda raw: bytes(byte for byte in raw if 0x20 < byte != 0x7F))
FIELDS = st.lists(st.tuples(TOKEN, VALUE), max_size=6)


def read(head: bytes, method: bytes = b"") -> ResponseHead:
    found = read_response_head(head, method, 1 << 16, 100)
    assert isinstance(found, ResponseHead), found
    assert found.head == head
    return found


@given(FIELDS, st.sampled_from([b"GET", b"POST"]), st.sampled_from([b"/", b"/a?b=%20"]))
def test_a_request_keeps_its_fields_and_their_order(fields: list[Pair], method: bytes, target: bytes) -> None:
    lines = b"".join(name.title() + b": " + value + b"\r\n" for name, value in fields)
    head = method + b" " + target + b" HTTP/1.1\r\nHost: a.localhost\r\nConnection: x\r\n" + lines + b"\r\n"
    control = [(b":method", method), (b":scheme", b"http"), (b":authority", b"a.localhost"), (b":path", target)]
    assert request_list(head, b"http") == control + fields


def test_what_speaks_of_the_connection_is_left_out_but_that_trailers_are_taken() -> None:
    lines = b"Host: a\r\nTE: gzip, trailers\r\nConnection: TE\r\nTransfer-Encoding: chunked\r\nKeep-Alive: x\r\n\r\n"
    assert request_list(b"GET / HTTP/1.1\r\n" + lines, b"https")[4:] == [(b"te", b"trailers")]


@given(FIELDS, st.integers(200, 599), st.booleans(), st.sampled_from([b"", b"HEAD"]))
def test_a_response_is_read_as_the_one_it_was(fields: list[Pair], status: int, is_whole: bool, method: bytes) -> None:
    """Whatever its head says, its framing is the stream's."""
    head = response_head([(b":status", b"%d" % status), *fields], method, is_whole=is_whole)
    response = read(head, method)
    assert response.status == status
    passed = [pair for pair in list_of_lines(head.partition(b"\r\n")[2][:-2]) if pair[0][:2] == b"x-"]
    assert passed == fields
    bodiless = method == b"HEAD" or status in (204, 304) or is_whole
    assert response.length == (0 if bodiless else CHUNKED)


@pytest.mark.parametrize(
    ("length", "is_whole", "expected"),
    [(b"5", False, 5), (b"0", False, CHUNKED), (b"0", True, 0), (b"00", False, CHUNKED)],
)
def test_a_length_that_is_told_counts_but_nothing_may_have_trailers(
    length: bytes, is_whole: bool, expected: int
) -> None:
    fields = [(b":status", b"200"), (b"content-length", length)]
    assert read(response_head(fields, b"", is_whole=is_whole)).length == expected
