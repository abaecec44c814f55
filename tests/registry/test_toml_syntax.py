"""`registry/toml.py`: TOML, or the one problem that makes it none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.problems import Problem
from devproxy.registry.toml import parse


def test_data_and_places() -> None:
    parsed = parse("a = 1\n", "/r.toml")
    assert not isinstance(parsed, Problem)
    assert parsed[0] == {"a": 1}
    assert parsed[1].at(("a",)) == (1, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[a]\nb = web\n",
            """\
/r.toml:2:5: error: not TOML: invalid value [syntax]
  why: nothing of a file can be used until all of it can be read
  fix: write strings in quotes, as in "web", and true and false in lower case""",
        ),
        (
            "[a.b]\n[a.b]\n",
            """\
/r.toml:2:5: error: not TOML: cannot declare `a.b` twice [syntax]
  why: nothing of a file can be used until all of it can be read
  fix: the table is there twice: put its keys together""",
        ),
        (
            "x = [1\n\n",
            """\
/r.toml:1:7: error: not TOML: unclosed array [syntax]
  why: nothing of a file can be used until all of it can be read
  fix: close it with ]""",
        ),
        (
            "x = " + "9" * 5000,
            """\
/r.toml:1:1: error: not TOML: a number has too many digits [syntax]
  why: nothing of a file can be used until all of it can be read""",
        ),
        (
            "\nx = " + "[" * 100,
            """\
/r.toml:2:69: error: nested deeper than 64 levels [too-deep]
  why: a registry needs five
  fix: is it the right file?""",
        ),
    ],
)
def test_what_is_said(text: str, said: str) -> None:
    problem = parse(text, "/r.toml")
    assert isinstance(problem, Problem)
    assert problem.text() == said


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=60), st.text("[]{}='\"a.1\n\r#,\\\x1b", max_size=40)))
def test_any_text_is_data_or_one_printable_problem_within_the_text(text: str) -> None:
    parsed = parse(text, "/r.toml")
    if isinstance(parsed, Problem):
        assert parsed.text().replace("\n", "").isprintable()
        assert 1 <= parsed.line <= text.count("\n") + 1
