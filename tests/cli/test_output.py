"""What a person sees and what a pipe gets; lines behind names."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.cli import output
from devproxy.cli.output import Prefixed

Capture = pytest.CaptureFixture[str]


def pretend_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make stdout a terminal of 80 columns with colours (in the test itself: pytest swaps streams before it)."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


ROWS = [
    ("web.shop", "http://web.shop.localhost:7080\nhttp://shop.localhost:7080", "localhost:5173", "unknown", "unknown"),
    ("db.shop", "tcp://127.0.0.1:5432", "localhost:54321", "unknown", "unknown"),
]
HEADINGS = ("NAME", "URL", "UPSTREAM", "STATE", "EXPOSURE")


def test_a_pipe_gets_one_plain_line_a_row(capsys: Capture) -> None:
    output.print_table(HEADINGS, ROWS)
    assert capsys.readouterr().out == (
        "NAME      URL                             UPSTREAM         STATE    EXPOSURE\n"
        "web.shop  http://web.shop.localhost:7080  localhost:5173   unknown  unknown\n"
        "db.shop   tcp://127.0.0.1:5432            localhost:54321  unknown  unknown\n"
    )


def test_a_terminal_gets_every_line_of_a_cell(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    output.print_table(HEADINGS, ROWS)
    assert "http://shop.localhost:7080" in capsys.readouterr().out


@pytest.mark.parametrize("width", [30, 50, 77, 80, 132])
def test_a_table_fits_the_terminal_or_becomes_blocks(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    pretend_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "dumb")
    output.print_table(HEADINGS, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line.rstrip()) <= width for line in lines if "://" not in line)
    for url in ("http://web.shop.localhost:7080", "http://shop.localhost:7080", "tcp://127.0.0.1:5432"):
        assert sum(url in line for line in lines) == 1  # never cut, never folded: it can be clicked and copied


@pytest.mark.parametrize("width", [62, 80])
def test_columns_that_may_be_cut_keep_a_row_on_one_line(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    pretend_terminal(monkeypatch)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "dumb")
    rows = [("5173", "127.0.0.1 ::1 192.168.100.200", "exposed", "-", "Vite (pid 4242, somebody-with-a-long-name)")]
    headings = ("PORT", "ADDRESS", "EXPOSURE", "SERVICE", "PROCESS")
    output.print_table(headings, rows, cut=("ADDRESS", "PROCESS"))
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2
    assert lines[1].startswith("5173  127.0.0.1")
    assert max(map(len, lines)) <= width
    assert "…" in lines[1]


@given(
    rows=st.lists(st.tuples(*[st.text(st.sampled_from("ab\n"), max_size=40)] * 3), min_size=1),
    columns=st.sets(st.integers(0, 2)),
    width=st.integers(1, 130),
)
def test_only_what_may_be_cut_is_and_only_where_it_must(
    rows: list[tuple[str, ...]], columns: set[int], width: int
) -> None:
    headings = ("ONE", "TWO", "THREE")
    found = output.shortened(headings, rows, sorted(columns), width)
    before, after = (output.column_widths([headings, *some]) for some in (rows, found))
    for column, (old, new) in enumerate(zip(before, after, strict=True)):
        assert new == old or (column in columns and output.SHORTEST <= new < old)
    if sum(before) + 4 <= width:
        assert found == [list(row) for row in rows]
    elif sum(after) + 4 < width:
        pytest.fail("more was cut than had to be")


def test_colours_only_where_a_person_wants_them(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_terminal(monkeypatch)
    assert output.coloured(sys.stdout)
    assert not output.coloured(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "")
    assert output.coloured(sys.stdout)  # no-color.org: present and not empty
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.coloured(sys.stdout)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not output.coloured(sys.stdout)


def test_no_escape_reaches_a_terminal_that_wants_none(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    output.print_table(HEADINGS, ROWS)
    output.say("done", fg="green", bold=True)
    shown = capsys.readouterr().out
    assert "\x1b[3" not in shown
    assert "done\n" in shown


def test_controls_are_spelt_out(capsys: Capture) -> None:
    output.say("a\x1b[31mb\x9bc\u202ed")
    output.say("line\nline\ttab é 日本")
    assert capsys.readouterr().out == "a\\x1b[31mb\\x9bc\\u202ed\nline\nline\ttab é 日本\n"


def test_json_is_utf8_and_indented(capsys: Capture) -> None:
    output.print_json([{"name": "é"}])
    assert capsys.readouterr().out == '[\n  {\n    "name": "é"\n  }\n]\n'


# Lines behind names


def test_a_pipe_gets_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Prefixed(["web.shop", "db"])
    shown.line("db", "\x1b[31mred\x1b[0m")
    shown.line("web.shop", "x")
    assert capsys.readouterr().out == "db       | red\nweb.shop | x\n"


def test_a_terminal_gets_them_and_they_end_with_the_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    Prefixed(["db"]).line("db", "\x1b[31mred")
    assert capsys.readouterr().out == "\x1b[36mdb | \x1b[0m\x1b[31mred\x1b[0m\n"
