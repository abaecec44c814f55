"""What an `up` says about itself, and what is believed of it."""

import json
import os
from pathlib import Path

import pytest

from devproxy.paths import Paths
from devproxy.run.group_state import Part, crews, publish, wishes, withdraw


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "state").mkdir(mode=0o700)
    return Paths(tmp_path / "config", tmp_path / "state")


def test_it_is_there_while_the_process_says_so(paths: Paths) -> None:
    assert crews(paths) == []
    publish(paths, {"web.shop": Part("up", "npm run dev")})
    (crew,) = crews(paths)
    assert (crew.pid, crew.services) == (os.getpid(), {"web.shop": Part("up", "npm run dev")})
    withdraw(paths)
    assert crews(paths) == []
    assert wishes(paths) == []


def test_a_dead_one_is_removed_and_nonsense_ignored(paths: Paths) -> None:
    publish(paths, {})
    file = paths.state / "up" / f"{os.getpid()}.json"
    dead = {**json.loads(file.read_bytes()), "pid": 2**22 + 1}
    (file.parent / f"{2**22 + 1}.json").write_text(json.dumps(dead))
    (file.parent / "x.json").write_text("{")
    assert [crew.pid for crew in crews(paths)] == [os.getpid()]
    assert not (file.parent / f"{2**22 + 1}.json").exists()
