"""kill -9 of everything that there is, in every order, and one command after which all is well again.

Nothing is waited for between two kills but that the killed process is gone. What a kill sets off (a restart, the
supervisor's end, the proxy's next look at the leases) is under way at the next one, or over, as the machine pleases.
"""

import json
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from tests import require
from tests.e2e.project import Project, kill, lives, project_in
from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

SERVICES = """
project = "shop"

[services.api]
command = "python -m http.server"
cwd = "api"

[services.web]
command = "python -m http.server"
cwd = "web"
depends_on = ["api"]
"""
ORDERS = [
    *permutations(("service", "group", "proxy")),
    ("supervisor", "group", "service", "proxy"),
    ("group", "supervisor", "proxy", "service"),
    ("proxy", "service", "supervisor", "group"),
]
SERVE = (
    "import http.server as h, os;"
    " h.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), h.SimpleHTTPRequestHandler).serve_forever()"
)
NAMES = ("web.shop.localhost", "api.shop.localhost")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    require.linux()
    with project_in(tmp_path) as made:
        made.settings += '\ngrace = "1s"'
        made.write("")
        made.put({"devproxy.toml": SERVICES, "web/index.html": "web", "api/index.html": "api"})
        yield made


def answers(project: Project) -> None:
    for name in NAMES:
        project.wait_answer(name, body=name.partition(".")[0].encode())


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_up_is_up_again_whatever_was_killed(project: Project, order: tuple[str, ...]) -> None:
    project.do("up", "--detach")
    answers(project)
    for pid in [project.pid_of(who) for who in order]:
        kill(pid)

    project.do("up", "--detach")

    answers(project)
    wait_until(lambda: project.number_of("http.server") == 2, "two services", log=lambda: "\n".join(project.left()))
    wait_until(lambda: project.number_of("supervisor.py") == 2, "two supervisors")
    assert project.number_of("--group") == 1
    assert project.number_of("serve") == 1
    assert project.leases() == ["api.shop", "web.shop"]
    assert project.groups() == [project.pid_of("group")]
    assert all(lives(pid) for pid in project.held())
    wait_until(lambda: project.states() == {"api.shop": "up", "web.shop": "up"}, "`ls` to say so")
    assert json.loads(project.do("status", "--json"))["pid"] == project.pid_of("proxy")

    project.do("down")
    project.wait_nothing_left()
    assert (project.leases(), project.groups()) == ([], [])


@pytest.mark.parametrize("order", [("group",), ("group", "supervisor"), ("supervisor", "group")], ids="-".join)
def test_a_port_of_the_file_is_had_again_from_a_service_that_does_not_end(
    project: Project, order: tuple[str, ...]
) -> None:
    port = free_port()
    script = f"import signal; signal.signal(15, signal.SIG_IGN); {SERVE}"
    argv = json.dumps(["python", "-c", script])
    project.put({"devproxy.toml": f'project = "shop"\n[services.web]\nport = {port}\ncwd = "web"\ncommand = {argv}\n'})
    project.do("up", "--detach")
    stubborn = project.pid_of("service")
    for pid in [project.pid_of(who) for who in order]:
        kill(pid)

    project.do("up", "--detach")

    assert not lives(stubborn)
    project.wait_answer(NAMES[0], body=b"web")
    assert project.pid_of("service") != stubborn
    assert project.lease("web.shop")["port"] == port


@pytest.mark.parametrize("order", list(permutations(("service", "run", "proxy"))), ids="-".join)
def test_nothing_is_left_of_a_run(project: Project, order: tuple[str, ...]) -> None:
    project.do("link")
    program = project.run("web")
    project.wait_answer(NAMES[0], body=b"web")
    for pid in [project.pid_of(who) for who in order]:
        kill(pid)
    program.wait()

    states = project.states()
    assert states["api.shop"] == "stopped"
    # Whoever still lived when the service was killed may have said so.
    assert states["web.shop"] in ({"stopped", "failed"} if order.index("service") < order.index("run") else {"stopped"})
    assert project.leases() == []
    project.wait_nothing_left()
    assert project.cli("status").returncode == 3
    again = project.run("web")
    project.wait_answer(NAMES[0], body=b"web")
    again.stop()
    assert project.leases() == []
