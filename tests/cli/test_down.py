"""`devproxy down` with real processes: all, some, and what `run` started."""

import fcntl
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devproxy.paths import Paths
from devproxy.storage.locks import exclusive
from tests.cli.team import Team, service, team_in
from tests.e2e.processes import Program
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups as POSIX has them")


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    yield from team_in(tmp_path)


def test_it_ends_everything_and_leaves_the_proxy(team: Team) -> None:
    team.project(service("db"), service("web", 'depends_on = ["db"]'))
    assert team.run("up", "-d").code == 0
    done = team.run("down")
    assert done.code == 0, done.err
    assert sorted(done.out.splitlines()) == ["`db.shop` has ended", "`web.shop` has ended"]
    assert team.processes() == []
    assert team.run("status").code == 0
    assert team.run("down").out == "none of them was running\n"


def test_it_misses_nothing_that_is_about_to_start(team: Team) -> None:
    """`up --detach` has begun, and waits for the proxy: `down` waits for it, and ends what it has started."""
    team.project(service("web"))
    paths = Paths(team.home.folder / "config", team.home.state)
    paths.make(paths.serve_output.parent)
    paths.make(paths.group_turn.parent)
    with exclusive(paths.serve_output):  # nobody starts a proxy
        up = team.up("--detach")
        up.wait_output("is linked now")
        wait_until(lambda: _is_locked(paths.group_turn), "it to have its turn", log=team.said)
        log = team.home.folder / "down.log"
        argv = [sys.executable, "-m", "devproxy", "down"]
        down = Program(argv, log, cwd=team.folder, env={"DEVPROXY_HOME": str(team.home.folder)})
        team.programs.append(down)
    assert down.wait() == 0
    assert "`web.shop` has ended" in down.output()
    assert up.wait() == 0
    assert re.search(r"web\.shop +stopped", up.output())
    assert team.processes() == []


def _is_locked(file: Path) -> bool:
    """Whether somebody has the lock of its folder."""
    descriptor = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.mark.parametrize("by", ["up", "run"])
def test_what_depends_on_others_ends_first_whoever_runs_it(team: Team, by: str) -> None:
    """A worker that drains still has its queue, which another `up` has started."""
    drains = "trap 'while ! [ -e go ]; do sleep 0.02; done; exit' TERM; touch runs; while :; do sleep 0.02; done"
    worker = f'kind = "worker"\ncommand = "{drains}"\ndepends_on = ["db"]\nstop_grace = "5m"\n'
    team.project(service("db"), service("web"), f"[services.queue]\n{worker}")
    assert team.run("up", "-d", "db", "web").code == 0
    argv = [sys.executable, "-m", "devproxy", by, "queue"]
    env = {"DEVPROXY_HOME": str(team.home.folder)}
    team.programs.append(Program(argv, team.home.folder / "queue.log", cwd=team.folder, env=env))
    wait_until((team.folder / "runs").exists, "the worker to run", log=team.said)
    down = Program([*argv[:3], "down"], team.home.folder / "down.log", cwd=team.folder, env=env)
    team.programs.append(down)
    try:
        down.wait_output("`web.shop` has ended")
        assert [process.cmdline()[-1] for process in team.processes()] == ["db"]
    finally:
        (team.folder / "go").touch()
    assert down.wait() == 0
    assert down.output().splitlines() == [f"`{name}.shop` has ended" for name in ("web", "queue", "db")]


def test_it_ends_one_and_the_other_goes_on(team: Team) -> None:
    team.project(service("db"), service("web"))
    up = team.up()
    team.wait_states(db="up", web="up")
    assert team.run("down", "web").out == "`web.shop` has ended\n"
    assert [process.cmdline()[-1] for process in team.processes()] == ["db"]
    assert up.popen.poll() is None
    assert team.run("up", "-d", "web").code == 0
    assert len(team.processes("web")) == 1


def test_it_ends_what_run_started(team: Team) -> None:
    team.project(service("web"))
    team.run("link")
    log = team.home.folder / "run.log"
    argv = [sys.executable, "-m", "devproxy", "run", "web"]
    program = Program(argv, log, cwd=team.folder, env={"DEVPROXY_HOME": str(team.home.folder)})
    team.programs.append(program)
    program.wait_output("web serves on")
    assert team.run("down").out == "`web.shop` has ended\n", program.output()
    program.wait()
    assert team.processes() == []


def test_one_that_does_not_want_to_is_killed_after_the_grace(team: Team) -> None:
    team.configure('grace = "300ms"')
    team.project('[services.web]\ncommand = "trap : TERM; echo ready; while :; do sleep 0.05; done"\n')
    up = team.up()
    up.wait_output(r"\| ready")
    assert team.run("down").out == "`web.shop` has ended\n"
    assert up.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="what leaves its parent is found by a subreaper")
def test_it_ends_one_that_has_gone_into_the_background_by_itself(team: Team) -> None:
    """As with `daemonize yes`, or a command that ends in `&`: what is up then is no child of what was started."""
    away = json.dumps(["setsid", "--fork", sys.executable, "-u", "server.py", "web"])
    team.project(f"[services.web]\ncommand = {away}\n", service("api"))
    up = team.up()
    up.wait_output(r"runs on in the background")
    team.wait_states(web="up", api="up")
    done = team.run("restart", "web")
    assert done.code == 0, done.err
    assert up.output().count("web serves on") == 2
    up.wait_output(r"runs on in the background[^¤]*runs on in the background")
    assert team.run("down", "web").out == "`web.shop` has ended\n"
    assert team.processes("web") == []


def test_it_ends_what_run_has_taken_up_where_an_up_has_given_up(team: Team) -> None:
    team.project(service("api"), '[services.web]\ncommand = "exit 3"\nrestart = "never"\n')
    team.up()
    team.wait_states(api="up", web="failed")
    argv = [sys.executable, "-m", "devproxy", "run", "web", "--", sys.executable, "-u", "server.py", "web"]
    environment = {"DEVPROXY_HOME": str(team.home.folder)}
    program = Program(argv, team.home.folder / "run.log", cwd=team.folder, env=environment)
    team.programs.append(program)
    program.wait_output("web serves on")
    assert "web.shop` was started by `devproxy run`" in team.run("restart", "web").err
    assert team.run("start", "web").out == "`web.shop` runs already\n"
    assert team.run("down", "web").out == "`web.shop` has ended\n"
    assert program.wait() == 143
