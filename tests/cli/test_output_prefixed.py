"""Lines behind names."""

import sys

import pytest

from devproxy.cli.output import Prefixed


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
