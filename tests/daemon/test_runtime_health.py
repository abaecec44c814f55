"""`state/health.json`: believed only of the proxy that runs now."""

import os
from pathlib import Path

import msgspec
import pytest

from devproxy.daemon.runtime import HealthReport, Running, read_health, watched
from devproxy.health.model import Condition, Finding, ServiceOwner
from devproxy.paths import Paths
from devproxy.storage import files


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "config", tmp_path / "state")


FINDING = Finding(code="exposed", severity="warning", message="m", fix="f")
CONDITIONS = {"web": Condition(state="up", since=1.0, findings=(FINDING,)), "api": Condition()}


def write(paths: Paths, pid: int) -> HealthReport:
    health = HealthReport(pid=pid, time=2.0, services=CONDITIONS, owners={"web": ServiceOwner("vite", "/shop", "anna")})
    files.write_json(paths.health, health)
    return health


def test_it_reads_as_it_was_written(paths: Paths) -> None:
    assert write(paths, 1) == read_health(paths)


def test_the_running_proxys_is_believed_and_no_others(paths: Paths) -> None:
    running = Running(pid=os.getpid(), started=0.0)
    assert watched(paths, running) is None
    write(paths, os.getpid())
    assert watched(paths, running) == CONDITIONS
    assert watched(paths, None) is None
    write(paths, 1)
    assert watched(paths, running) is None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff", b'{"pid": 1, "time": 0, "services": []}'])
def test_what_cannot_be_read_is_none(paths: Paths, text: bytes) -> None:
    paths.state.mkdir()
    paths.health.write_bytes(text)
    assert read_health(paths) is None


def test_fields_of_a_later_version_are_passed_over(paths: Paths) -> None:
    write(paths, 1)
    raw = msgspec.json.decode(paths.health.read_bytes())
    raw["services"]["web"]["new"] = raw["new"] = 1
    paths.health.write_bytes(msgspec.json.encode(raw))
    assert read_health(paths) is not None
