"""`devproxy logs` with real processes."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.team import Team, service, team_in
from tests.e2e.processes import Program
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups as POSIX has them")


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    yield from team_in(tmp_path)


def test_it_shows_what_was_printed_in_order(team: Team) -> None:
    team.project(service("db"), service("web", 'depends_on = ["db"]'))
    assert team.run("up", "-d").code == 0
    lines = team.run("logs").out.splitlines()
    assert [line.split()[:3] for line in lines] == [["db.shop", "|", "db"], ["web.shop", "|", "web"]]
    assert team.run("logs", "web").out.splitlines() == lines[1:]
    assert team.run("logs", "-n", "0").out == ""


def test_it_follows(team: Team) -> None:
    team.project(service("web"))
    team.run("link")
    assert "nothing was logged yet" in team.run("logs").err
    argv = [sys.executable, "-m", "devproxy", "logs", "-f"]
    log = team.home.folder / "follow.log"
    follower = Program(argv, log, cwd=team.folder, env={"DEVPROXY_HOME": str(team.home.folder)})
    team.programs.append(follower)
    assert team.run("up", "-d").code == 0
    follower.wait_output(r"web\.shop \| web serves on \d+")
    follower.popen.send_signal(signal.SIGINT)
    assert follower.wait() == 0


def test_colours_are_for_terminals(team: Team) -> None:
    team.project("[services.web]\ncommand = \"printf '\\\\033[31mred\\\\033[0m\\\\033[2J\\\\n'\"\n")
    team.run("up", "-d")
    ended = '[devproxy] `web.shop` has ended, and never listened; if that is its work, say so: kind = "task"'
    assert team.run("logs").out == f"web.shop | red\nweb.shop | {ended}\n"
    assert "\x1b[31mred\x1b[0m\n" in (team.home.state / "log" / "web.shop.log").read_text()


def test_outside_a_project_one_says_which(team: Team) -> None:
    team.project(service("web"))
    team.run("link")
    elsewhere = team.home.folder
    assert team.home.run("logs", cwd=elsewhere).code == 0  # the only project there is
    done = team.home.run("logs", "nobody", cwd=elsewhere)
    assert (done.code, done.out) == (1, "")


def test_the_last_so_much_time_and_the_proxys_own(team: Team) -> None:
    team.project(service("web"))
    assert team.run("up", "-d").code == 0
    file = team.home.state / "log" / "web.shop.log"
    file.write_text("2020-01-01T00:00:00.000+00:00 long ago\n" + file.read_text("utf-8"), "utf-8")
    assert "long ago" in team.run("logs", "web").out
    recent = team.run("logs", "--since", "1h").out
    assert "web serves on" in recent
    assert "long ago" not in recent
    assert team.run("logs", "--since", "soon").code == 2
    assert "web.shop" in team.run("logs", "proxy").out


def test_since_is_not_cut_to_a_number_of_lines(team: Team) -> None:
    team.project(service("web"))
    assert team.run("up", "-d").code == 0
    file = team.home.state / "log" / "web.shop.log"
    file.write_text(file.read_text("utf-8") * 300, "utf-8")
    assert len(team.run("logs", "web").out.splitlines()) == 100
    assert len(team.run("logs", "web", "--since", "1h").out.splitlines()) == 300
    assert len(team.run("logs", "web", "--since", "1h", "-n", "7").out.splitlines()) == 7


def test_the_proxys_own_log_is_cut_and_followed_like_any_other(team: Team) -> None:
    team.project(service("web"))
    assert team.run("up", "-d").code == 0
    file = team.home.state / "log" / "devproxy.log"
    wait_until(file.exists, "the proxy to log something")
    file.write_text("2020-01-01T00:00:00.000+00:00 INFO long ago\n  and more\n" + file.read_text("utf-8"), "utf-8")
    assert "INFO long ago\n  and more\n" in team.run("logs", "proxy").out
    recent = team.run("logs", "proxy", "--since", "1h").out
    assert recent
    assert "long ago" not in recent
    assert "and more" not in recent
    argv = [sys.executable, "-m", "devproxy", "logs", "proxy", "-f"]
    log = team.home.folder / "follow.log"
    follower = Program(argv, log, cwd=team.folder, env={"DEVPROXY_HOME": str(team.home.folder)})
    team.programs.append(follower)
    follower.wait_output("INFO long ago")
    with file.open("a", encoding="utf-8") as log_file:
        log_file.write("2030-01-01T00:00:00.000+00:00 INFO news\n")
    follower.wait_output("INFO news")
    follower.popen.send_signal(signal.SIGINT)
    assert follower.wait() == 0
