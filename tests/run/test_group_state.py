"""What an `up` says about itself, and what is believed of it."""

import json
import os
from pathlib import Path

import pytest

from devproxy.paths import Paths
from devproxy.run.group_state import MemberState, ask, publish, read_groups, take_requests, withdraw


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "state").mkdir(mode=0o700)
    return Paths(tmp_path / "config", tmp_path / "state")


def test_it_is_there_while_the_process_says_so(paths: Paths) -> None:
    assert read_groups(paths) == []
    publish(paths, {"web.shop": MemberState("up", "npm run dev")})
    (group,) = read_groups(paths)
    assert (group.pid, group.services) == (os.getpid(), {"web.shop": MemberState("up", "npm run dev")})
    withdraw(paths)
    assert read_groups(paths) == []
    assert take_requests(paths) == []


def test_what_it_is_asked_to_do_is_taken_once_and_in_order(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(paths, {"web.shop": MemberState("up", "x"), "api.shop": MemberState("up", "x")})
    (group,) = read_groups(paths)
    woken: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: woken.append(pid))
    ask(paths, group, "restart", ["web.shop", "api.shop"])
    ask(paths, group, "end", ["web.shop"])
    assert woken == [os.getpid()] * 2
    ask(paths, group, "attach", ["web.shop"], "next\nüß \x00\n")
    assert take_requests(paths) == [
        ("restart", "web.shop", ""),
        ("restart", "api.shop", ""),
        ("end", "web.shop", ""),
        ("attach", "web.shop", "next\nüß \x00\n"),
    ]
    assert take_requests(paths) == []
    withdraw(paths)


def test_a_dead_one_is_removed_and_nonsense_ignored(paths: Paths) -> None:
    publish(paths, {})
    file = paths.state / "up" / f"{os.getpid()}.json"
    dead = {**json.loads(file.read_bytes()), "pid": 2**22 + 1}
    (file.parent / f"{2**22 + 1}.json").write_text(json.dumps(dead))
    (file.parent / "x.json").write_text("{")
    assert [group.pid for group in read_groups(paths)] == [os.getpid()]
    assert not (file.parent / f"{2**22 + 1}.json").exists()
