"""`up --detach`: what is said of services whose process has ended by the time one looks."""

import subprocess
import sys
from pathlib import Path

import pytest

from devproxy.paths import Paths
from devproxy.run import detach
from devproxy.run.detach import launch_group
from devproxy.run.group_state import MemberState

GROUP = """
import pathlib, sys, time
from devproxy.paths import Paths
from devproxy.run.group_state import MemberState, publish, withdraw
from devproxy.run.report import RunReporter
folder = pathlib.Path(sys.argv[1])
paths = Paths(folder / "config", folder / "state")
paths.make(paths.groups)
runs = MemberState("running", "true", "runs", starts=1)
publish(paths, {"task": runs, "killed": runs})
while not (folder / "seen").exists():
    time.sleep(0.01)
reporter = RunReporter(paths, "task", "devproxy up")
reporter.follow(runs, (), 1.0)
reporter.follow(MemberState("done", "true", "", 0, 1, 1), (), 2.0)
withdraw(paths)
sys.exit(1)
"""


def test_a_last_state_that_was_not_seen_is_read_where_it_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is done between two looks was called failed where another one had failed."""
    paths = Paths(tmp_path / "config", tmp_path / "state")
    read_states = detach._states

    def states(where: Paths, names: list[str], pid: int) -> dict[str, MemberState]:
        if found := read_states(where, names, pid):
            (tmp_path / "seen").touch()
        return found

    monkeypatch.setattr(detach, "_states", states)
    monkeypatch.setattr(detach, "spawn", lambda *_: subprocess.Popen([sys.executable, "-c", GROUP, str(tmp_path)]))
    found = launch_group(paths, ["task", "killed"], lambda _: None, {}, published=lambda: None)
    assert (found["task"].state, found["task"].why, found["task"].code) == ("done", "it is done", 0)
    assert (found["killed"].state, found["killed"].why) == ("failed", "its devproxy process has ended")


BRIEF = """
import pathlib, sys
from devproxy.paths import Paths
from devproxy.run.group_state import MemberState
from devproxy.run.report import RunReporter
folder = pathlib.Path(sys.argv[1])
paths = Paths(folder / "config", folder / "state")
paths.make(paths.groups)
reporter = RunReporter(paths, "web", "devproxy up")
reporter.follow(MemberState("starting", "true", "starts", starts=1), (), 1.0)
reporter.follow(MemberState("failed", "true", "there is no .env", None, 1, 1), (), 2.0)
sys.exit(1)
"""


def test_what_was_over_before_anybody_looked_is_read_where_it_was_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that could not be started was called "the services were not started: their process said nothing"."""
    paths = Paths(tmp_path / "config", tmp_path / "state")

    def spawn(*_: object) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen([sys.executable, "-c", BRIEF, str(tmp_path)])
        process.wait()
        return process

    monkeypatch.setattr(detach, "spawn", spawn)
    found = launch_group(paths, ["web"], lambda _: None, {}, published=lambda: None)
    assert (found["web"].state, found["web"].why) == ("failed", "there is no .env")
