"""The proxy in the background: real processes, real terminals' ends, and ten starters at once."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devproxy.daemon import control
from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from tests.cli.command import Home
from tests.e2e.processes import accepts
from tests.ports import free_port
from tests.waiting import PROGRAM_DEADLINE, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sessions and signals as POSIX has them")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    made = Home(folder)
    yield made
    made.run("stop")
    assert not proxies(made)


def proxies(home: Home) -> list[psutil.Process]:
    """Every `devproxy serve` of this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if "serve" in process.cmdline() and process.environ().get("DEVPROXY_HOME") == str(home.folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def state(home: Home) -> dict[str, object]:
    found: dict[str, object] = json.loads((home.state / "proxy.json").read_bytes())
    return found


def test_it_takes_connections_when_start_returns_and_is_gone_when_stop_does(home: Home) -> None:
    port = free_port()
    done = home.run("start", "--http", str(port))
    assert done.code == 0, done.err
    pid = state(home)["pid"]
    assert done.out == f"started (pid {pid}): http://devproxy.localhost:{port}\n"
    assert accepts(port)
    assert home.run("status").code == 0
    assert home.run("stop") == (0, f"stopped (pid {pid})\n", "")
    assert not psutil.pid_exists(int(str(pid))) or psutil.Process(int(str(pid))).status() == psutil.STATUS_ZOMBIE
    assert not accepts(port)
    assert home.run("stop") == (0, "the proxy was not running\n", "")


def test_a_second_start_changes_nothing(home: Home) -> None:
    home.run("start", "--http", "0")
    before = state(home)
    done = home.run("start", "--http", "1")
    assert (done.code, state(home)) == (0, before)
    assert done.out.startswith(f"running already (pid {before['pid']})")
    assert "devproxy restart --http 1" in done.err


def test_of_ten_at_once_one_starts_a_proxy(home: Home) -> None:
    argv = [sys.executable, "-m", "devproxy", "start", "--http", "0"]
    starters = [
        subprocess.Popen(argv, env=home.environment(), cwd=home.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(10)
    ]
    said = [starter.communicate(timeout=PROGRAM_DEADLINE) for starter in starters]
    assert [starter.returncode for starter in starters] == [0] * 10, said
    assert sorted(out.split()[0] for out, _ in said) == [b"running"] * 9 + [b"started"]
    assert len(proxies(home)) == 1


def test_it_outlives_its_terminal(home: Home) -> None:
    argv = [sys.executable, "-m", "devproxy", "start", "--http", "0"]
    terminal, end = os.openpty()
    starter = subprocess.Popen(
        argv, env=home.environment(), cwd=home.folder, stdin=end, stdout=end, stderr=end, start_new_session=True
    )
    assert starter.wait(PROGRAM_DEADLINE) == 0
    os.close(end)
    os.close(terminal)
    (proxy,) = proxies(home)
    assert os.getsid(proxy.pid) == proxy.pid
    assert proxy.terminal() is None
    assert proxy.cwd() == str(home.state)
    if sys.platform == "linux":
        kept = [Path(f"/proc/{proxy.pid}/fd/{descriptor}").readlink() for descriptor in range(3)]
        assert kept == [Path("/dev/null"), *[home.state / "log" / "serve.log"] * 2]
    assert home.run("status").code == 0


def test_it_logs_to_files(home: Home) -> None:
    home.run("start", "--http", "0")
    home.run("stop")
    assert "listens on 127.0.0.1" in (home.state / "log" / "serve.log").read_text()
    log = (home.state / "log" / "devproxy.log").read_text()
    assert "stopped" in log
    assert "stopped" not in (home.state / "log" / "serve.log").read_text()


def test_restart_is_another_process_on_the_ports_that_are_asked_for(home: Home) -> None:
    home.run("start", "--http", "0")
    first = state(home)["pid"]
    done = home.run("restart", "--http", "0")
    assert done.code == 0, done.err
    second = state(home)["pid"]
    assert first != second
    assert done.out.startswith(f"stopped (pid {first})\nstarted (pid {second})")


def test_restart_starts_what_did_not_run(home: Home) -> None:
    done = home.run("restart", "--http", "0")
    assert done.out.startswith("the proxy was not running\nstarted (pid ")


def test_a_proxy_that_cannot_start_says_why(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = home.run("start", "--http", str(port))
    assert done.code == 1
    assert done.err.startswith("the proxy did not start: ")
    assert str(port) in done.err
    assert done.err.count("\n  why: ") == done.err.count("\n  fix: ") == 1
    assert "Traceback" not in done.err


def test_what_a_killed_proxy_left_is_not_believed(home: Home) -> None:
    home.run("start", "--http", "0")
    first = int(str(state(home)["pid"]))
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not proxies(home), "the proxy to be gone")
    assert home.run("start", "--http", "0").out.startswith("started")
    assert state(home)["pid"] != first


def test_one_that_does_not_end_is_killed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.run("start", "--http", "0")
    pid = int(str(state(home)["pid"]))
    os.kill(pid, signal.SIGSTOP)  # it cannot hear SIGTERM
    monkeypatch.setattr(control, "MARGIN", 1.0)
    ended = control.stop(Paths(home.folder / "config", home.state), grace=0.0)
    assert ended is not None
    assert (ended.running.pid, ended.was_killed) == (pid, True)


def test_another_users_proxy_is_left_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError

    home.run("start", "--http", "0")
    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", refuse)
        with pytest.raises(DevproxyError, match="cannot be ended"):
            control.stop(Paths(home.folder / "config", home.state), grace=0.0)


def test_the_folder_one_stands_in_is_not_searched_for_modules(home: Home, tmp_path: Path) -> None:
    (tmp_path / "aiohttp.py").write_text("raise SystemExit('run from a cloned repository')\n")
    paths = Paths(home.folder / "config", home.state)
    code = (
        "import sys; from pathlib import Path; from devproxy.daemon import control; from devproxy.paths import Paths;"
        "control.start(Paths(Path(sys.argv[1]), Path(sys.argv[2])), http=0)"
    )
    argv = [sys.executable, "-P", "-c", code, str(paths.config), str(paths.state)]
    done = subprocess.run(argv, cwd=tmp_path, env=home.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
