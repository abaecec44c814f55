"""`devproxy run` with real servers: a name at once, a port nobody chose, and nothing left behind."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import require
from tests.e2e.processes import running
from tests.e2e.run import Folder, folder_in
from tests.ports import free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

HTTP_SERVER = (sys.executable, "-m", "http.server")
NODE = """
const server = require('http').createServer((_, response) => response.end('from node ' + process.env.PORT))
server.listen(process.env.PORT, process.env.HOST, () => console.log('up'))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    require.linux()
    with folder_in(tmp_path) as made:
        (made.folder / "index.html").write_text("hello from a file")
        yield made


def test_a_server_has_a_name_a_port_and_a_proxy(folder: Folder) -> None:
    program = folder.run("--", *HTTP_SERVER)
    folder.wait_answer("app.localhost", body=b"hello from a file")
    assert f"http://app.localhost:{folder.port}" in program.output()
    assert folder.leases() == ["app"]
    assert f"127.0.0.1 port {folder.lease('app')['port']}" in program.output()
    assert program.stop() == 128 + signal.SIGTERM
    assert folder.leases() == []
    folder.wait_status("app.localhost", status=404)
    folder.wait_nothing_left()


def test_a_node_server_behind_two_shells(folder: Folder) -> None:
    node = require.program("node")
    (folder.folder / "server.js").write_text(NODE)
    program = folder.run("web", "--", "sh", "-c", f"sh -c '{node} server.js; true'; true")
    folder.wait_status("web.localhost")
    assert folder.get("web.localhost").body == b"from node %d" % folder.lease("web")["port"]
    program.stop()
    folder.wait_nothing_left()


def test_what_nohup_ignores_stays_ignored(folder: Folder) -> None:
    script = "import signal, http.server as h, os; print('hup', signal.getsignal(1), flush=True);"
    script += " h.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), h.SimpleHTTPRequestHandler).serve_forever()"
    argv = [*folder.argv("run", "web", "--", sys.executable, "-c", script)]
    log = folder.home.parent / "nohup.log"
    with running([require.program("nohup"), *argv], log, cwd=folder.folder, env=folder.env) as program:
        folder.wait_status("web.localhost")
        program.wait_output(f"hup {int(signal.SIG_IGN)}\n")
        (run,) = [one for one in folder.processes() if one.cmdline()[-1] == script and "devproxy" in one.cmdline()]
        run.send_signal(signal.SIGHUP)
        os.killpg(folder.lease("web")["group"], signal.SIGHUP)
        folder.wait_status("web.localhost")
        assert program.stop() == 128 + signal.SIGTERM
    folder.wait_nothing_left()


def test_the_exit_code_is_passed_on(folder: Folder) -> None:
    assert folder.run("--", "sh", "-c", "exit 23").wait() == 23
    assert folder.run("--", "sh", "-c", "kill -9 $$").wait() == 137
    missing = folder.run("--", "no-such-program-anywhere")
    assert missing.wait() == 127
    assert "no-such-program-anywhere could not be started" in missing.output()


def test_output_goes_where_it_would_without_devproxy(folder: Folder) -> None:
    program = folder.run("--", "sh", "-c", "test -t 1 || echo no terminal; echo $PORT $HOST $DEVPROXY_URL")
    assert program.wait() == 0
    assert "no terminal\n" in program.output()
    assert f" 127.0.0.1 http://app.localhost:{folder.port}\n" in program.output()


def test_another_port_is_adopted(folder: Folder) -> None:
    port = free_port()
    script = f"import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.SimpleHTTPRequestHandler).serve_forever()"
    program = folder.run("--", sys.executable, "-c", script)
    program.wait_output(f"listens on port {port}, not on")
    folder.wait_answer("app.localhost", body=b"hello from a file")
    program.stop()


def test_who_has_the_name_keeps_it_and_force_takes_it(folder: Folder) -> None:
    first = folder.run("web", "--", *HTTP_SERVER)
    folder.wait_answer("web.localhost", body=b"hello from a file")
    refused = folder.run("web", "--", *HTTP_SERVER)
    assert refused.wait() == 1
    assert "`web` is running already" in refused.output()
    assert "--force" in refused.output()

    (folder.folder / "new").mkdir()
    (folder.folder / "new" / "index.html").write_text("taken")
    second = folder.run("web", "--force", "--", *HTTP_SERVER, "--directory", "new")
    folder.wait_answer("web.localhost", body=b"taken")
    first.stop()
    assert folder.leases() == ["web"]
    assert folder.get("web.localhost").body == b"taken"
    second.stop()
    assert folder.leases() == []


def test_several_at_once_have_ports_of_their_own(folder: Folder) -> None:
    programs = [folder.run(f"s{number}", "--", "sh", "-c", "echo port:$PORT; sleep 600") for number in range(5)]
    ports = {program.wait_output(r"port:(\d+)")[1] for program in programs}
    assert len(ports) == 5
    for program in programs:
        program.popen.send_signal(signal.SIGTERM)
    assert {program.wait() for program in programs} == {143}
    folder.wait_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_reach_the_command(folder: Folder, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    program = folder.run(
        "--", "sh", "-c", f"trap 'echo got {name}; exit 9' {name}; echo up; while :; do sleep 0.1; done"
    )
    program.wait_output("up")
    program.popen.send_signal(number)
    assert program.wait() == 9
    assert f"got {name}" in program.output()
    folder.wait_nothing_left()


def test_the_registry_says_what_to_run(folder: Folder) -> None:
    port = free_port()
    folder.write(
        f"[services.web]\nport = {port}\ncwd = {str(folder.folder)!r}\n"
        f"command = '{sys.executable} -m http.server {{port}} --bind 127.0.0.1'\n"
    )
    program = folder.run("web")
    folder.wait_answer("web.localhost", body=b"hello from a file")
    program.stop()
    assert folder.get("web.localhost").status == 502


def test_killing_run_ends_everything_and_the_name(folder: Folder) -> None:
    program = folder.run(
        "--", "sh", "-c", f"sh -c '{sys.executable} -m http.server $PORT --bind 127.0.0.1 & setsid sleep 600 & wait'"
    )
    folder.wait_answer("app.localhost", body=b"hello from a file")
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    folder.wait_nothing_left()
    assert folder.leases() == []


def test_killing_the_service_ends_run(folder: Folder) -> None:
    program = folder.run("--", *HTTP_SERVER)
    folder.wait_answer("app.localhost", body=b"hello from a file")
    server = next(
        one for one in folder.processes() if "http.server" in " ".join(one.cmdline()) and "run" not in one.cmdline()
    )
    server.kill()
    assert program.wait() == 137
    assert folder.leases() == []
    folder.wait_nothing_left()


def test_killing_run_and_its_supervisor_is_cleaned_up_by_the_next_command(folder: Folder) -> None:
    program = folder.run("--", *HTTP_SERVER)
    folder.wait_answer("app.localhost", body=b"hello from a file")
    supervisor = next(one for one in folder.processes() if any("supervisor.py" in word for word in one.cmdline()))
    program.popen.send_signal(signal.SIGSTOP)  # so that it does not notice
    supervisor.kill()
    program.popen.send_signal(signal.SIGKILL)
    program.wait()
    folder.cli("ls")
    assert folder.leases() == []
    folder.wait_nothing_left()


def test_killing_the_proxy_changes_nothing_but_the_proxy(folder: Folder) -> None:
    program = folder.run("web", "--", *HTTP_SERVER)
    folder.wait_answer("web.localhost", body=b"hello from a file")
    proxy = next(one for one in folder.processes() if "serve" in one.cmdline())
    proxy.kill()
    wait_until(lambda: proxy not in folder.processes(), "the proxy to be gone")
    other = folder.run("other", "--", *HTTP_SERVER)  # which starts it again
    folder.wait_answer("other.localhost", body=b"hello from a file")
    folder.wait_answer("web.localhost", body=b"hello from a file")
    for one in (program, other):
        one.stop()
    assert folder.leases() == []
