"""What a member's states come to for everybody else: a run, an event a change, and what a killed owner leaves."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devproxy.errors import DevproxyError
from devproxy.events import CommandExited, CommandFailed, CommandStarts, CommandUp, CommandWaits, Ended
from devproxy.health.history import read as read_history
from devproxy.health.runs import KILLED, RunsReader, read_runs
from devproxy.paths import Paths
from devproxy.run.group_state import AT_REST, MemberState
from devproxy.run.report import RunReporter
from devproxy.storage import files

WEB = "web.shop"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "state").mkdir(mode=0o700)
    return Paths(tmp_path / "config", tmp_path / "state")


def tell(paths: Paths, *states: MemberState, lines: tuple[str, ...] = ()) -> RunReporter:
    """One state a second, from the tenth on."""
    reporter = RunReporter(paths, WEB, "devproxy up")
    for second, state in enumerate(states, 10):
        reporter.follow(state, lines, float(second))
    return reporter


def test_a_crash_a_restart_and_a_give_up(paths: Paths) -> None:
    tell(
        paths,
        MemberState("waiting", "vite", "waits for `api`"),
        MemberState("starting", "vite", "starts", None, 1, 0),
        MemberState("up", "vite", "", None, 1, 0),
        MemberState("starting", "vite", "ended with exit code 3, and starts again", 3, 1, 1),
        MemberState("starting", "vite", "starts", 3, 2, 1, restarts=1),
        MemberState("failed", "vite", "ended with signal 9 (SIGKILL)", 137, 2, 2, 2, 1),
        lines=("\x1b[31mno database\x1b[0m", "x" * 1000),
    )
    record = read_runs(paths)[WEB]
    assert record.events == (
        CommandWaits(WEB, "waits for `api`", at=10.0),
        CommandStarts(WEB, "devproxy up", 0, at=11.0),
        CommandUp(WEB, 1.0, at=12.0),
        CommandExited(WEB, 3, 2.0, at=13.0),
        CommandStarts(WEB, "devproxy up", 1, at=14.0),
        CommandFailed(WEB, "signal 9 (SIGKILL)", 137, 2, at=15.0),
    )
    run = record.run
    assert (run.phase, run.since, run.why, run.code, run.restarts) == ("failed", 15.0, "signal 9 (SIGKILL)", 137, 1)
    assert (run.lines[0], len(run.lines[1])) == ("no database", 400)
    assert [entry.event for entry in read_history(paths)] == list(record.events)  # though no proxy runs


def test_the_end_that_was_asked_for_is_no_failure(paths: Paths) -> None:
    up = MemberState("up", "vite", "", None, 1, 0)
    tell(paths, up, MemberState("ended", "vite", "", 143, 1, 1))
    record = read_runs(paths)[WEB]
    assert record.events[-1] == Ended(WEB, "it was asked to end", at=11.0)
    assert (record.run.phase, record.run.lines) == ("ended", ())


def test_what_is_said_twice_is_no_news(paths: Paths) -> None:
    state = MemberState("starting", "vite", "starts", None, 1, 0)
    reporter = tell(paths, state)
    file = paths.run(WEB)
    before = file.stat().st_ino
    reporter.follow(state, (), 99.0)
    assert file.stat().st_ino == before


def test_events_of_an_earlier_run_stay_for_who_has_not_seen_them(paths: Paths) -> None:
    tell(paths, MemberState("failed", "vite", "vite could not be started", None, 1, 1))
    tell(paths, MemberState("starting", "vite", "starts", None, 1, 0))
    kinds = [type(event) for event in read_runs(paths)[WEB].events]
    assert kinds == [CommandStarts, CommandFailed, CommandStarts]


@pytest.mark.parametrize("state", ["waiting", "starting", "up"])
def test_what_a_killed_owner_ran_has_ended(paths: Paths, state: str) -> None:
    tell(paths, MemberState(state, "vite", "", None, 1, 0))  # type: ignore[arg-type]
    file = paths.run(WEB)
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"pid": 2**22 + 1}), "utf-8")
    record = read_runs(paths)[WEB]
    assert (record.run.phase, record.run.why) == ("ended", KILLED)
    assert record.events[-1] == Ended(WEB, KILLED, at=record.run.since)
    assert read_runs(paths)[WEB] == record  # whoever reads it later is told the same
    tell(paths, MemberState("starting", "vite", "starts", None, 1, 0))
    assert [event for event in read_runs(paths)[WEB].events if isinstance(event, Ended)] == [record.events[-1]]


def test_what_a_killed_owner_ran_has_ended_also_where_that_cannot_be_written(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(paths, MemberState("up", "vite", "", None, 1, 0))
    file = paths.run(WEB)
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"pid": 2**22 + 1}), "utf-8")

    def refuse(*_: object) -> None:
        raise DevproxyError("it could not be written")

    monkeypatch.setattr(files, "update", refuse)
    assert read_runs(paths)[WEB].run.phase == "ended"


def test_two_readers_tell_of_a_killed_owner_once(paths: Paths) -> None:
    tell(paths, MemberState("up", "vite", "", None, 1, 0))
    file = paths.run(WEB)
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"pid": 2**22 + 1}), "utf-8")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: read_runs(paths)[WEB], range(8)))
    assert found == [found[0]] * 8


def test_what_was_started_for_a_request_and_is_at_rest_is_told_by_the_proxy_alone(paths: Paths) -> None:
    reporter = RunReporter(paths, WEB, "a request", is_announced=True)
    states = [
        MemberState("starting", "vite", "starts", None, 1, 0),
        MemberState("up", "vite", "", None, 1, 0),
        MemberState("starting", "vite", "starts", 3, 2, 1, restarts=1),
        MemberState("ended", "vite", AT_REST, 143, 2, 2),
    ]
    for second, state in enumerate(states, 10):
        reporter.follow(state, (), float(second))
    record = read_runs(paths)[WEB]
    kinds = [type(event) for event in record.events]
    assert kinds == [CommandUp, CommandExited, CommandStarts]
    assert (record.run.phase, record.run.why) == ("ended", AT_REST)


def test_nonsense_is_ignored(paths: Paths) -> None:
    tell(paths, MemberState("up", "vite", "", None, 1, 0))
    (paths.runs / "x.json").write_text("{", "utf-8")
    (paths.runs / "y.json").write_bytes(b"\xff")
    assert list(read_runs(paths)) == [WEB]


def test_a_reader_is_told_once(paths: Paths) -> None:
    reader = RunsReader(paths)
    assert reader.read() is None
    reporter = tell(paths, MemberState("starting", "vite", "starts", None, 1, 0))
    assert list(reader.read() or ()) == [WEB]
    assert reader.read() is None
    reporter.follow(MemberState("up", "vite", "", None, 1, 0), (), 20.0)
    assert (reader.read() or {})[WEB].run.phase == "up"


def test_a_start_that_somebody_asked_for_is_no_restart_and_its_end_before_no_bad_news(paths: Paths) -> None:
    tell(
        paths,
        MemberState("up", "vite", "", None, 1, 0),
        MemberState("starting", "vite", "starts", 143, 2, 1, by="devproxy restart"),
    )
    record = read_runs(paths)[WEB]
    assert record.events[-1] == CommandStarts(WEB, "devproxy restart", 0, at=11.0)
    assert (len(record.events), record.run.restarts) == (3, 0)
