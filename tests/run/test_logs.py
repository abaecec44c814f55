"""A service's log: rotated, read from its end, followed over a rotation."""

from pathlib import Path

import pytest

from devproxy.paths import Paths
from devproxy.run.logs import Follower, ServiceLog, last


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "state").mkdir(mode=0o700)
    return Paths(tmp_path / "config", tmp_path / "state")


def test_the_last_lines_reach_back_over_rotations(paths: Paths) -> None:
    log = ServiceLog(paths, "web.shop", limit=400)
    for number in range(20):
        log.append(f"line {number}")
    assert [entry.text for entry in last(paths, "web.shop", 12)] == [f"line {number}" for number in range(8, 20)]
    assert len(list(paths.log.iterdir())) > 1
    assert last(paths, "web.shop", 0) == []
    assert last(paths, "none", 5) == []


def test_entries_sort_by_time(paths: Paths) -> None:
    log = ServiceLog(paths, "a")
    log.append("one")
    log.append("two")
    times = [entry.time for entry in last(paths, "a", 9)]
    assert times == sorted(times)
    assert paths.service_log("a").stat().st_mode & 0o777 == 0o600


def test_following_misses_nothing_at_a_rotation(paths: Paths) -> None:
    log = ServiceLog(paths, "web", limit=400)
    log.append("before")
    follower = Follower(paths, "web")
    seen = []
    for number in range(30):
        log.append(f"line {number}")
        seen += [entry.text for entry in follower.read()]
    assert seen == [f"line {number}" for number in range(30)]


def test_following_a_log_that_does_not_exist_yet(paths: Paths) -> None:
    follower = Follower(paths, "web")
    assert list(follower.read()) == []
    ServiceLog(paths, "web").append("first")
    assert [entry.text for entry in follower.read()] == ["first"]


def test_a_disk_that_refuses_loses_lines_only(paths: Paths) -> None:
    paths.service_log("web").mkdir(parents=True)
    ServiceLog(paths, "web").append("lost")
