"""`health/postgres.py`: what answers the beginning of a session, in whatever pieces; and what is no PostgreSQL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.health.postgres import STARTUP, SessionReader


def error(code: str, message: str) -> bytes:
    """An ErrorResponse."""
    body = f"SFATAL\0VFATAL\0C{code}\0M{message}\0Fpostmaster.c\0\0".encode()
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body


ANSWERS: list[tuple[bytes, int | str]] = [
    (b"R\0\0\0\x08\0\0\0\0", 0),  # AuthenticationOk
    (b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", 0),
    (error("28000", 'role "postgres" does not exist'), 0),
    (error("57P03", "the database system is starting up"), "the database system is starting up"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers is not PostgreSQL"),
    (b"E\xff\xff\xff\xff", "what answers is not PostgreSQL"),
    (b"-ERR unknown command\r\n", "what answers is not PostgreSQL"),
]


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 100), max_size=4))
def test_an_answer_is_read_in_whatever_pieces_it_comes(case: tuple[bytes, int | str], places: list[int]) -> None:
    answer, expected = case
    ends = sorted({place % (len(answer) + 1) for place in places} | {len(answer)})
    reader, outcome = SessionReader(), None
    for start, end in zip([0, *ends], ends, strict=False):
        outcome = reader.feed(answer[start:end])
        if outcome is not None:
            break
    assert outcome == expected


@given(st.binary(max_size=300))
def test_anything_else_is_an_answer_or_none(data: bytes) -> None:
    outcome = SessionReader().feed(data)
    assert outcome is None or outcome == 0 or isinstance(outcome, str)


def test_what_is_sent_is_a_startup_message() -> None:
    assert int.from_bytes(STARTUP[:4], "big") == len(STARTUP)
    assert STARTUP[4:8] == b"\0\3\0\0"
    assert STARTUP.endswith(b"\0\0")


@pytest.mark.parametrize("answer", [b"", b"E", b"E\0\0\0\x40", error("57P03", "x")[:-1]])
def test_more_is_waited_for(answer: bytes) -> None:
    assert SessionReader().feed(answer) is None
