"""`tcp/request_line.py`: what a browser sends is known by its first line, however it comes; nothing else is."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devproxy.tcp.request_line import LONGEST, is_request

TCHARS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # RFC 9110 §5.6.2
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]
TARGETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60).map(lambda text: "/" + text)


def judged(pieces: list[bytes]) -> bool | None:
    """The verdict as bytes come: the first one that is one."""
    seen = b""
    for piece in pieces:
        seen += piece
        verdict = is_request(seen)
        if verdict is not None:
            return verdict
    return None


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(st.sampled_from(METHODS), TARGETS, st.sampled_from(["1.0", "1.1"]), st.binary(max_size=40), st.data())
def test_what_a_browser_sends_is_known_however_it_comes(
    method: str, target: str, version: str, rest: bytes, data: st.DataObject
) -> None:
    head = f"{method} {target} HTTP/{version}\r\n".encode() + rest
    places = data.draw(st.lists(st.integers(0, 200), max_size=5))
    assert judged(cut(head, places)) is True
    assert judged([bytes([byte]) for byte in head]) is True


@given(st.text(TCHARS, min_size=1, max_size=60), TARGETS, st.binary(max_size=40))
def test_a_page_that_has_fooled_dns_may_use_any_method(method: str, target: str, rest: bytes) -> None:
    assert is_request(f"{method} {target} HTTP/1.1\r\n".encode() + rest) is True


@example(1 << 12, "/", [(1 << 12) + 1])
@given(st.integers(1 << 12, LONGEST - 1), TARGETS, st.lists(st.integers(1 << 12, LONGEST), max_size=3))
def test_a_method_that_is_too_long_for_one_read_is_one(length: int, target: str, places: list[int]) -> None:
    head = b"A" * length + f" {target} HTTP/1.1\r\n".encode()
    assert judged(cut(head, [min(place, len(head)) for place in places])) is True


@given(st.sampled_from([f"{method} " for method in METHODS]), st.binary(max_size=200), st.lists(st.integers(0, 300)))
def test_in_pieces_and_whole_the_verdict_is_the_same(begin: str, rest: bytes, places: list[int]) -> None:
    data = begin.encode() + rest
    assert is_request(data) == judged(cut(data, places))


@pytest.mark.parametrize(
    "first",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",  # PostgreSQL: SSLRequest
        b"*3\r\n$3\r\nSET\r\n",  # Redis
        b"GET key\r\n",  # Redis, inline
        b"GET /a/key\r\n",
        b"get key\r\n",  # memcached
        b"EHLO localhost\r\n",
        b"USER anna\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"a001 LOGIN anna x\r\n",
        b"CONNECT {}\r\n",  # NATS
        b"PUT 1 2 3\r\n",  # beanstalkd, but for its case
        b"OPTIONSX /\r\n",
        b"PING",  # a word, and nothing more until it is answered
        b"a0b1c2d3" * 32,  # a key
        b"HELLO ",
        b"PLAY rtsp://localhost/x RTSP/1.0\r\n",
        b"DESCRIBE /x RTSP/1.0\r\n",
        b"\n",
        b"\r\nGET / HTTP/1.1\r\n",
    ],
)
def test_what_other_protocols_begin_with_passes(first: bytes) -> None:
    assert is_request(first) is False


@pytest.mark.parametrize(
    "first", [b"", b"G", b"POST", b"POST ", b"POST /", b"GET /x HTTP/1.1", b"GET /x HTTP/1.1\r", b"FLUSHALL /x"]
)
def test_more_is_waited_for_while_it_may_be_one(first: bytes) -> None:
    assert is_request(first) is None


def test_one_without_an_end_is_one() -> None:
    assert is_request(b"POST /" + b"a" * LONGEST) is True
    assert is_request(b"A" * LONGEST) is False


@pytest.mark.parametrize("target", ["*", "http://localhost/", "localhost:25"])
def test_a_target_of_any_form_is_one(target: str) -> None:
    assert is_request(f"CONNECT {target} HTTP/1.1\r\n".encode()) is True
