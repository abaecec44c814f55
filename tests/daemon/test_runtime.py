"""state/proxy.json is believed only while its process lives."""

import json
import os
from pathlib import Path

import psutil
import pytest

from devproxy.daemon.runtime import read_running
from devproxy.paths import Paths


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
