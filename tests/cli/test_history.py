"""`devproxy health --history` and `--watch`: what happened, and what happens."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from devproxy import events
from devproxy.health.history import History, HistoryEntry
from devproxy.paths import Paths
from tests.cli.command import Home
from tests.ports import free_port
from tests.waiting import DEADLINE


@pytest.fixture
def told(home: Home) -> Home:
    home.write("[services.web]\nport = 3000\n[services.api]\nport = 3001\n")
    home.state.mkdir(mode=0o700)
    happened: list[events.AnyEvent] = [
        events.Started("0.1.0", 80),
        events.Checked(("api", "web"), ("other",)),
        events.Down("web", "nothing listens on port 3000"),
        events.Up("web", "listens on 127.0.0.1:3000", 61.0),
    ]
    History(Paths(home.registry.parent, home.state)).append(
        HistoryEntry(1_700_000_000.0 + second, event) for second, event in enumerate(happened)
    )
    return home


def lines(home: Home, *argv: str) -> list[str]:
    done = home.run("health", "--history", *argv, TZ="UTC")
    assert done.code == 0
    return done.out.splitlines()


def test_each_line_has_its_time_oldest_first(told: Home) -> None:
    assert lines(told) == [
        "2023-11-14 22:13:20  devproxy 0.1.0 started on port 80",
        "2023-11-14 22:13:21  up: api, web; down: other",
        "2023-11-14 22:13:22  web is down: nothing listens on port 3000",
        "2023-11-14 22:13:23  web is up again after 61 s: listens on 127.0.0.1:3000",
    ]


def test_of_one_service_nothing_is_told_of_others(told: Home) -> None:
    assert lines(told, "api") == [
        "2023-11-14 22:13:20  devproxy 0.1.0 started on port 80",
        "2023-11-14 22:13:21  up: api",
    ]


def test_json_has_kind_time_and_text(told: Home) -> None:
    rows = json.loads(told.run("health", "web", "--history", "--json").out)
    assert [row["kind"] for row in rows] == ["started", "checked", "down", "up"]
    assert rows[2]["time"] == 1_700_000_002.0
    assert rows[2]["text"] == "web is down: nothing listens on port 3000"


def test_nothing_yet(home: Home) -> None:
    assert home.run("health", "--history").err.startswith("nothing yet")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT as POSIX has it")
def test_watch_prints_a_line_a_change_until_ctrl_c(home: Home, tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as server:
        home.write(f"[services.web]\nport = {port}\n")
        argv = [sys.executable, "-u", "-m", "devproxy", "health", "--watch", "--json"]
        program = subprocess.Popen(
            argv, cwd=home.folder, env=home.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert program.stdout is not None
        try:
            while program.stdout.readline() != b"]\n":  # the report comes first
                pass
            assert json.loads(program.stdout.readline())["kind"] == "checked"
            server.close()
            event = json.loads(program.stdout.readline())
            assert (event["kind"], event["service"]) == ("down", "web")
            program.send_signal(signal.SIGINT)
            assert program.wait(DEADLINE) == 130
        finally:
            program.kill()
            program.communicate()
