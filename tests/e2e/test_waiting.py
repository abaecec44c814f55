"""A service that stands still, as at a breakpoint: with real programs, and as a person sees it.

Lives here: a process that is really stopped, a debugger's client that is really connected, events, `ls` and the page.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest
from websockets.sync.client import connect

from tests import require
from tests.e2e.clients import open_request, read_answer
from tests.e2e.processes import Program, running
from tests.e2e.proxy import Devproxy
from tests.ports import free_port
from tests.waiting import DEADLINE, wait_until

if TYPE_CHECKING:
    from tests.e2e.browser import Launch

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")]

SERVER = """
const answer = (request, response) => request.url === "/" ? response.end("hello") : global.late = response
require("http").createServer(answer).listen(+process.argv[1], "127.0.0.1", () => console.log("node is up"))
process.on("SIGUSR2", () => global.late.end("late"))
"""


@contextmanager
def node_server(folder: Path, *options: str) -> Iterator[tuple[Program, int]]:
    """It answers all but `/` when SIGUSR2 says so."""
    port = free_port()
    argv = [require.program("node"), *options, "-e", SERVER, str(port)]
    with running(argv, folder / "node.log", cwd=folder) as program:
        program.wait_output("node is up")
        yield program, port


def table(port: int, more: str = "") -> str:
    return f"[services.web]\nport = {port}\n{more}\n"


def history(devproxy: Devproxy) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(devproxy.get("devproxy.localhost", "/api/history").body)
    return found


def wait_event(devproxy: Devproxy, kind: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = [event for event in history(devproxy) if event["kind"] == kind]
        return bool(found)

    wait_until(look, f"the event {kind}", log=devproxy.output)
    return found[0]


def test_a_stopped_process_is_waited_for_beyond_the_limit(serve: Callable[[str], Devproxy], tmp_path: Path) -> None:
    with node_server(tmp_path) as (program, port), ThreadPoolExecutor() as pool:
        devproxy = serve(table(port, 'response_timeout = "500ms"'))
        devproxy.wait_answer("web.localhost", body=b"hello")
        assert devproxy.get("web.localhost", "/slow").status == 504
        os.kill(program.pid, signal.SIGSTOP)
        answer = pool.submit(devproxy.get, "web.localhost")
        assert f"process {program.pid} is stopped by a signal" in wait_event(devproxy, "paused")["text"]
        assert not answer.done()
        os.kill(program.pid, signal.SIGCONT)
        assert answer.result(DEADLINE).body == b"hello"
        assert "web goes on after" in wait_event(devproxy, "resumed")["text"]


def test_a_debugger_that_is_connected_stops_the_clock(serve: Callable[[str], Devproxy], tmp_path: Path) -> None:
    inspector = free_port()
    with (
        node_server(tmp_path, f"--inspect=127.0.0.1:{inspector}") as (program, port),
        ThreadPoolExecutor() as pool,
    ):
        devproxy = serve(table(port, 'response_timeout = "500ms"'))
        devproxy.wait_answer("web.localhost", body=b"hello")
        with urlopen(f"http://127.0.0.1:{inspector}/json") as listed:
            (target,) = json.load(listed)
        with connect(target["webSocketDebuggerUrl"], open_timeout=DEADLINE):
            answer = pool.submit(devproxy.get, "web.localhost", "/late")
            told = wait_event(devproxy, "paused")["text"]
            assert f"a debugger is connected to port {inspector} of process {program.pid}" in told
            assert not answer.done()
            os.kill(program.pid, signal.SIGUSR2)
            assert answer.result(DEADLINE).body == b"late"
            answer = pool.submit(devproxy.get, "web.localhost", "/late")
        wait_event(devproxy, "resumed")
        assert answer.result(DEADLINE).status == 504


def test_a_long_wait_is_seen_everywhere(serve: Callable[[str], Devproxy], tmp_path: Path, chromium: "Launch") -> None:
    """No limit is set: there is none."""
    with node_server(tmp_path) as (program, port):
        devproxy = serve(table(port))
        devproxy.wait_answer("web.localhost", body=b"hello")
        page = chromium()
        page.goto(devproxy.url("devproxy.localhost"))
        os.kill(program.pid, signal.SIGSTOP)
        with open_request(devproxy.port, "GET /late HTTP/1.1\nHost: web.localhost") as client:
            assert wait_event(devproxy, "unanswered")["text"].startswith("waiting 1")
            why = f"process {program.pid} is stopped by a signal"
            wait_until(lambda: why in devproxy.cli("ls").stderr, "ls to say it", log=devproxy.output)
            assert "waiting 1" in devproxy.cli("ls").stderr
            (row,) = json.loads(devproxy.cli("ls", "--json").stdout)
            assert row["waiting"]["requests"] == 1
            assert row["waiting"]["seconds"] >= 10
            assert row["waiting"]["why"] == why
            (row,) = json.loads(devproxy.get("devproxy.localhost", "/api/services").body)
            assert row["waiting"]["requests"] == 1
            assert json.loads(devproxy.get("devproxy.localhost", "/api/status").body)["waiting"] == 1
            shown = page.locator(".waiting")
            shown.wait_for(timeout=DEADLINE * 1000)
            assert shown.inner_text().startswith("waiting since ")
            if where := os.environ.get("DEVPROXY_SCREENSHOT"):
                page.screenshot(path=where)
            os.kill(program.pid, signal.SIGCONT)
            wait_event(devproxy, "resumed")
            os.kill(program.pid, signal.SIGUSR2)
            assert read_answer(client).status == 200
        assert wait_event(devproxy, "answered")["text"].startswith("web answered after ")
        shown.wait_for(state="detached", timeout=DEADLINE * 1000)
        wait_until(lambda: "waiting" not in devproxy.cli("ls").stderr, "ls to say so", log=devproxy.output)
        (row,) = json.loads(devproxy.cli("ls", "--json").stdout)
        assert row["waiting"] is None
