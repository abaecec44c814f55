"""`problems.py`: how a problem prints."""

from devproxy.problems import Problem


def test_as_a_compiler_prints_it() -> None:
    problem = Problem(code="syntax", message="it is wrong", file="/f", line=2, column=3, why="because", fix="mend it")
    assert problem.text() == "/f:2:3: error: it is wrong [syntax]\n  why: because\n  fix: mend it"


def test_what_is_not_known_is_not_printed() -> None:
    assert Problem(code="syntax", message="m", file="/f", severity="warning").text() == "/f: warning: m [syntax]"
    assert Problem(code="syntax", message="m", file="/f", line=2).where == "/f:2"
    assert Problem(code="syntax", message="m", file="/f", column=2).where == "/f"
