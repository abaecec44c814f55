"""`devproxy up` with real processes: order, names, Ctrl-C, restarts, twice, in the background, on request."""

import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from devproxy.cli import up
from devproxy.paths import Paths
from devproxy.registry.model import Registry, Service
from devproxy.run.group_state import ask, read_groups
from devproxy.storage.locks import exclusive
from tests.cli.command import ROOT
from tests.cli.team import Team, get, kill, service, team_in
from tests.e2e.processes import Program
from tests.proxy.values import service as registered
from tests.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups as POSIX has them")


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    yield from team_in(tmp_path)


def test_a_newcomer_types_up_and_every_name_answers(team: Team) -> None:
    team.project(
        service("web", 'depends_on = ["api"]', 'env = { API_URL = "{url.api}" }'),
        service("api", 'depends_on = ["db"]', 'health = { path = "/healthz" }'),
        service("db"),
    )
    up = team.up()
    team.wait_states(web="up", api="up", db="up")
    assert "`shop` is linked now" in up.output()
    for name in ("web", "api", "db"):
        team.wait_answer(name)
    assert f"web serves on {_port(up.output(), 'web')} api http://api.shop.localhost:{team.port}" in up.output()
    starts = re.findall(r"(\w+) serves on", up.output())
    assert starts == ["db", "api", "web"]
    assert len({_port(up.output(), name) for name in starts}) == 3
    assert re.search(r"^web\.shop +\| web serves on", up.output(), re.M)
    assert "\x1b" not in up.output()
    assert team.interrupt(up) == 0
    assert team.processes() == []


def _port(output: str, name: str) -> str:
    found = re.search(rf"{name} serves on (\d+)", output)
    assert found is not None
    return found[1]


def test_a_service_waits_until_what_it_depends_on_is_healthy(team: Team) -> None:
    team.project(service("api", 'health = { path = "/" }'), service("web", 'depends_on = ["api"]'))
    (team.folder / "hold").touch()  # api answers 503
    team.up()
    wait_until(lambda: len(team.processes("api")) == 1, "api to run")
    team.wait_states(api="starting", web="waiting")
    assert team.processes("web") == []
    (team.folder / "hold").unlink()
    team.wait_states(api="up", web="up")


def test_ctrl_c_ends_in_reverse_order(team: Team) -> None:
    slow = "import signal, sys, time; signal.signal(15, lambda *_: (time.sleep(0.3), print('ends'), sys.exit())); "
    for name in ("db", "web"):
        (team.folder / f"{name}.py").write_text(
            slow + "import http.server as h, os; h.HTTPServer(('127.0.0.1', int(os.environ['PORT'])),"
            " h.SimpleHTTPRequestHandler).serve_forever()"
        )
    tables = [f'[services.{name}]\ncommand = ["{sys.executable}", "-u", "{name}.py"]\n' for name in ("db", "web")]
    team.project(*tables, 'depends_on = ["db"]\n')
    up = team.up()
    team.wait_states(db="up", web="up")
    assert team.interrupt(up) == 0
    assert re.findall(r"^(\w+)\.shop +\| ends", up.output(), re.M) == ["web", "db"]


def test_a_second_ctrl_c_does_not_wait(team: Team) -> None:
    team.project('[services.web]\ncommand = "trap : TERM INT; while :; do sleep 0.05; done"\n')
    up = team.up()
    wait_until(lambda: team.states().get("web.shop") == "starting", "web to start")
    wait_until(lambda: list((team.home.state / "leases").glob("*.toml")), "its lease")
    up.popen.send_signal(2)
    up.wait_output("ending all of it")
    assert team.interrupt(up) == 0


def test_twice_changes_nothing(team: Team) -> None:
    team.project(service("web"), service("api"))
    assert team.run("up", "-d", "web").code == 0
    (web,) = team.processes("web")
    again = team.run("up", "-d", "web")
    assert (again.code, again.out) == (0, "`web.shop` runs already\n")
    done = team.run("up", "-d")
    assert done.code == 0, done.err
    assert [process.pid for process in team.processes("web")] == [web.pid]
    assert len(team.processes("api")) == 1


def test_five_at_once_start_each_service_once(team: Team) -> None:
    team.project(service("web", 'depends_on = ["api"]'), service("api"))
    team.run("link")
    starters = [team.up("-d") for _ in range(5)]
    assert [starter.wait() for starter in starters] == [0] * 5, team.said()
    assert len(team.processes("web")) == len(team.processes("api")) == 1


def test_it_works_on_a_terminal_whose_ctrl_c_it_hears(team: Team) -> None:
    team.project(service("web"))
    terminal, end = os.openpty()
    argv = [sys.executable, "-c", "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"]
    argv += [sys.executable, "-m", "devproxy", "up"]
    environment = team.home.environment(TERM="xterm")
    up = subprocess.Popen(argv, stdin=end, stdout=end, stderr=end, cwd=team.folder, env=environment)
    os.close(end)
    shown = bytearray()

    def read_until(text: bytes) -> None:
        while text not in shown:
            assert select.select([terminal], [], [], DEADLINE)[0], bytes(shown)
            shown.extend(os.read(terminal, 65536))

    try:
        read_until(b"serves on")
        team.wait_states(web="up")
        os.write(terminal, b"\x03")
        read_until(b"ending all of it")
        assert up.wait(DEADLINE) == 0
    finally:
        up.kill()
        up.wait(DEADLINE)
        os.close(terminal)
    assert b"\x1b[" in shown
    assert team.processes() == []


def test_two_checkouts_run_side_by_side_under_names_of_their_own(team: Team, tmp_path: Path) -> None:
    team.project(service("web"))
    other = tmp_path / "other"
    shutil.copytree(team.folder, other)
    assert team.run("up", "-d").code == 0
    refused = team.home.run("up", "-d", cwd=other)
    assert (refused.code, refused.out) == (1, "")
    assert "linked already, to another file" in refused.err
    (other / "devproxy.local.toml").write_text('project = "shop-fix"\n')
    done = team.home.run("up", "-d", cwd=other)
    assert done.code == 0, done.err
    assert re.search(r"web\.shop-fix +up", done.out)
    team.wait_answer("web")
    assert get(team.port, "web.shop-fix.localhost") == "web"
    assert team.home.run("down", cwd=other).out == "`web.shop-fix` has ended\n"
    assert len(team.processes()) == 1


def test_a_changed_command_is_offered_not_forced(team: Team) -> None:
    team.project(service("web"))
    assert team.run("up", "-d").code == 0
    (web,) = team.processes()
    team.project(service("web").replace('"-u", ', ""))
    done = team.run("up", "-d")
    assert (done.code, done.out) == (0, "`web.shop` runs already\n")
    assert "its command has changed since; to take the new one: devproxy down web.shop" in done.err
    assert [process.pid for process in team.processes()] == [web.pid]


def test_one_that_fails_is_started_again_and_given_up_loudly(team: Team) -> None:
    team.project(
        '[services.bad]\ncommand = "echo trying; echo oops >&2; exit 3"\n',
        service("web", 'depends_on = ["bad"]'),
        service("other"),
    )
    up = team.up()
    up.wait_output("given up after 5 starts in a row")
    assert up.output().count("| trying") == 5 + 1  # and once more among its last lines
    assert re.search(r"`bad\.shop` ended with exit code 3; given up.*\n.*\| trying\n.*\| oops", up.output())
    up.wait_output("`web.shop` is not started: it depends on `bad.shop`")
    team.wait_states(bad="failed", web="failed", other="up")
    assert team.interrupt(up) == 1


def test_one_that_is_killed_is_back_under_its_name(team: Team) -> None:
    team.project(service("web"))
    up = team.up()
    team.wait_states(web="up")
    (first,) = team.processes()
    kill(first)
    up.wait_output(r"ended with signal 9 \(SIGKILL\); it starts again in 0\.25 s")
    wait_until(lambda: [process.pid for process in team.processes()] not in ([], [first.pid]), "another web")
    team.wait_states(web="up")
    team.wait_answer("web")


@pytest.mark.parametrize("command", [("up", "-d"), ("restart",)])
def test_only_lines_of_this_start_are_shown_as_its_last(command: tuple[str, ...], team: Team) -> None:
    script = 'command = "cat said; exit 3"\nrestart = "never"\n'
    team.project(f"[services.bad]\n{script}", service("web"))
    (team.folder / "said").write_text("the first start\n")
    assert team.run("up", "-d").code == 1
    (team.folder / "said").write_text("the second start\n")
    again = team.run(*command, "bad")
    assert again.code == 1
    assert "| the second start" in again.err
    assert "the first start" not in again.err
    (team.folder / "said").write_text("")
    quiet = team.run(*command, "bad")
    assert "start\n" not in quiet.err
    assert "exit code 3" in quiet.err


def test_restart_never(team: Team) -> None:
    team.project('[services.bad]\ncommand = "exit 4"\nrestart = "never"\n')
    up = team.up()
    assert up.wait() == 1
    assert up.output().count("exit code 4") == 1


def test_what_prepares_things_may_end_before_the_others_start(team: Team) -> None:
    team.project('[services.migrate]\ncommand = "echo migrated"\n', service("web", 'depends_on = ["migrate"]'))
    done = team.run("up", "-d")
    assert done.code == 1, done.err
    assert re.search(r"migrate\.shop +stopped", done.out)
    ended = 'it ended by itself, and never listened; if that is its work, say so: kind = "task"'
    assert f"`migrate.shop` is not up: {ended}" in done.err
    assert f"migrate.shop has ended: {ended}\n" in team.run("health", "migrate", "--history").out
    assert re.search(r"web\.shop +up", done.out)


def test_a_server_that_ends_at_once_with_code_0_is_no_good_news_in_the_foreground_either(team: Team) -> None:
    team.project('[services.once]\ncommand = "echo bye"\n')
    up = team.up()
    assert up.wait() == 1
    assert "`once.shop` has ended, and never listened" in up.output()


WORKER = "while :; do echo working; sleep 0.2; done"


def test_a_worker_is_up_when_it_runs_and_has_neither_port_nor_name(team: Team) -> None:
    team.project(
        f'[services.worker]\nkind = "worker"\ncommand = "echo port=$PORT; {WORKER}"\n',
        service("web", 'depends_on = ["worker"]'),
    )
    done = team.run("up", "-d")
    assert done.code == 0, done.err
    assert re.search(r"worker\.shop +up *$", done.out, re.M)
    assert re.search(r"web\.shop +up +http", done.out)
    assert "worker.shop | port=\n" in team.run("logs", "worker").out
    (row,) = (row for row in json.loads(team.run("ls", "--json").out) if row["id"] == "worker.shop")
    assert (row["kind"], row["hosts"], row["upstream"], row["url"]) == ("worker", [], None, "")
    assert sorted(team.run("down").out.splitlines()) == ["`web.shop` has ended", "`worker.shop` has ended"]


def test_what_depends_on_a_task_starts_once_it_is_done(team: Team) -> None:
    task = '[services.migrate]\nkind = "task"\ncommand = "while ! [ -e go ]; do sleep 0.05; done; echo migrated"\n'
    team.project(task, service("web", 'depends_on = ["migrate"]'))
    up = team.up()
    team.wait_states(migrate="running", web="waiting")
    up.wait_output("`migrate.shop` is not done yet")
    up.wait_output("`web.shop` waits for `migrate.shop`")
    assert team.processes() == []
    (team.folder / "go").touch()
    team.wait_states(migrate="done", web="up")
    up.wait_output("`migrate.shop` is done")
    again = team.run("up", "-d")
    assert (again.code, again.out) == (0, "`migrate.shop` is done already\n`web.shop` runs already\n")
    assert team.interrupt(up) == 0


def test_a_task_that_fails_is_not_tried_again_and_nothing_starts_on_it(team: Team) -> None:
    team.project(
        '[services.migrate]\nkind = "task"\ncommand = "echo oops; exit 3"\n',
        service("web", 'depends_on = ["migrate"]'),
    )
    done = team.run("up", "-d")
    assert done.code == 1
    assert re.search(r"migrate\.shop +failed", done.out)
    assert re.search(r"web\.shop +failed", done.out)
    assert "`migrate.shop` ended with exit code 3" in done.err
    assert done.err.count("| oops") == 1
    became = "it depends on `migrate.shop`, which has failed: exit code 3; it last printed: oops"
    assert f"`web.shop` is not healthy, {became}" in done.err
    history = team.run("health", "web", "--history").out
    assert f"web.shop has failed: {became}" in history


@pytest.mark.parametrize(("code", "said"), [("0", ""), ("3", "which has failed: exit code 3; it last")])
def test_a_task_that_another_up_runs_is_waited_for_and_its_end_is_seen(team: Team, code: str, said: str) -> None:
    waits = f"while ! [ -e go ]; do sleep 0.05; done; echo migrated; exit {code}"
    team.project(
        f'[services.migrate]\nkind = "task"\ncommand = "{waits}"\n',
        service("web", 'depends_on = ["migrate"]'),
    )
    first = team.up("migrate")
    team.wait_states(migrate="running")
    second = team.up("web")
    team.wait_states(web="waiting")
    assert "`migrate.shop` runs already" in second.output()
    (team.folder / "go").touch()
    assert first.wait() == (1 if said else 0)  # and it is gone, with its file
    if said:
        assert second.wait() == 1
        assert f"`web.shop` is not started: it depends on `migrate.shop`, {said} printed: migrated" in second.output()
    else:
        team.wait_states(web="up")
        assert team.interrupt(second) == 0


def test_what_waits_at_down_was_asked_to_end_like_all_others(team: Team) -> None:
    task = '[services.migrate]\nkind = "task"\ncommand = "while :; do sleep 0.05; done"\n'
    team.project(task, service("web", 'depends_on = ["migrate"]'))
    up = team.up()
    team.wait_states(migrate="running", web="waiting")
    assert team.run("down").code == 0
    assert up.wait() == 0
    history = team.run("health", "--history").out
    for name in ("migrate", "web"):
        assert f"{name}.shop has ended: it was asked to end\n" in history


def test_a_worker_that_ends_with_code_0_is_no_good_news(team: Team) -> None:
    team.project('[services.it]\nkind = "worker"\ncommand = "echo bye"\n')
    up = team.up()
    assert up.wait() == 1
    assert "`it.shop` has ended with exit code 0, though a worker is to run on" in up.output()


def test_a_server_that_ends_by_itself_is_no_good_news_either(team: Team) -> None:
    ending = """
import http.server as h, os
server = h.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), h.SimpleHTTPRequestHandler)
server.timeout = 0.05
while not os.path.exists("go"): server.handle_request()
"""
    (team.folder / "ending.py").write_text(ending)
    team.project(f'[services.web]\ncommand = ["{sys.executable}", "ending.py"]\n')
    up = team.up()
    team.wait_states(web="up")
    (team.folder / "go").touch()
    assert up.wait() == 1
    assert "`web.shop` has ended with exit code 0, though a server is to run on" in up.output()


def test_up_says_what_it_waits_for_and_what_was_printed_last(team: Team) -> None:
    team.project(f'[services.silent]\ncommand = "{WORKER}"\n', service("web", 'depends_on = ["silent"]'))
    team.run("link")
    starter = team.up("-d")
    starter.wait_output("`silent.shop` is not up: nothing listens on port")
    assert 'say so: kind = "worker"; it last printed: working' in starter.output()
    assert "`web.shop` waits for `silent.shop`" in starter.output()


# `devproxy run` inside of the service that it names


@pytest.mark.parametrize("name", ["web", "", "web.shop"])
def test_a_script_that_is_devproxy_run_itself_is_the_service(team: Team, name: str) -> None:
    script = f"exec {sys.executable} -m devproxy run {name} -- {sys.executable} -u server.py web"
    (team.folder / "dev.sh").write_text(f"#!/bin/sh\n{script}\n")
    team.project('[services.web]\ncommand = "sh ./dev.sh"\n')
    done = team.run("up", "-d")
    assert done.code == 0, done.err
    (web,) = team.processes("web")
    team.wait_answer("web")
    assert not any("run" in parent.cmdline() for parent in web.parents())
    assert len(list((team.home.state / "leases").glob("*.toml"))) == 1


def test_a_command_that_leads_to_itself_is_refused(team: Team) -> None:
    team.project(f'[services.web]\ncommand = "{sys.executable} -m devproxy run web"\nrestart = "never"\n')
    done = team.run("up", "-d")
    assert done.code == 1
    assert "`web.shop` would start itself, time and again" in done.err
    assert "devproxy run web -- COMMAND" in done.err


def test_another_name_inside_of_a_service_is_another_service(team: Team) -> None:
    script = f"{sys.executable} -m devproxy run other -- {sys.executable} -u server.py other & "
    (team.folder / "dev.sh").write_text(f"{script}\nexec {sys.executable} -u server.py web\n")
    team.project('[services.web]\ncommand = "sh ./dev.sh"\n')
    team.up()
    team.wait_states(web="up")
    team.wait_answer("web")
    team.wait_answer("other")


def test_what_run_adds_to_a_project_is_listed_with_it(team: Team) -> None:
    team.project(service("web"))
    assert team.run("link").code == 0
    argv = [sys.executable, "-m", "devproxy", "run", "extra", "--", sys.executable, "-u", "server.py", "extra"]
    environment = {"DEVPROXY_HOME": str(team.home.folder)}
    program = Program(argv, team.home.folder / "run.log", cwd=team.folder, env=environment)
    team.programs.append(program)
    program.wait_output("extra serves on")
    assert re.search(r"^extra\.shop +http", team.run("ls").out, re.MULTILINE)


# One service of an `up`, from another terminal


def test_one_service_is_restarted_with_its_command_as_it_is_now_and_up_notices(team: Team) -> None:
    team.project(service("web"), service("api"))
    up = team.up()
    team.wait_states(web="up", api="up")
    (web,), (api,) = team.processes("web"), team.processes("api")
    team.project(service("web").replace('"-u", ', ""), service("api"))
    done = team.run("restart", "web")
    assert done.code == 0, done.err
    assert re.search(r"web\.shop +up +http", done.out)
    (new,) = team.processes("web")
    assert new.pid != web.pid
    assert "-u" not in new.cmdline()
    assert [process.pid for process in team.processes("api")] == [api.pid]
    assert "`web.shop` has ended, as it was asked to, and starts again" in up.output()
    history = team.run("health", "web", "--history").out
    assert "web.shop is started by devproxy restart" in history
    assert not re.search(r"is started again|ended with", history)  # which nobody has asked for
    assert "restarts" not in team.run("health", "web").out
    assert team.interrupt(up) == 0


def test_the_only_service_of_an_up_that_cannot_be_restarted_is_bad_news(team: Team) -> None:
    """Its `up` has ended by then, and is asked for nothing any more."""
    team.project(service("web"))
    assert team.run("up", "-d").code == 0
    team.project('[services.web]\ncommand = ["no-such-program-anywhere"]\n')
    done = team.run("restart", "web")
    assert done.code == 1
    assert re.search(r"web\.shop +failed", done.out)
    assert "no-such-program-anywhere could not be started" in done.err
    again = team.run("up", "-d")
    assert again.code == 1
    assert "no-such-program-anywhere could not be started" in again.err


def test_one_service_is_stopped_and_started_again_in_the_up_that_has_it(team: Team) -> None:
    team.project(service("web"), service("api"))
    up = team.up()
    team.wait_states(web="up", api="up")
    assert team.run("stop", "web").out == "`web.shop` has ended\n"
    team.wait_states(web="ended", api="up")
    up.wait_output("`web.shop` has ended, as it was asked to\n")
    started = team.run("start", "web")
    assert started.code == 0, started.err
    team.wait_states(web="up", api="up")
    assert len(list((team.home.state / "up").glob("*.json"))) == 1
    assert up.output().count("web serves on") == 2
    assert "web.shop is started by devproxy start" in team.run("health", "web", "--history").out
    assert team.run("start", "web").out == "`web.shop` runs already\n"
    assert team.interrupt(up) == 0


def test_one_that_was_given_up_is_restarted_by_name(team: Team) -> None:
    team.project(
        '[services.bad]\nkind = "worker"\nrestart = "never"\n',
        'command = "[ -e go ] || exit 3; while :; do sleep 0.1; done"\n',
        service("web"),
    )
    up = team.up()
    team.wait_states(bad="failed", web="up")
    (team.folder / "go").touch()
    done = team.run("restart", "bad")
    assert done.code == 0, done.err
    team.wait_states(bad="up")
    assert team.interrupt(up) == 0


def test_what_runs_nowhere_is_started_in_the_background(team: Team) -> None:
    team.project(service("web", 'depends_on = ["api"]'), service("api"))
    team.run("link")
    done = team.run("start", "web")
    assert done.code == 0, done.err
    team.wait_states(web="up", api="up")


def test_in_the_background_a_command_has_the_persons_search_path_and_its_own_folder(team: Team) -> None:
    (team.folder / "jobs").mkdir()
    script = "import os; print(*map(os.environ.get, ('PYTHONPATH', 'PWD')))"
    team.project(f'[services.job]\nkind = "task"\ncommand = ["{sys.executable}", "-c", "{script}"]\ncwd = "jobs"\n')
    ours = f"/elsewhere{os.pathsep}{ROOT}"
    done = team.home.run("up", "-d", cwd=team.folder, PYTHONPATH=ours, PWD=str(team.folder))
    assert done.code == 0, done.err
    assert f"{ours} {team.folder / 'jobs'}" in team.run("logs").out


def test_in_the_background_a_failure_is_told_with_the_last_lines(team: Team) -> None:
    team.project('[services.bad]\ncommand = "echo oops; exit 3"\nrestart = "never"\n', service("web"))
    done = team.run("up", "--detach")
    assert done.code == 1
    assert re.search(r"bad\.shop +failed", done.out)
    assert "  | oops" in done.err
    assert len(team.processes("web")) == 1


def test_killed_with_9_nothing_is_left(team: Team) -> None:
    team.project(service("web"))
    up = team.up()
    team.wait_states(web="up")
    up.popen.kill()
    up.popen.wait(DEADLINE)
    wait_until(lambda: not team.processes(), "web to be gone")
    done = team.run("up", "-d")
    assert done.code == 0, done.err
    assert len(team.processes()) == 1


def test_a_command_that_does_not_exist_is_said(team: Team) -> None:
    team.project('[services.web]\ncommand = ["/nowhere/to/be/found"]\n')
    up = team.up()
    assert up.wait() == 1
    assert "/nowhere/to/be/found could not be started" in up.output()
    assert "Traceback" not in up.output()


def test_the_proxy_is_not_started_where_the_setting_says_so(team: Team) -> None:
    team.configure("autostart = false")
    team.project(service("web"))
    done = team.run("up", "-d")
    assert done.code == 0, done.err
    assert "the proxy is not running; start it: devproxy start" in done.err
    assert team.run("status").code == 3
    assert len(team.processes()) == 1


def test_without_a_command_there_is_nothing_to_run(team: Team) -> None:
    team.project("[services.web]\nport = 5173\n")
    done = team.run("up")
    assert done.code == 1
    assert "none of these services has a command" in done.err


# `devproxy up` and services that a request starts: what is left to it, and what may be run for it


def test_what_a_request_starts_is_left_to_it_unless_it_is_named_or_needed(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    web = registered("web.shop", command="vite", start="on-request", trusted=True, depends_on=("api.shop",))
    api, db = (structs.replace(web, id=f"{name}.shop", depends_on=()) for name in ("api", "db"))
    registry = Registry(services=(web, api, db))

    def planned(*services: Service, named: bool = False) -> tuple[list[str], list[str]]:
        plan = up._plan(paths, registry, services, named=named)
        return [one.id for one in plan.todo], [one.id for one in plan.left]

    assert planned(web, api, db) == ([], ["web.shop", "api.shop", "db.shop"])
    assert planned(web, named=True) == (["api.shop", "web.shop"], [])
    by_hand = structs.replace(web, start="manual")
    assert planned(by_hand, api, db) == (["api.shop", "web.shop"], ["db.shop"])
    untrusted = structs.replace(db, trusted=False)
    assert planned(web, untrusted) == ([], ["web.shop", "db.shop"])  # nobody typed its name
    assert planned(untrusted, named=True) == (["db.shop"], [])


def test_without_names_one_that_waits_for_trust_is_told_and_not_run(team: Team) -> None:
    team.project('[services.web]\ncommand = "touch ran"\nstart = "on-request"\n')
    done = team.run("up")
    assert (done.code, (team.folder / "ran").exists()) == (0, False)
    assert "`web.shop` starts at its first request, once its commands are trusted: devproxy link --trust" in done.out


def test_nobody_typed_it_so_only_what_is_trusted_is_run(team: Team) -> None:
    team.project('[services.web]\ncommand = "touch ran"\nstart = "on-request"\n')
    team.run("link")
    done = team.run("up", "--on-request", "web.shop")
    assert done.code == 4
    assert "`web.shop` is not started by a request" in done.err
    assert f"devproxy link --trust {team.folder}" in done.err
    assert not (team.folder / "ran").exists()
    assert team.states() == {}


def test_it_runs_what_has_that_very_id_wherever_it_is_started(team: Team) -> None:
    text = team.home.registry.read_text() + f'[services.web]\ncommand = "touch ours"\ncwd = "{team.folder}"\n'
    team.home.write(text)
    team.project('[services.web]\ncommand = "touch theirs"\n')
    team.run("link")
    done = team.run("up", "--on-request", "web")
    assert (done.code, done.out) == (1, "")  # it ends at once, which no server does
    assert (team.folder / "ours").exists()
    assert not (team.folder / "theirs").exists()


def test_nothing_runs_but_what_is_typed(team: Team) -> None:
    team.project('[services.web]\ncommand = "touch ran"\nstart = "on-request"\n')
    for argv in (["link"], ["ls"], ["check"], ["health"], ["start"], ["url", "web"], ["logs"], ["down"]):
        team.run(*argv)
    assert get(team.port, "web.shop.localhost")
    assert not (team.folder / "ran").exists()


def test_what_is_asked_of_it_while_it_still_starts_the_proxy_is_done(team: Team) -> None:
    """It is known to others by then: a request was the end of it, without a word."""
    team.project(service("web"), service("api"))
    assert team.run("link").code == 0
    paths = Paths(team.home.folder / "config", team.home.folder / "state")
    paths.make(paths.serve_output.parent)
    with exclusive(paths.serve_output):
        up = team.up()
        team.wait_states(web="waiting", api="waiting")
        [group] = read_groups(paths)
        ask(paths, group, "end", ["web.shop"])
        ask(paths, group, "restart", ["api.shop"])
    team.wait_states(web="ended", api="up")
    assert team.processes("web") == []
    assert team.interrupt(up) == 0
