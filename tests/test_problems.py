"""`problems.py`: how a problem prints, and that text of a file never reaches a message raw."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.problems import Problem, Wrong, refuse_unseen


def test_as_a_compiler_prints_it() -> None:
    problem = Problem(code="syntax", message="it is wrong", file="/f", line=2, column=3, why="because", fix="mend it")
    assert problem.text() == "/f:2:3: error: it is wrong [syntax]\n  why: because\n  fix: mend it"


def test_what_is_not_known_is_not_printed() -> None:
    assert Problem(code="syntax", message="m", file="/f", severity="warning").text() == "/f: warning: m [syntax]"
    assert Problem(code="syntax", message="m", file="/f", line=2).where == "/f:2"
    assert Problem(code="syntax", message="m", file="/f", column=2).where == "/f"


# Text of a file never reaches a message raw


@pytest.mark.parametrize("text", ["", "plain", "tab and break are told apart", "äöü 漢字 🙂", "a\u00a0b"])
def test_what_can_be_seen_passes(text: str) -> None:
    refuse_unseen(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [("\x1b[2J", "\\x1b"), ("a\x00", "\\x00"), ("\x9b", "\\x9b"), ("\u202eabc", "\\u202e"), ("\ufeff", "\\ufeff")],
)
def test_what_cannot_be_seen_is_refused_by_name(text: str, name: str) -> None:
    with pytest.raises(Wrong) as caught:
        refuse_unseen(text, breaks=True)
    assert caught.value.code == "control-character"
    assert name in caught.value.what
    assert (caught.value.what + caught.value.fix).isprintable()


def test_line_ends_are_for_scripts() -> None:
    refuse_unseen("a\n\tb\r\n", breaks=True)
    for text in ("a\n", "a\tb", "a\r"):
        with pytest.raises(Wrong):
            refuse_unseen(text)


@settings(deadline=None, max_examples=500)
@given(st.characters(categories=["Cc", "Zl", "Zp"]))
def test_every_control_character_is_refused(char: str) -> None:
    assert unicodedata.category(char) in ("Cc", "Zl", "Zp")
    with pytest.raises(Wrong):
        refuse_unseen(char)
