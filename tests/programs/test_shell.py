"""A shell's text falls into its simple commands, each at its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.programs.shell import replace_words, simple_commands


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("a b", ["a b"]),
        ("a && b || c; d | e & f", ["a", "b", "c", "d", "e", "f"]),
        ("a ';' \"&& x\" \\; b", ["a ';' \"&& x\" \\; b"]),
        ("a > x 2>&1 &>y", ["a > x 2>&1 &>y"]),
        ("(cd x\na)", ["cd x", "a"]),
        ("a 'open; b", ["b"]),
        ("a $(b; c) `d | e` $((1 + (2))) ${F:-g; h}; i", ["a $(b; c) `d | e` $((1 + (2))) ${F:-g; h}", "i"]),
        ("a $(b '(' \")\"; c; d", ["a $", "b '(' \")\"", "c", "d"]),
        ("a \\\n  b", ["a \\\n  b"]),
        ("a # b; c\nd#e \\# ${#f} '#'", ["a", "d#e \\# ${#f} '#'"]),
        ("# a", []),
        ("", []),
        (" ; ", []),
        ("if a; then { b; }; else ! c; fi", ["a", "b", "}", "c", "fi"]),
        ("while a\ndo b then\ndone", ["a", "b then", "done"]),
        ("'then' a; \\then b", ["'then' a", "\\then b"]),
    ],
)
def test_the_simple_commands(text: str, commands: list[str]) -> None:
    assert [text[one.start : one.end] for one in simple_commands(text)] == commands


@pytest.mark.parametrize(
    ("text", "words", "after"),
    [
        ("a b; c", ("a", "b", "--x", "y z"), "a b --x 'y z'; c"),
        ("a b; c", ("a", "--x", "b"), "a --x b; c"),
        ("a $B; c", ("a", "--x", "$B"), "a --x $B; c"),
        ("A='b c' d", ("--x", "A=b c", "d"), "--x A='b c' d"),
        ("a 'b c' 80; d", ("a", "b c", "90"), "a 'b c' 90; d"),
        ("a $B 80; c", ("a", "$B", "--y", "d e", "f"), "a $B --y 'd e' f; c"),
        ("a b c; d", ("a", "c"), "a  c; d"),
        ("a # it; is\nc", ("a", "--x"), "a --x # it; is\nc"),
        ("a $B; c", ("a", "d"), None),
        ("a '*'; c", ("a", "d"), None),
    ],
)
def test_words_are_put_in_place(text: str, words: tuple[str, ...], after: str | None) -> None:
    assert replace_words(text, next(simple_commands(text)), words) == after


def test_a_words_value_is_what_the_program_gets_if_that_can_be_read() -> None:
    text = """a 'b c' "d"'e' $(f g) --h="$(i)" ''"""
    assert next(simple_commands(text)).words == ("a", "b c", "de", "$(f g)", "--h=$(i)", "")


@given(st.text(alphabet="ab '\"\\;&|(){}\n<>$`#=", max_size=40))
def test_commands_are_in_order_and_apart_and_the_same_words_change_nothing(text: str) -> None:
    end = 0
    for one in simple_commands(text):
        assert end <= one.start < one.end <= len(text)
        end = one.end
        assert replace_words(text, one, one.words) == text
