"""Services that their first request starts, with real programs: once, byte for byte, again, and only if trusted."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests import require
from tests.e2e.clients import open_request, open_websocket, read_answer, request
from tests.e2e.proxy import Devproxy
from tests.ports import free_port, port_range
from tests.waiting import DEADLINE, wait_until

if TYPE_CHECKING:
    from tests.e2e.browser import Launch

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(sys.platform == "win32", reason="there is no `up` on Windows")]

NODE = """\
require("http").createServer((q, r) => {
  const parts = []
  q.on("data", part => parts.push(part))
  q.on("end", () => r.end(q.method + " " + Buffer.concat(parts).toString("base64")))
}).listen(process.env.PORT, "127.0.0.1", () => console.log("node is up"))
"""
ECHO = """\
import os
from websockets.sync.server import serve
def echo(connection):
    for message in connection:
        connection.send(message)
with serve(echo, "127.0.0.1", int(os.environ["PORT"])) as server:
    server.serve_forever()
"""
BROWSER = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
EVIL = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Accept": "text/html"}


class Sleepers:
    """A devproxy whose services are in your own registry, and so trusted; each start leaves a line in `starts`."""

    def __init__(self, devproxy: Devproxy, folder: Path):
        self.devproxy = devproxy
        self.folder = folder
        folder.mkdir()
        (folder / "index.html").write_text("hello")
        (folder / "app.js").write_text(NODE)
        (folder / "echo.py").write_text(ECHO)
        devproxy.settings = f'ports = "{port_range()}"\ngrace = "2s"\n'

    def table(self, name: str, command: str, *lines: str) -> str:
        text = f"echo {name} >> {self.folder}/starts; {command}"
        keys = [f"command = {json.dumps(text)}", f'cwd = "{self.folder}"', 'start = "on-request"', *lines]
        return "\n".join([f"[services.{name}]", *keys]) + "\n"

    def web(self, *lines: str, first: str = "") -> str:
        return self.table("web", f"{first}exec {sys.executable} -u -m http.server", *lines)

    def start(self, *tables: str) -> None:
        self.devproxy.write("".join(tables))
        self.devproxy.start()

    def starts(self, name: str) -> int:
        file = self.folder / "starts"
        return file.read_text().split().count(name) if file.exists() else 0

    def row(self, name: str) -> dict[str, object]:
        rows = json.loads(self.devproxy.cli("ls", "--json").stdout)
        return next(row for row in rows if row["id"] == name)

    def processes(self) -> list[psutil.Process]:
        """Everything that was started here, the proxy apart."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("DEVPROXY_HOME") == str(self.devproxy.home) and process.pid != self._pid():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def _pid(self) -> int:
        return self.devproxy.pid if self.devproxy.program is not None else 0

    def close(self) -> None:
        for file in (self.devproxy.home / "state" / "up").glob("*.json"):
            os.kill(json.loads(file.read_bytes())["pid"], signal.SIGTERM)
        if self.devproxy.program is not None:
            self.devproxy.kill()
        wait_until(lambda: not self.processes(), "everything to end")


@pytest.fixture
def sleepers(devproxy: Devproxy, tmp_path: Path) -> Iterator[Sleepers]:
    made = Sleepers(devproxy, tmp_path / "app")
    yield made
    made.close()


def test_twenty_first_requests_at_once_start_it_once_and_are_all_answered(sleepers: Sleepers) -> None:
    sleepers.start(sleepers.web())
    assert (sleepers.row("web")["state"], sleepers.row("web")["dormant"]) == ("stopped", True)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: sleepers.devproxy.get("web.localhost"), range(20)))
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"hello")] * 20
    assert sleepers.starts("web") == 1
    assert (sleepers.row("web")["state"], sleepers.row("web")["dormant"]) == ("up", False)
    history = sleepers.devproxy.cli("health", "web", "--history").stdout
    assert history.count("web is started: a request came") == history.count("web is started") == 1
    assert "down" not in history


def test_a_node_server_gets_the_body_byte_for_byte(sleepers: Sleepers) -> None:
    import base64

    require.program("node")
    sleepers.start(sleepers.table("app", "exec node app.js"))
    body = bytes(range(256)) * 2000
    answer = request(sleepers.devproxy.port, "app.localhost", "/", method="POST", body=body)
    assert (answer.status, answer.body) == (200, b"POST " + base64.b64encode(body))


def test_one_with_a_port_of_its_own_and_what_it_depends_on(sleepers: Sleepers) -> None:
    port = free_port()
    serve = f"exec {sys.executable} -m http.server --bind 127.0.0.1 {port}"
    sleepers.start(sleepers.table("fixed", serve, f"port = {port}", 'depends_on = ["web"]'), sleepers.web())
    wait_until(lambda: sleepers.row("fixed")["dormant"], "the first look")
    assert sleepers.devproxy.get("fixed.localhost").body == b"hello"
    assert (sleepers.starts("web"), sleepers.starts("fixed")) == (1, 1)
    assert sleepers.devproxy.get("web.localhost").body == b"hello"
    assert sleepers.starts("web") == 1


def test_a_killed_proxy_takes_no_start_along(sleepers: Sleepers) -> None:
    sleepers.start(sleepers.web(first=f"while [ ! -e {sleepers.folder}/go ]; do sleep 0.05; done; "))
    assert request(sleepers.devproxy.port, "web.localhost", "/", headers=BROWSER).status == 503
    wait_until(lambda: sleepers.starts("web"), "the start")
    sleepers.devproxy.kill()
    (sleepers.folder / "go").touch()
    sleepers.devproxy.start()
    sleepers.devproxy.wait_answer("web.localhost", body=b"hello")
    assert sleepers.starts("web") == 1


def test_a_failing_command_is_told_with_its_log_and_tried_again_by_a_later_request(sleepers: Sleepers) -> None:
    go = sleepers.folder / "go"
    sleepers.start(sleepers.web('restart = "never"', first=f"[ -e {go} ] || {{ echo '<oops>'; exit 3; }}; "))
    # Both on one connection, so that the second comes at once, however busy the machine is.
    host = f"GET / HTTP/1.1\nHost: web.localhost:{sleepers.devproxy.port}"
    browser = "\n".join(f"{name}: {value}" for name, value in BROWSER.items())
    asked = f"{host}\nAccept: application/json\n\n{host}\n{browser}\nConnection: close"
    with closing(open_request(sleepers.devproxy.port, asked)) as client:
        answer, page = (read_answer(client) for _ in range(2))
    assert (answer.status, answer.header("Devproxy-Error")) == (502, "start-failed")
    assert "<oops>" in json.loads(answer.body)["log"]
    assert b"&lt;oops&gt;" in page.body
    assert b"devproxy logs web" in page.body
    assert sleepers.starts("web") == 1
    go.touch()
    sleepers.devproxy.wait_answer("web.localhost", body=b"hello")
    assert "web did not start: its command has failed" in sleepers.devproxy.cli("health", "--history").stdout


def test_idle_stop_ends_it_and_the_next_request_starts_it_again(sleepers: Sleepers) -> None:
    sleepers.start(sleepers.web('idle_stop = "1s"'))
    assert sleepers.devproxy.get("web.localhost").body == b"hello"
    wait_until(lambda: not sleepers.processes(), "the end")
    wait_until(lambda: sleepers.row("web")["dormant"], "its state")
    assert sleepers.devproxy.get("web.localhost").body == b"hello"
    assert sleepers.starts("web") == 2
    history = sleepers.devproxy.cli("health", "web", "--history").stdout
    assert "web was ended after 1 s without a request" in history
    assert not re.search(r"web is down|web did not", history)
    assert "web has ended" not in history  # the same once more


def test_a_websocket_starts_it_and_keeps_it(sleepers: Sleepers) -> None:
    sleepers.start(sleepers.table("echo", f"exec {sys.executable} echo.py", 'idle_stop = "500ms"'))
    with closing(open_websocket(sleepers.devproxy.port, "echo.localhost")):
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() - begun > 2.0, "four times its idle_stop to pass")
        assert len(sleepers.processes()) > 0
        assert sleepers.starts("echo") == 1
        assert not sleepers.row("echo")["dormant"]
    wait_until(lambda: not sleepers.processes(), "the end")


def test_a_page_from_elsewhere_starts_nothing_and_neither_does_a_project_that_is_not_trusted(
    sleepers: Sleepers,
) -> None:
    file = sleepers.folder / "devproxy.toml"
    file.write_text('project = "shop"\n' + sleepers.table("api", "exec sleep 100"))
    sleepers.start(sleepers.web(), f'[projects.shop]\npath = "{file}"\n')
    for method in ("GET", "POST"):
        answer = request(sleepers.devproxy.port, "web.localhost", "/", method=method, headers=EVIL)
        assert (answer.status, answer.header("Devproxy-Error")) == (403, "cross-site")
    answer = sleepers.devproxy.get("api.shop.localhost")
    assert (answer.status, answer.header("Devproxy-Error")) == (502, "no-upstream")
    assert f"devproxy link --trust {file}".encode() in answer.body
    assert not (sleepers.folder / "starts").exists()
    assert sleepers.processes() == []


def test_down_ends_it_and_up_by_hand_is_no_second_one(sleepers: Sleepers) -> None:
    sleepers.start(sleepers.web())
    assert sleepers.devproxy.get("web.localhost").status == 200
    assert sleepers.devproxy.cli("up", "-d", "web").stdout == "`web` runs already\n"
    assert sleepers.devproxy.cli("down", "web").stdout == "`web` has ended\n"
    wait_until(lambda: sleepers.row("web")["dormant"], "its state")
    assert sleepers.devproxy.cli("up", "-d", "web").returncode == 0
    assert sleepers.devproxy.get("web.localhost").body == b"hello"
    assert sleepers.starts("web") == 2


def test_the_end_of_the_proxy_does_not_wait_for_a_start(sleepers: Sleepers) -> None:
    sleepers.start(sleepers.web(first="sleep 60; "))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(sleepers.devproxy.get, "web.localhost")
        wait_until(lambda: sleepers.starts("web"), "the start")
        assert sleepers.devproxy.stop() == 0
        answer = waiting.result(DEADLINE)
    assert (answer.status, answer.header("Devproxy-Error")) == (503, "starting")


def test_a_browser_shows_the_log_and_then_the_page(sleepers: Sleepers, chromium: "Launch") -> None:
    go = sleepers.folder / "go"
    wait = f"echo compiling 1 of 2; while [ ! -e {go} ]; do sleep 0.05; done; "
    sleepers.start(sleepers.web(first=wait))
    page = chromium()
    page.goto(sleepers.devproxy.url("web.localhost"), wait_until="domcontentloaded")
    assert page.title() == "web is starting"
    page.wait_for_selector("text=compiling 1 of 2")
    go.touch()
    page.wait_for_selector("text=hello")


# What failed is left alone for as long as the busiest machine takes to load a page again.
PATIENT = """
from devproxy.__main__ import main
from devproxy.daemon import activation
activation.RESPITE = 600.0
raise SystemExit(main())
"""


def test_a_browser_is_told_of_a_failure_once(
    sleepers: Sleepers, chromium: "Launch", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sleepers.devproxy, "argv", lambda *argv: [sys.executable, "-c", PATIENT, *argv])
    sleepers.start(sleepers.table("bad", "echo oops; sleep 1; exit 3", 'restart = "never"'))
    page = chromium()
    page.goto(sleepers.devproxy.url("bad.localhost"), wait_until="domcontentloaded")
    page.wait_for_selector("text=bad did not start")
    page.wait_for_selector("text=oops")
    assert sleepers.starts("bad") == 1
