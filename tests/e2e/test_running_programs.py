"""Programs that are hard on whoever runs them, as services of `devproxy up`.

Lives here: those that end with their input, drain at the end, open ports of their own, ask, and draw on their line.
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import require
from tests.cli.team import Team, get, team_in
from tests.e2e.run import OnTerminal
from tests.ports import free_port
from tests.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    require.linux()
    yield from team_in(tmp_path)


def page(team: Team, name: str, text: str) -> None:
    """Wait until a service's page has `text` in it."""
    host = f"{name}.shop.localhost"
    wait_until(lambda: text in get(team.port, host), f"{text!r} at {host}", log=lambda: team.run("logs").out[-3000:])


def test_esbuild_serves_on(team: Team, node_modules: Path) -> None:
    (team.folder / "index.html").write_text("built by esbuild")
    esbuild = node_modules / "esbuild" / "bin" / "esbuild"
    command = f"exec node {esbuild} --servedir=. --serve=127.0.0.1:{{port}}"
    # it takes requests for its own address alone
    team.project(f'[services.web]\ncommand = "{command}"\nrestart = "never"\nhost_header = "upstream"\n')
    done = team.run("up", "-d")
    assert done.code == 0, done.err
    page(team, "web", "built by esbuild")
    assert team.states() == {"web.shop": "up"}
    assert team.run("down").out == "`web.shop` has ended\n"


def test_tailwind_watches_on(team: Team, node_modules: Path) -> None:
    (team.folder / "in.css").write_text('@import "tailwindcss" source("./pages");')
    (team.folder / "pages").mkdir()
    (team.folder / "pages" / "a.html").write_text('<p class="text-red-500">')
    (team.folder / "node_modules").symlink_to(node_modules)
    command = "exec node node_modules/@tailwindcss/cli/dist/index.mjs -i in.css -o out.css --watch"
    team.project(f'[services.css]\nkind = "worker"\ncommand = "{command}"\nrestart = "never"\n')
    done = team.run("up", "-d")
    assert done.code == 0, done.err
    out = team.folder / "out.css"
    wait_until(lambda: out.exists() and "text-red-500" in out.read_text(), "the styles", log=team.said)
    assert team.states() == {"css.shop": "up"}
    (team.folder / "pages" / "b.html").write_text('<p class="text-blue-500">')
    wait_until(lambda: "text-blue-500" in out.read_text(), "the new styles", log=lambda: team.run("logs").out)
    assert team.run("down").out == "`css.shop` has ended\n"


QUEUE = """
import os, pathlib, time
from celery import Celery
here = pathlib.Path(__file__).parent
app = Celery("queue", broker="filesystem://")
folders = {name: str(here / "queue") for name in ("data_folder_in", "data_folder_out")}
app.conf.broker_transport_options = folders | {"control_folder": str(here / "control")}
@app.task
def slow():
    (here / "begun").touch()
    while not (here / "go").exists(): time.sleep(0.02)
    (here / "finished").touch()
"""


@pytest.mark.parametrize("shell", ["exec ", ""], ids=["itself", "in a shell"])
def test_celery_finishes_its_task_when_it_is_to_end(team: Team, shell: str) -> None:
    require.module("celery")
    (team.folder / "tasks.py").write_text(QUEUE)
    (team.folder / "queue").mkdir()
    worker = f"{sys.executable} -m celery -A tasks worker --concurrency=2 --loglevel=INFO"
    command = f"{shell}{worker}" if shell else f"{worker}; true"
    send = f"{sys.executable} -c 'import tasks; tasks.slow.delay()'"
    team.project(
        f'[services.queue]\nkind = "worker"\nstop_grace = "5m"\ncommand = "{command}"\n',
        f'[services.send]\nkind = "task"\ncommand = "{send}"\n',
    )
    up = team.up()
    wait_until((team.folder / "begun").exists, "the task to begin", log=up.output)
    team.wait_states(send="done", queue="up")
    assert not (team.folder / "finished").exists()
    up.popen.terminate()
    up.wait_output("Warm shutdown")
    (team.folder / "go").touch()
    assert up.wait() == 0, up.output()
    assert (team.folder / "finished").exists()
    assert "WorkerLost" not in up.output()


def test_a_debugger_of_node_is_not_the_service(team: Team) -> None:
    require.program("node")
    serve = "require('http').createServer((q, r) => r.end('the api')).listen(process.env.PORT, '127.0.0.1')"
    wait = "const go = () => require('fs').existsSync('go') ? start() : setTimeout(go, 20); go()"
    (team.folder / "api.js").write_text(f"function start() {{ {serve} }}\n{wait}\n")
    port = free_port()
    team.project(
        f'[services.api]\ncommand = "exec node api.js"\nenv = {{ NODE_OPTIONS = "--inspect=127.0.0.1:{port}" }}\n',
        '[services.web]\ncommand = "touch started; exec python3 -m http.server"\ndepends_on = ["api"]\n',
    )
    up = team.up()
    up.wait_output(f"Debugger listening on ws://127.0.0.1:{port}")
    up.wait_output("`web.shop` waits for `api.shop`")  # after five seconds: it would have been adopted by then
    assert not (team.folder / "started").exists()
    (team.folder / "go").touch()
    page(team, "api", "the api")
    team.wait_states(web="up")
    assert "its name leads there" not in up.output()


def test_a_debugger_of_python_is_not_the_service(team: Team) -> None:
    require.module("debugpy")
    serve = "h.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), h.SimpleHTTPRequestHandler).serve_forever()"
    script = f"import http.server as h, os, time\nwhile not os.path.exists('go'): time.sleep(0.02)\n{serve}\n"
    (team.folder / "app.py").write_text(script)
    (team.folder / "index.html").write_text("the app")
    command = f"{sys.executable} -Xfrozen_modules=off -m debugpy --listen 127.0.0.1:{free_port()} app.py"
    team.project(f'[services.app]\ncommand = "{command}"\n')
    up = team.up()
    up.wait_output("`app.shop` is not up: nothing listens on port")
    (team.folder / "go").touch()
    page(team, "app", "the app")
    assert "its name leads there" not in up.output()


def test_a_prompt_is_shown_and_a_spinner_is_not(team: Team) -> None:
    script = "\n".join(
        [
            "import sys",
            "for frame in '-|/': sys.stdout.write(f'\\x1b[1G{frame} building')",
            "sys.stdout.write('\\x1b[1G\\x1b[0Kdone\\nOk to proceed? (y) ')",
            "sys.stdout.flush()",
            "sys.stdin.read()",
        ]
    )
    (team.folder / "ask.py").write_text(script)
    team.project(f'[services.ask]\nkind = "worker"\ncommand = ["{sys.executable}", "ask.py"]\n')
    up = team.up()
    up.wait_output(r"ask\.shop +\| Ok to proceed\? \(y\)")
    assert "| done\n" in up.output()
    assert "building" not in up.output()


def test_a_debugger_of_a_service_is_reached_from_another_terminal(team: Team) -> None:
    script = "\n".join(
        [
            "import http.server as h, os",
            "class Page(h.BaseHTTPRequestHandler):",
            "    def do_GET(self):",
            "        breakpoint()",
            "        self.send_response(200); self.end_headers(); self.wfile.write(b'went on')",
            "h.ThreadingHTTPServer.daemon_threads = True",
            "h.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), Page).serve_forever()",
        ]
    )
    (team.folder / "app.py").write_text(script)
    team.project(f'[services.web]\ncommand = ["{sys.executable}", "-u", "app.py"]\n')
    up = team.up()
    team.wait_states(web="up")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(get, team.port, "web.shop.localhost")
        up.wait_output(r"\(Pdb\)")
        terminal = OnTerminal(
            [sys.executable, "-m", "devproxy", "attach", "web"], cwd=team.folder, env=team.home.environment()
        )
        try:
            terminal.wait_seen("attached to `web.shop`: Ctrl-D gives this terminal back")
            terminal.wait_seen(r"\(Pdb\)")
            terminal.type("print(6 * 7, self.path)\n")
            terminal.wait_seen("42 /")
            terminal.type("continue\n")
            assert answer.result(DEADLINE) == "went on"
            terminal.type("\x04")
            terminal.wait_seen("`web.shop` runs on")
            assert terminal.wait() == 0
        finally:
            terminal.close()
    assert team.states() == {"web.shop": "up"}
