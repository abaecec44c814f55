"""What `devproxy health` prints, line by line."""

import pytest

from devproxy.cli import health
from devproxy.cli.health import about, print_report
from devproxy.health.model import Condition, Finding
from tests.health.things import service

EXPOSED = Condition(
    state="up",
    why="accepts connections at 127.0.0.1:5173",
    exposure="exposed",
    findings=(
        Finding(
            code="exposed",
            severity="warning",
            message="node can be reached from beyond this machine on port 5173",
            proof="a connection to 192.168.1.20:5173 was accepted",
            who="pid 42 (anna): node vite --host",
            fix="Vite: change `--host` to `--host 127.0.0.1`",
            command="node vite --host 127.0.0.1",
        ),
        Finding(code="family", severity="note", message="one family only"),
    ),
)
FINE = Condition(state="up", why="accepts connections at 127.0.0.1:3000", exposure="loopback")
DOWN = Condition(state="down", why="nothing listens on port 3001")
CONDITIONS = {"web.shop": EXPOSED, "api": FINE, "db": DOWN}
SERVICES = [service("web.shop"), service("api"), service("db")]


def test_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(SERVICES, CONDITIONS, notes=False)
    out, err = capsys.readouterr()
    assert out == (
        "web.shop  up        accepts connections at 127.0.0.1:5173; others can reach it\n"
        "  exposed  node can be reached from beyond this machine on port 5173\n"
        "  proof    a connection to 192.168.1.20:5173 was accepted\n"
        "  who      pid 42 (anna): node vite --host\n"
        "  fix      Vite: change `--host` to `--host 127.0.0.1`\n"
        "  run      node vite --host 127.0.0.1\n"
        "\n"
        "api       up        accepts connections at 127.0.0.1:3000\n"
        "db        down      nothing listens on port 3001\n"
    )
    assert err == "\n3 services: 2 up, 1 down, 1 exposed\n"


def test_notes_where_they_are_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(SERVICES[:1], CONDITIONS, notes=True)
    assert "  family   one family only\n" in capsys.readouterr().out


def test_on_a_terminal_text_is_folded_and_commands_are_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "for_person", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    print_report(SERVICES[:1], CONDITIONS, notes=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:4] == [
        "  exposed  node can be reached from",
        "           beyond this machine on port",
        "           5173",
    ]
    assert "  run      node vite --host 127.0.0.1" in lines


def test_what_is_not_known_is_said() -> None:
    odd = Condition(state="up", why="answers", exposure="unknown", exposure_why="macOS hides it")
    assert about(odd) == "answers; who can reach it is not known: macOS hides it"
    assert about(DOWN) == "nothing listens on port 3001"


def test_what_a_request_starts_is_no_bad_news(capsys: pytest.CaptureFixture[str]) -> None:
    asleep = Condition(state="down", why="it starts at its first request", dormant=True)
    print_report(SERVICES[1:], {"api": FINE, "db": asleep}, notes=False)
    out, err = capsys.readouterr()
    assert out == (
        "api  up          accepts connections at 127.0.0.1:3000\ndb   on-request  it starts at its first request\n"
    )
    assert err == "\n2 services: 1 up, 1 on-request\n"
