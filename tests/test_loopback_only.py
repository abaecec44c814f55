"""devproxy is bound to loopback and to nothing else, whatever it is told: settings, variables, flags, systemd.

Not here: how a port is chosen (`tests/net/test_loopback.py`).
"""

import ast
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devproxy import __version__
from devproxy.addresses import is_loopback
from tests import require
from tests.daemon.process import Daemon, both, daemon_in
from tests.e2e.origin import origin, saying
from tests.e2e.processes import clean_environment
from tests.ports import free_port
from tests.waiting import DEADLINE, PROGRAM_DEADLINE, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and sockets as POSIX has them")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with daemon_in(tmp_path) as made:
        yield made


def test_it_listens_on_both_loopback_addresses_and_on_nothing_else(daemon: Daemon) -> None:
    require.ipv6()
    daemon.write("")
    daemon.start()
    assert daemon.bound() == both(daemon.port)


def test_https_is_on_both_as_well_and_on_nothing_else(daemon: Daemon) -> None:
    require.ipv6()
    daemon.https_port = free_port()
    daemon.write("")
    daemon.start()
    assert daemon.bound() == sorted([*both(daemon.port), *both(daemon.https_port)])
    assert daemon.pid_file["https"] == daemon.https_port


def test_no_variable_and_no_setting_widens_it(daemon: Daemon) -> None:
    require.ipv6()
    names = ("HOST", "BIND", "ADDRESS", "LISTEN", "INTERFACE", "SERVER_NAME", "AIOHTTP_HOST", "GUNICORN_CMD_ARGS")
    prefixed = ("HOST", "BIND", "LISTEN", "ADDRESS", "INTERFACE", "HTTP", "HTTPS", "PORT", "EXPOSE", "PUBLIC", "LOOP")
    daemon.extra = dict.fromkeys([*names, *(f"DEVPROXY_{name}" for name in prefixed)], "0.0.0.0")
    settings = ("host", "bind", "address", "addresses", "listen", "interface", "expose", "public", "hostname")
    daemon.settings = "\n".join(f'{name} = "0.0.0.0"' for name in settings)
    # A [proxy] that is wrong has no effect at all until it was right once, so the port is set from outside.
    daemon.registry.write_text(daemon.text(""), "utf-8")
    program = subprocess.Popen(
        daemon.argv("serve", "--http", str(daemon.port)),
        env=clean_environment(daemon.env),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert program.stdout is not None
        assert program.stdout.readline().startswith(f"devproxy {__version__} listens on 127.0.0.1:{daemon.port}")
        found = psutil.Process(program.pid).net_connections(kind="all")
        assert sorted(entry.laddr[:2] for entry in found if entry.status == "LISTEN") == both(daemon.port)
    finally:
        program.terminate()
        program.communicate(timeout=DEADLINE)


@pytest.mark.parametrize("flag", ["--host", "--bind", "--address", "--listen", "--interface", "--expose", "--public"])
def test_no_flag_widens_it(daemon: Daemon, flag: str) -> None:
    done = daemon.cli("serve", flag, "0.0.0.0")
    assert done.returncode == 2
    assert daemon.cli("serve", f"{flag}=0.0.0.0").returncode == 2


@pytest.mark.parametrize("value", ["0.0.0.0", "0.0.0.0:80", "[::]:80", "*:80", "-1", "65536"])
def test_a_port_is_a_port(daemon: Daemon, value: str) -> None:
    assert daemon.cli("serve", "--http", value).returncode == 2


def test_nothing_is_ever_bound_beyond_loopback_while_it_serves(daemon: Daemon) -> None:
    with origin(saying("app")) as app:
        daemon.write(f"[services.app]\nport = {app.port}\n")
        daemon.start()
        daemon.wait_answer("app.localhost", body=b"app")
        assert daemon.api("services")
        assert all(is_loopback(host) for host, _ in daemon.bound())


SYSTEMD = """
import os, socket, sys
made = [socket.create_server((host, 0), family=family) for host, family in {pairs}]
for number, sock in enumerate(made): os.dup2(os.dup(sock.fileno()), 3 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(made)))
os.execv(sys.executable, [sys.executable, "-m", "devproxy", "serve"])
"""


def test_nothing_else_in_devproxy_connects() -> None:
    """The proof tries this machine's own addresses; the demo asks the proxy that it has started."""
    root = Path(__file__).parents[1] / "devproxy"
    connects = {"connect", "connect_ex", "sock_connect", "create_connection", "create_unix_connection"}
    connects |= {"open_connection", "open_unix_connection", "urlopen", "HTTPConnection", "ClientSession"}
    found = set()
    for file in root.rglob("*.py"):
        calls = [node.func for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
        if {getattr(call, "attr", getattr(call, "id", "")) for call in calls} & connects:
            found.add(file.relative_to(root).as_posix())
    by_dial = {"net/dial.py", "proxy/negotiate.py", "health/probe.py"}
    assert found - {"registry/merge.py"} == by_dial | {"health/reachability.py", "cli/demo.py", "run/session.py"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_wide_socket_of_systemd_ends_it_with_4(daemon: Daemon, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    code = SYSTEMD.format(pairs=[(host, int(family))])
    argv, env = [sys.executable, "-c", code], clean_environment(daemon.env)
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=PROGRAM_DEADLINE, check=False)
    assert done.returncode == 4
    assert f"refusing to listen on {f'[{host}]' if ':' in host else host}:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not daemon.state.exists()


def test_sockets_of_systemd_are_served(daemon: Daemon) -> None:
    require.ipv6()
    daemon.write("")
    pairs = [("127.0.0.1", int(socket.AF_INET)), ("::1", int(socket.AF_INET6))]
    daemon.write("")  # where HTTPS is off
    code = SYSTEMD.format(pairs=pairs).replace("(host, 0)", f"(host, {daemon.port})")
    program = subprocess.Popen(
        [sys.executable, "-c", code], env=clean_environment(daemon.env), stdout=subprocess.DEVNULL
    )
    try:
        wait_until(daemon.state.exists, "proxy.json")
        assert daemon.api("status")["addresses"] == [f"127.0.0.1:{daemon.port}", f"[::1]:{daemon.port}"]  # type: ignore[index]
        assert len(psutil.Process(program.pid).net_connections(kind="inet")) >= 2
    finally:
        program.terminate()
        assert program.wait(DEADLINE) == 0
