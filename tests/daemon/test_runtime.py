"""`state/proxy.json` and `state/health.json` are believed only of the proxy that runs now."""

import json
import os
from pathlib import Path

import msgspec
import psutil
import pytest

from devproxy.daemon.runtime import HealthReport, Running, read_health, read_running, watched
from devproxy.health.model import Condition, Finding, ServiceOwner
from devproxy.paths import Paths
from devproxy.registry.model import EnvFile, Project, Registry, Service, Source
from devproxy.storage import files


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "state").mkdir()
    return Paths(tmp_path / "config", tmp_path / "state")


def test_a_live_proxy_is_read_with_its_ports(paths: Paths) -> None:
    state = {"pid": os.getpid(), "started": psutil.Process().create_time(), "http": 7080, "https": None}
    paths.proxy.write_text(json.dumps({**state, "version": "0.1.0", "problems": [], "added_later": 1}))
    running = read_running(paths)
    assert running is not None
    assert (running.pid, running.http, running.https) == (os.getpid(), 7080, None)


def test_a_reused_pid_is_not_the_proxy(paths: Paths) -> None:
    paths.proxy.write_text(json.dumps({"pid": os.getpid(), "started": 1.0, "http": 80}))
    assert read_running(paths) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff\xfe", b"null"])
def test_an_unreadable_file_is_no_proxy(paths: Paths, content: bytes) -> None:
    paths.proxy.write_bytes(content)
    assert read_running(paths) is None


def test_no_file_is_no_proxy(paths: Paths) -> None:
    assert read_running(paths) is None


@pytest.mark.parametrize("text", ["fix-ui.shop", "shop", None])
def test_what_is_in_force_is_read_as_it_was_written_with_projects_as_text(paths: Paths, text: str | None) -> None:
    project = Project.of(text) if text else None
    service = Service(id="web", name="web", project=project, hosts=("web.localhost",), source=Source("/r", 1))
    us = psutil.Process()
    env_files = (EnvFile(project, "/shop/.env", "/shop", Source("/shop/devproxy.toml", 2)),) if project else ()
    in_force = Registry(services=(service,), env_files=env_files)
    running = Running(pid=us.pid, started=us.create_time(), in_force=in_force)
    files.write_json(paths.proxy, running)
    assert json.loads(paths.proxy.read_text("utf-8"))["in_force"]["services"][0]["project"] == text
    assert read_running(paths) == running


def test_a_file_with_a_project_that_is_no_text_is_no_proxy(paths: Paths) -> None:
    us = psutil.Process()
    service = {"id": "web", "name": "web", "project": 1, "hosts": [], "source": {"file": "/r", "line": 1}}
    state = {"pid": us.pid, "started": us.create_time(), "in_force": {"services": [service]}}
    paths.proxy.write_text(json.dumps(state))
    assert read_running(paths) is None


# Believed only of the proxy that runs now


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
    health = write(paths, os.getpid())
    assert watched(paths, running) == health
    assert watched(paths, None) is None
    write(paths, 1)
    assert watched(paths, running) is None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff", b'{"pid": 1, "time": 0, "services": []}'])
def test_what_cannot_be_read_is_none(paths: Paths, text: bytes) -> None:
    paths.health.write_bytes(text)
    assert read_health(paths) is None


def test_fields_of_a_later_version_are_passed_over(paths: Paths) -> None:
    write(paths, 1)
    raw = msgspec.json.decode(paths.health.read_bytes())
    raw["services"]["web"]["new"] = raw["new"] = 1
    paths.health.write_bytes(msgspec.json.encode(raw))
    assert read_health(paths) is not None
