"""A command's bytes as lines: colours stay, nothing else reaches the terminal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.run.logs import LONGEST, Lines, harmless, plain


def lines_of(*chunks: bytes) -> list[str]:
    found: list[str] = []
    lines = Lines(found.append)
    for chunk in chunks:
        lines.feed(chunk)
    lines.end()
    return found


def test_lines_come_whole_however_they_are_cut() -> None:
    assert lines_of(b"on", b"e\r\ntw", b"o\n", b"three") == ["one", "two", "three"]
    assert lines_of(b"caf\xc3", b"\xa9\n\xff\n") == ["café", "\ufffd"]


def test_what_was_overwritten_is_not_shown() -> None:
    assert lines_of(b"10 %\r50 %\r100 %\r\n") == ["100 %"]


def test_a_line_without_end_is_cut() -> None:
    found = lines_of(b"x" * (LONGEST * 2 + 5))
    assert [len(line) for line in found] == [LONGEST, LONGEST, 5]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link", "link"),
        ("\x1bcreset\x9b2J", "reset2J"),
        ("a\tb\x00\x7f\u202ec", "a\tbc"),
    ],
)
def test_only_colours_reach_the_terminal(text: str, kept: str) -> None:
    assert harmless(text) == kept


@given(st.lists(st.sampled_from([*"\x1b[]m;0JHc\x07\\\x9bab \t\x00", "\x1b[1m"]), max_size=40).map("".join))
def test_whatever_is_left_is_harmless(text: str) -> None:
    left = re.sub("\x1b\\[[0-?]*[ -/]*m", "", harmless(text))
    assert not re.search("[\x00-\x08\x0a-\x1f\x7f-\x9f]", left)
    assert "\x1b" not in plain(text)
