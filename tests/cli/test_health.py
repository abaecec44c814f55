"""`devproxy health`: what it prints, line by line, and above all its exit code."""

import json
from collections.abc import Iterator
from typing import get_args

import pytest

from devproxy.cli import health
from devproxy.cli.health import about, fail_on, is_bad, print_report
from devproxy.health.model import Code, Condition, Finding, FindingSeverity, State
from tests.cli.command import Home
from tests.health.things import service
from tests.ports import free_port, listening


@pytest.fixture
def ports() -> Iterator[tuple[int, int]]:
    """One that listens on 127.0.0.1, one that does not."""
    with listening() as up:
        yield up, free_port()


def write(home: Home, *ports: int) -> None:
    home.write("".join(f"[services.s{index}]\nport = {port}\n" for index, port in enumerate(ports)))


def test_all_is_well(home: Home, ports: tuple[int, int]) -> None:
    write(home, ports[0])
    done = home.run("health")
    assert (done.code, done.out) == (0, f"s0  up        accepts connections at 127.0.0.1:{ports[0]}\n")
    assert done.err.strip() == "1 service: 1 up"


def test_one_that_is_down_is_bad_news(home: Home, ports: tuple[int, int]) -> None:
    write(home, *ports)
    done = home.run("health")
    assert done.code == 1
    assert f"s1  down      nothing listens on port {ports[1]}\n" in done.out
    assert done.err.strip() == "2 services: 1 up, 1 down"
    assert home.run("health", "s0").code == 0
    assert home.run("health", "--fail-on", "exposed").code == 0
    assert home.run("health", "--fail-on", "none").code == 0
    assert home.run("health", "--fail-on", "exposed,down").code == 1


def test_one_that_a_request_starts_is_not(home: Home, ports: tuple[int, int]) -> None:
    asleep = f'[services.s1]\nport = {ports[1]}\ncommand = "vite"\nstart = "on-request"\n'
    home.write(f"[services.s0]\nport = {ports[0]}\n{asleep}")
    done = home.run("health", "--fail-on", "down")
    assert (done.code, done.err.strip()) == (0, "2 services: 1 up, 1 on-request")
    assert "s1  on-request  it starts at its first request\n" in done.out
    (row,) = json.loads(home.run("health", "s1", "--json").out)
    assert (row["state"], row["dormant"]) == ("stopped", True)


def test_a_note_is_shown_to_whoever_asks_for_the_service(home: Home, ports: tuple[int, int]) -> None:
    write(home, ports[0])
    assert "family" not in home.run("health").out
    assert f"  family   port {ports[0]} answers on 127.0.0.1 only" in home.run("health", "s0").out
    assert home.run("health", "s0").code == 0
    assert home.run("health", "--fail-on", "all").code == 1


def test_json_is_the_rows_of_ls(home: Home, ports: tuple[int, int]) -> None:
    write(home, *ports)
    rows = json.loads(home.run("health", "s1", "--json").out)
    assert [(row["id"], row["state"], row["exposure"]) for row in rows] == [("s1", "down", "unknown")]


def test_a_conflict_is_found(home: Home, ports: tuple[int, int]) -> None:
    write(home, ports[0], ports[0])
    done = home.run("health")
    assert done.code == 1
    assert "  conflict " in done.out
    assert "  fix      give one of them another `port`" in done.out


def test_no_services(home: Home) -> None:
    done = home.run("health")
    assert done.code == 0
    assert done.err.startswith("no services yet")


def test_a_name_nobody_has(home: Home) -> None:
    assert "nothing is called `x`" in home.run("health", "x").err


@pytest.mark.parametrize("words", ["nonsense", "down,nonsense"])
def test_a_word_that_is_none_is_a_usage_error_that_lists_them(home: Home, words: str) -> None:
    done = home.run("health", "--fail-on", words)
    assert done.code == 2
    assert "exposed, owner" in done.err


def parse(text: str) -> frozenset[str]:
    return fail_on(None, None, text)  # type: ignore[arg-type]


def test_words() -> None:
    assert parse("all") == {"down", "failed", "stopped", "starting", *get_args(Code)}
    assert parse("none") == parse("") == frozenset()
    assert parse("down, exposed") == {"down", "exposed"}


def condition(state: State = "up", code: Code | None = None, severity: FindingSeverity = "warning") -> Condition:
    findings = (Finding(code=code, severity=severity, message=""),) if code else ()
    return Condition(state=state, findings=findings)


@pytest.mark.parametrize(
    ("found", "words", "bad"),
    [
        (condition(), "all", False),
        (condition("down"), "down", True),
        (condition("down"), "exposed", False),
        (condition(code="exposed"), "exposed", True),
        (condition(code="exposed", severity="error"), "exposed", True),
        (condition(code="exposed", severity="note"), "all", False),
        (condition(code="family", severity="note"), "family", True),
        (condition(code="owner"), "down,owner", True),
    ],
)
def test_what_makes_it_bad(found: Condition, words: str, bad: bool) -> None:
    assert is_bad(found, parse(words)) == bad


# What `devproxy health` prints, line by line


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
    asleep = Condition(state="stopped", why="it starts at its first request", dormant=True)
    print_report(SERVICES[1:], {"api": FINE, "db": asleep}, notes=False)
    out, err = capsys.readouterr()
    assert out == (
        "api  up          accepts connections at 127.0.0.1:3000\ndb   on-request  it starts at its first request\n"
    )
    assert err == "\n2 services: 1 up, 1 on-request\n"
