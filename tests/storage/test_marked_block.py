"""`storage/marked_block.py`: what is ours in another's file is replaced and taken out; all else stays as it was."""

from codecs import BOM_UTF8

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from devproxy.storage.marked_block import (
    DamagedBlockError,
    begin_marker,
    block_lines,
    end_marker,
    with_block,
    without_block,
)

NAME = "devproxy env"
BEGIN, END = begin_marker(NAME), end_marker(NAME)

# files as people and their editors leave them: any bytes, line ends of either kind and both, a byte order mark
PIECE = st.one_of(
    st.sampled_from([b"A=1", b"\n", b"\r\n", b"\r", b" ", b"# >>> other >>>", b"\xff\xfe", "ü".encode(), b"# >>>"]),
    st.binary(max_size=6).filter(lambda raw: b"\0" not in raw),
)
CONTENT = st.builds(lambda bom, parts: bom + b"".join(parts), st.sampled_from([b"", BOM_UTF8]), st.lists(PIECE))
LINE = st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=12)
LINES = st.lists(LINE, max_size=4)


@given(CONTENT, LINES, LINES)
def test_what_was_there_stays_and_comes_back(content: bytes, first: list[str], second: list[str]) -> None:
    once = with_block(content, NAME, first)
    assert once.startswith(content)
    assert block_lines(once, NAME) == first
    assert with_block(once, NAME, first) == once
    twice = with_block(once, NAME, second)
    assert twice == with_block(content, NAME, second)
    assert without_block(twice, NAME) == content == without_block(content, NAME)


@given(CONTENT, CONTENT, LINES, LINES)
def test_what_a_person_adds_below_stays(above: bytes, below: bytes, first: list[str], second: list[str]) -> None:
    below = below.removeprefix(BOM_UTF8)
    once = with_block(above, NAME, first)
    file = once + (below if once.endswith(b"\n") else b"\n" + below)
    changed = with_block(file, NAME, second)
    assert changed.startswith(above)
    assert changed.endswith(below)
    assert block_lines(changed, NAME) == second
    removed = without_block(changed, NAME)
    assert removed.startswith(above)
    assert removed.endswith(below)
    between = removed[len(above) : len(removed) - len(below)]
    # the line end that the file lacked is needed now that something follows it
    assert between in ((b"",) if once.endswith(b"\n") else (b"", b"\n", b"\r\n"))


@given(st.lists(st.sampled_from([BEGIN, END, "A=1", f"  {BEGIN} ", f"{END}\r", f"# {BEGIN}"])), st.booleans())
def test_markers_that_make_no_one_block_are_refused(lines: list[str], ended: bool) -> None:
    markers = [line.strip() for line in lines if line.strip() in (BEGIN, END)]
    assume(markers not in ([], [BEGIN, END]))
    content = ("\n".join(lines) + ("\n" if ended else "")).encode()
    numbers = [number for number, line in enumerate(lines, 1) if line.strip() in (BEGIN, END)]
    for lines_wanted in (["B=2"], None):
        with pytest.raises(DamagedBlockError) as caught:
            with_block(content, NAME, lines_wanted) if lines_wanted else without_block(content, NAME)
        assert caught.value.line == numbers[0]
        assert all(str(number) in caught.value.why for number in numbers)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", f"{BEGIN}\nB=2\n{END}\n"),
        (b"A=1\n", f"A=1\n{BEGIN}\nB=2\n{END}\n"),
        (b"A=1", f"A=1\n{BEGIN}\nB=2\n{END}"),
        (b"A=1\r\nC=3\r\n", f"A=1\r\nC=3\r\n{BEGIN}\r\nB=2\r\n{END}\r\n"),
        (b"A=1\r\nC=3", f"A=1\r\nC=3\r\n{BEGIN}\r\nB=2\r\n{END}"),
        (BOM_UTF8, f"\ufeff{BEGIN}\nB=2\n{END}\n"),
        (f"{BEGIN}\nold\nolder\n{END}\nA=1\n".encode(), f"{BEGIN}\nB=2\n{END}\nA=1\n"),
        (f"\ufeff{BEGIN}\r\nold\n{END}\nA=1".encode(), f"\ufeff{BEGIN}\r\nB=2\r\n{END}\nA=1"),
    ],
)
def test_how_it_looks(before: bytes, after: str) -> None:
    assert with_block(before, NAME, ["B=2"]) == after.encode()


def test_blocks_of_other_names_are_not_touched() -> None:
    both = with_block(with_block(b"A=1\n", "devproxy hosts", ["127.0.0.1 a"]), NAME, ["B=2"])
    assert block_lines(both, "devproxy hosts") == ["127.0.0.1 a"]
    assert without_block(without_block(both, "devproxy hosts"), NAME) == b"A=1\n"


@pytest.mark.parametrize("content", ["A=1\n".encode("utf-16"), b"\0"])
def test_what_is_no_text_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedBlockError, match="no text") as caught:
        with_block(content, NAME, [])
    assert "UTF-8" in caught.value.fix


@pytest.mark.parametrize("line", ["A=1\nB=2", "A\r", END, f" {BEGIN} ", "\0"])
def test_a_line_that_would_break_the_block_is_a_mistake_of_ours(line: str) -> None:
    with pytest.raises(ValueError, match="a line of a block"):
        with_block(b"", NAME, [line])


def test_what_is_said_of_damage() -> None:
    def said(*lines: str) -> tuple[str, str, str, int]:
        with pytest.raises(DamagedBlockError) as caught:
            with_block("\n".join(lines).encode(), NAME, [])
        error = caught.value
        return error.what, error.why, error.fix, error.line

    damaged = "the block `devproxy env` is damaged: "
    assert said("A=1", BEGIN, "B=2") == (
        f"{damaged}the line `{END}` is missing",
        f"`{BEGIN}` stands on line 2",
        "add it where the block ends, or remove what is left of the block",
        2,
    )
    assert said("B=2", END) == (
        f"{damaged}the line `{BEGIN}` is missing",
        f"`{END}` stands on line 2",
        "add it where the block begins, or remove what is left of the block",
        2,
    )
    assert said(BEGIN, END, BEGIN, END) == (
        f"{damaged}its two marker lines must be there once each, in order",
        f"`{BEGIN}` stands on lines 1 and 3; `{END}` stands on lines 2 and 4",
        "keep one block, and remove the others",
        1,
    )
