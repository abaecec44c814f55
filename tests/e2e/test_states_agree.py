"""One state of a service: `ls`, `health`, page, API, history and exit codes say the same at every moment.

What a command has said, the next one sees: nothing here waits between a command and what is then looked at. Where
nobody types anything (a process is killed), it is waited until `ls` has noticed; then all must have.
"""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.cli.team import Team, get, kill, service, team_in
from tests.e2e.processes import Program
from tests.e2e.run import OnTerminal
from tests.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups as POSIX has them")

CRASHES = json.dumps([sys.executable, "-c", "import sys; print('no database'); sys.exit(3)"])
AFTER = {
    "commandwaits": "starting",
    "commandstarts": "starting",
    "commandexited": "starting",
    "commandup": "up",
    "up": "up",
    "down": "down",
}
AFTER |= {"commandfailed": "failed", "ended": "stopped", "commanddone": "done"}
BAD = {"failed", "stopped", "down"}


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    yield from team_in(tmp_path)


def rows(team: Team, *argv: str) -> dict[str, str]:
    return {row["name"]: row["state"] for row in json.loads(team.run(*argv, "--json").out)}


def page(team: Team, path: str) -> str:
    connection = HTTPConnection("127.0.0.1", team.port, timeout=DEADLINE)
    try:
        connection.request("GET", path, headers={"Host": "devproxy.localhost"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def in_history(events: list[dict[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for event in events:
        for state in ("up", "down"):
            if event["kind"] == "checked":
                found |= {identity.partition(".")[0]: state for identity in event[state]}
        if event["kind"] in AFTER:
            found[event["service"].partition(".")[0]] = AFTER[event["kind"]]
    return found


def all_say(team: Team, **states: str) -> None:
    """Fails unless every place says so, right now."""
    found = {
        "ls": rows(team, "ls"),
        "health": rows(team, "health"),
        "API": {row["name"]: row["state"] for row in json.loads(page(team, "/api/services"))},
        "page": {
            name: re.search(r'class="state ([\w-]+)"', row)[1]  # type: ignore[index]
            for name, row in re.findall(r'<tr id="(\w+)\.shop">(.*?)</tr>', page(team, "/"), re.S)
        },
    }
    told = {name: state for name, state in states.items() if state != "stopped"}
    for source, argv in (("history", ("health", "--history", "--json")),):
        said = in_history(json.loads(team.run(*argv).out))
        found[source] = {**states, **{name: said.get(name, "stopped") for name in told}}
    said = in_history(json.loads(page(team, "/api/history")))
    found["API of the history"] = {**states, **{name: said.get(name, "stopped") for name in told}}
    assert found == dict.fromkeys(found, states), team.said()
    assert team.run("health").code == (1 if BAD & set(states.values()) else 0)
    for name, state in states.items():
        assert team.run("health", name).code == (1 if state in BAD else 0), name


def test_from_link_to_down(team: Team) -> None:
    team.project(
        service("web", 'restart = "never"'),
        f'[services.bad]\ncommand = {CRASHES}\nrestart = "never"\n\n',
        f"[services.flaky]\ncommand = {CRASHES}\n\n",
    )
    team.run("link")
    team.run("start")
    all_say(team, web="stopped", bad="stopped", flaky="stopped")

    assert team.run("up", "-d", "web").code == 0
    all_say(team, web="up", bad="stopped", flaky="stopped")

    assert team.run("up", "-d", "bad").code == 1
    all_say(team, web="up", bad="failed", flaky="stopped")
    failed = next(row for row in json.loads(team.run("ls", "--json").out) if row["name"] == "bad")
    assert (failed["why"], failed["run"]["code"], failed["run"]["lines"]) == ("exit code 3", 3, ["no database"])
    assert "no database" in team.run("health", "bad").out

    assert team.run("up", "-d", "flaky").code == 1  # given up
    all_say(team, web="up", bad="failed", flaky="failed")
    given_up = team.run("health", "flaky", "--history").out
    assert "ended with exit code 3" in given_up
    assert "is started again (restart 4)" in given_up
    assert "flaky.shop has failed: exit code 3; given up after 5 starts" in given_up

    (process,) = team.processes("web")
    kill(process)
    wait_until(lambda: rows(team, "ls")["web"] == "failed", "web to have failed", log=team.said)
    all_say(team, web="failed", bad="failed", flaky="failed")
    assert "web.shop has failed: signal 9 (SIGKILL)" in get(team.port, "web.shop.localhost")
    assert "devproxy up web.shop" in get(team.port, "web.shop.localhost")

    assert team.run("up", "-d", "web").code == 0
    all_say(team, web="up", bad="failed", flaky="failed")
    assert team.run("down").code == 0
    all_say(team, web="stopped", bad="failed", flaky="failed")


def test_while_it_starts_and_when_its_up_is_killed(team: Team) -> None:
    team.project(service("web", 'health = { path = "/" }'), service("api", 'depends_on = ["web"]'))
    (team.folder / "hold").touch()  # web answers 503
    up = team.up()
    wait_until(lambda: team.processes("web"), "web to run", log=team.said)
    all_say(team, web="starting", api="starting")
    (team.folder / "hold").unlink()
    team.wait_states(web="up", api="up")
    all_say(team, web="up", api="up")
    (team.folder / "hold").touch()
    wait_until(lambda: rows(team, "ls")["web"] == "down", "web to be unwell", log=team.said)
    all_say(team, web="down", api="up")
    (team.folder / "hold").unlink()
    wait_until(lambda: rows(team, "ls")["web"] == "up", "web to be well", log=team.said)
    all_say(team, web="up", api="up")
    os.kill(up.popen.pid, signal.SIGKILL)
    up.wait()
    wait_until(lambda: rows(team, "ls") == {"web": "stopped", "api": "stopped"}, "both to be gone", log=team.said)
    all_say(team, web="stopped", api="stopped")
    history = team.run("health", "--history").out
    for name in ("web", "api"):
        assert history.count(f"{name}.shop has ended: the devproxy process that ran it was killed") == 1


def test_one_that_runs_by_itself_in_a_terminal(team: Team) -> None:
    team.project(service("web"))
    team.run("link")
    team.run("start")
    program = Program(
        (sys.executable, "-m", "devproxy", "run", "web"),
        team.home.folder / "run.log",
        cwd=team.folder,
        env={"DEVPROXY_HOME": str(team.home.folder)},
    )
    team.programs.append(program)  # closed with the team
    team.wait_answer("web")
    wait_until(lambda: rows(team, "ls")["web"] == "up", "web to be up", log=team.said)
    all_say(team, web="up")
    assert team.interrupt(program) in {0, 130}
    all_say(team, web="stopped")


def test_what_listens_nowhere(team: Team) -> None:
    team.project(
        service("web"),
        '[services.queue]\nkind = "worker"\ncommand = "exec sleep 600"\n',
        '[services.prepare]\nkind = "task"\ncommand = "true"\n',
    )
    team.run("link")
    team.run("start")
    all_say(team, web="stopped", queue="stopped", prepare="stopped")
    assert team.run("up", "-d").code == 0
    all_say(team, web="up", queue="up", prepare="done")
    assert team.run("down").code == 0
    all_say(team, web="stopped", queue="stopped", prepare="done")


def test_a_name_that_no_file_declares(team: Team) -> None:
    team.project(service("web"))
    team.run("link")
    team.run("start")
    wait = "import os, sys, time\nwhile not os.path.exists('go'): time.sleep(0.02)\nos.execv(sys.executable, sys.argv)"
    tool = (sys.executable, "-c", wait, "-m", "http.server", "--bind", "127.0.0.1")
    program = Program(
        (sys.executable, "-m", "devproxy", "run", "tool", "--", "sh", "-c", 'exec "$@" "$PORT"', "sh", *tool),
        team.home.folder / "run.log",
        cwd=team.folder,
        env={"DEVPROXY_HOME": str(team.home.folder)},
    )
    team.programs.append(program)  # closed with the team
    wait_until(lambda: "tool" in rows(team, "ls"), "tool to have its name", log=team.said)
    all_say(team, web="stopped", tool="starting")
    assert "prints in its own terminal" in team.run("logs", "tool.shop").err
    (team.folder / "go").touch()
    wait_until(lambda: rows(team, "ls")["tool"] == "up", "tool to be up", log=team.said)
    all_say(team, web="stopped", tool="up")
    assert team.interrupt(program) in {0, 130}
    all_say(team, web="stopped")


@pytest.mark.parametrize(("code", "why"), [("3", "exit code 3"), ("143", "signal 15 (SIGTERM)")])
def test_one_that_fails_in_a_terminal(team: Team, code: str, why: str) -> None:
    team.project(service("web"), f'[services.bad]\ncommand = "exit {code}"\n')
    team.run("link")
    team.run("start")
    assert team.run("run", "bad").code == int(code)
    all_say(team, web="stopped", bad="failed")
    assert f"bad.shop has failed: {why}" in team.run("health", "bad", "--history").out


@pytest.mark.parametrize(("typed", "state"), [("\x03", "stopped"), ("end\n", "failed")])
def test_one_that_ends_badly_at_ctrl_c_has_not_failed(team: Team, typed: str, state: str) -> None:
    script = "import sys\ntry:\n print('reads', flush=True)\n input()\nexcept KeyboardInterrupt:\n pass\nsys.exit(1)"
    (team.folder / "reads.py").write_text(script)
    team.project(service("web"), f'[services.reads]\ncommand = ["{sys.executable}", "reads.py"]\n')
    team.run("link")
    team.run("start")
    environment = {**os.environ, "DEVPROXY_HOME": str(team.home.folder)}
    argv = [sys.executable, "-m", "devproxy", "run", "reads"]
    person = OnTerminal(argv, cwd=team.folder, env=environment)
    try:
        person.wait_seen("reads\r")
        person.type(typed)
        assert person.wait() == 1
    finally:
        person.close()
    all_say(team, web="stopped", reads=state)


def test_a_task_by_itself_in_a_terminal(team: Team) -> None:
    waits = "while ! [ -e go ]; do sleep 0.05; done"
    team.project(service("web"), f'[services.prepare]\nkind = "task"\ncommand = "{waits}"\n')
    team.run("link")
    team.run("start")
    program = Program(
        (sys.executable, "-m", "devproxy", "run", "prepare"),
        team.home.folder / "run.log",
        cwd=team.folder,
        env={"DEVPROXY_HOME": str(team.home.folder)},
    )
    team.programs.append(program)  # closed with the team
    wait_until(lambda: rows(team, "ls")["prepare"] == "running", "prepare to run", log=team.said)
    assert rows(team, "health")["prepare"] == "running"
    (team.folder / "go").touch()
    assert program.wait() == 0
    all_say(team, web="stopped", prepare="done")
