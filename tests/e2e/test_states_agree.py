"""One state of a service: `ls`, `health`, page, API, history and exit codes say the same at every moment.

What a command has said, the next one sees: nothing here waits between a command and what is then looked at. Where
nobody types anything (a process is killed), it is waited until `ls` has noticed; then all must have.
"""

import contextlib
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
    for name, state in states.items():
        if state == "ending":  # no news before it has
            assert {found[source][name] for source in ("history", "API of the history")} == {"up"}
            found["history"][name] = found["API of the history"][name] = state
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


DRAINS = """\
import os, signal, socket, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
try:
    while True:
        listener.accept()[0].close()
finally:
    if sys.argv[1] == "closed":
        listener.close()
    open(f"drains-{sys.argv[1]}", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.02)
"""


def draining(listener: str) -> str:
    command = json.dumps([sys.executable, "drains.py", listener])
    return f'[services.{listener}]\ncommand = {command}\nprotocol = "tcp"\nstop_grace = "10m"\n\n'


@contextlib.contextmanager
def frozen(program: Program) -> Iterator[None]:
    """The moment lasts: the `up` does nothing meanwhile."""
    os.kill(program.popen.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(program.popen.pid, signal.SIGCONT)


def run_says(team: Team, name: str, phase: str, why: str = "") -> None:
    """Wait until whoever runs its command says so."""

    def said() -> bool:
        with contextlib.suppress(OSError, ValueError):
            run = json.loads((team.home.state / "runs" / f"{name}.shop.json").read_bytes())["run"]
            return bool(run["phase"] == phase and why in run["why"])
        return False

    wait_until(said, f"{name} to be {phase}: {why}", log=team.said)


def test_between_a_crash_and_the_next_start_and_at_the_give_up(team: Team) -> None:
    crashes = "while ! [ -e crash ]; do sleep 0.02; done; echo no database; exit 3"
    worker = 'kind = "worker"\n'
    team.project(
        f"[services.server]\ncommand = {json.dumps(crashes)}\n\n",
        f"[services.queue]\n{worker}command = {json.dumps(crashes)}\n\n",
        service("web", 'depends_on = ["server"]'),
    )
    team.run("link")
    team.run("start")
    up = team.up()
    team.wait_states(queue="up")
    all_say(team, server="starting", queue="up", web="starting")
    (team.folder / "crash").touch()
    for name in ("server", "queue"):
        run_says(team, name, "starting", "ended with exit code 3, and starts again")
    with frozen(up):
        all_say(team, server="starting", queue="starting", web="starting")
    for name in ("server", "queue"):
        run_says(team, name, "failed")
    assert up.wait() == 1
    all_say(team, server="failed", queue="failed", web="failed")


@pytest.mark.parametrize("listener", ["closed", "open"])
def test_while_down_waits_for_what_drains(team: Team, listener: str) -> None:
    """Whether it still listens or not: it is neither up nor down, and no bad news."""
    (team.folder / "drains.py").write_text(DRAINS)
    team.project(draining(listener), service("web"))
    team.run("link")
    team.run("start")
    up = team.up()
    team.wait_states(**{listener: "up", "web": "up"})
    all_say(team, **{listener: "up", "web": "up"})
    down = Program(
        (sys.executable, "-m", "devproxy", "down", listener),
        team.home.folder / "down.log",
        cwd=team.folder,
        env={"DEVPROXY_HOME": str(team.home.folder)},
    )
    team.programs.append(down)
    try:
        wait_until((team.folder / f"drains-{listener}").exists, "it to drain", log=team.said)
        all_say(team, **{listener: "ending", "web": "up"})
    finally:
        (team.folder / "go").touch()
    assert down.wait() == 0
    all_say(team, **{listener: "stopped", "web": "up"})
    assert team.interrupt(up) == 0
    all_say(team, **{listener: "stopped", "web": "stopped"})


def test_while_down_waits_for_what_drains_in_a_terminal_of_its_own(team: Team) -> None:
    (team.folder / "drains.py").write_text(DRAINS)
    team.project(draining("closed"), service("web"))
    team.run("link")
    team.run("start")
    env = {"DEVPROXY_HOME": str(team.home.folder)}
    command = (sys.executable, "-m", "devproxy")
    run = Program((*command, "run", "closed"), team.home.folder / "run.log", cwd=team.folder, env=env)
    team.programs.append(run)
    wait_until(lambda: rows(team, "ls")["closed"] == "up", "it to be up", log=team.said)
    down = Program((*command, "down"), team.home.folder / "down.log", cwd=team.folder, env=env)
    team.programs.append(down)
    try:
        wait_until((team.folder / "drains-closed").exists, "it to drain", log=team.said)
        all_say(team, closed="ending", web="stopped")
    finally:
        (team.folder / "go").touch()
    assert down.wait() == 0
    all_say(team, closed="stopped", web="stopped")


def test_without_a_proxy(team: Team) -> None:
    """Nobody watches: commands look themselves."""
    team.configure("autostart = false")
    team.project(service("web"), f'[services.bad]\ncommand = {CRASHES}\nrestart = "never"\n\n')
    for typed, code, states in (
        (("link",), 0, {"web": "stopped", "bad": "stopped"}),
        (("up", "-d"), 1, {"web": "up", "bad": "failed"}),
        (("stop", "web"), 0, {"web": "stopped", "bad": "failed"}),
        (("start", "web"), 0, {"web": "up", "bad": "failed"}),
        (("restart", "web"), 0, {"web": "up", "bad": "failed"}),
        (("down",), 0, {"web": "stopped", "bad": "failed"}),
    ):
        assert team.run(*typed).code == code, typed
        assert rows(team, "ls") == rows(team, "health") == states, typed
        for name, state in states.items():
            assert team.run("health", name).code == (1 if state in BAD else 0), (typed, name)
        said = in_history(json.loads(team.run("health", "--history", "--json").out))
        assert {name: said.get(name, "stopped") for name in states} == states, typed
