"""What is seen of a service that is being started, and what is refused where nobody has typed anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths, ensure_private
from devproxy.registry.leases import remove_lease, take_lease
from devproxy.registry.model import Lease
from devproxy.run import activation as module
from devproxy.run.activation import Attempt, refuse_untrusted
from devproxy.run.group_state import MemberState, publish, withdraw
from devproxy.run.logs import ServiceLog
from devproxy.storage.process_identity import start_time
from tests.proxy.values import service
from tests.waiting import DEADLINE

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no `up` on Windows")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "config", tmp_path / "state")
    ensure_private(made.state)
    ensure_private(made.log)
    return made


def spawned(made: Attempt, code: str, monkeypatch: pytest.MonkeyPatch) -> "subprocess.Popen[bytes]":
    """`made.spawn()`, with a process of the test's in the place of `devproxy up`."""

    def spawn(_: Paths, arguments: list[str], log: Path) -> "subprocess.Popen[bytes]":
        assert arguments == ["up", "--on-request", "web"]
        with log.open("wb") as output:
            return subprocess.Popen([sys.executable, "-c", code], stdout=output, stderr=output)

    monkeypatch.setattr(module, "spawn", spawn)
    made.spawn()
    assert made.process is not None
    return made.process


def test_nothing_runs(paths: Paths) -> None:
    assert Attempt(paths, "web").status() == (False, False, None, {}, ())


def test_a_group_that_has_it_runs_it_until_it_is_over_there(paths: Paths) -> None:
    made = Attempt(paths, "web", ["db"])
    publish(paths, {"db": MemberState("starting", "x"), "web": MemberState("waiting", "y")})
    assert made.status()[:4] == (True, False, None, {"db": "starting", "web": "waiting"})
    publish(paths, {"db": MemberState("up", "x"), "web": MemberState("failed", "y")})
    status = made.status()
    assert (status.runs, status.ended) == (False, False)  # it was none of ours, so it says nothing of ours
    withdraw(paths)


def test_a_lease_runs_it_too(paths: Paths) -> None:
    us = Lease(service="web", port=5000, pid=os.getpid(), started=start_time(os.getpid()) or 0.0)
    lease = take_lease(paths, "web", lambda _: us)
    assert Attempt(paths, "web").status().runs
    assert not Attempt(paths, "db").status().runs
    remove_lease(paths, lease)


def test_what_was_started_counts_until_it_ends_and_then_says_why(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Attempt(paths, "web")
    spawned(made, "raise SystemExit('it is not trusted')", monkeypatch).wait(DEADLINE)
    assert made.status() == (False, True, 1, {}, ("it is not trusted",))
    made = Attempt(paths, "web")
    spawned(made, "print('it \\x1b[1mbroke')", monkeypatch).wait(DEADLINE)
    assert made.status() == (False, True, 0, {}, ("it broke",))


def test_what_somebody_else_has_meanwhile_is_not_ended(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Attempt(paths, "web")
    spawned(made, "", monkeypatch).wait(DEADLINE)
    publish(paths, {"web": MemberState("starting", "y")})
    assert (made.status().runs, made.status().ended) == (True, False)
    withdraw(paths)
    assert made.status().ended


def test_lines_are_those_of_this_start_in_order_and_without_colours(paths: Paths) -> None:
    web, db = ServiceLog(paths, "web"), ServiceLog(paths, "db")
    web.append("of an earlier start")
    made = Attempt(paths, "web", ["db"])
    db.append("creating tables")
    assert made.status().lines == ("db | creating tables",)
    for number in range(20):
        web.append(f"\x1b[32mline {number}\x1b[0m")
    lines = made.status().lines
    assert (len(lines), lines[0], lines[-1]) == (15, "line 5", "line 19")
    web.append("x" * 1000)
    assert made.status().lines[-1] == "x" * 400


def test_one_that_is_not_trusted_is_named_with_what_to_do() -> None:
    trusted = service("web.shop", trusted=True)
    refuse_untrusted([trusted])
    refuse_untrusted([])
    with pytest.raises(DevproxyError) as caught:
        refuse_untrusted([trusted, structs.replace(trusted, id="db.shop", trusted=False)])
    error = caught.value
    assert error.exit_code == Exit.REFUSED
    assert error.what == "`db.shop` is not started by a request"
    assert error.fix.endswith(": devproxy link --trust /team/devproxy.toml")
    assert error.where == "/team/devproxy.toml:7"
