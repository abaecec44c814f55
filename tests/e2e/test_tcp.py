"""TCP services with real programs: PostgreSQL, Redis, memcached, a server with a banner; at addresses that stay."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests import require
from tests.e2e.clients import request
from tests.e2e.origin import origin, saying
from tests.e2e.postgres import answer, data_folder, database, psql
from tests.e2e.proxy import Devproxy
from tests.ports import free_port, listening, port_range
from tests.waiting import DEADLINE, PROGRAM_DEADLINE, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and sockets as POSIX has them")


@pytest.fixture
def data() -> Iterator[Path]:
    """Where databases keep their data; gone after what runs on it (`started`)."""
    with data_folder() as folder:
        yield folder


@pytest.fixture
def started(devproxy: Devproxy, data: Path) -> Iterator[Callable[[str], Devproxy]]:
    """Start devproxy with these services; what it or a test has started ends with the test."""

    def start(services: str) -> Devproxy:
        devproxy.settings = f'ports = "{port_range()}"\nlisten_ports = "{port_range()}"\n'
        devproxy.write(services)
        return devproxy.start()

    yield start
    rows = json.loads(devproxy.cli("ls", "--json").stdout)
    running = [row["id"] for row in rows if row["command"] and row["upstream"]]
    if running:
        done = devproxy.cli("down", *running)
        assert done.returncode == 0, done.stderr


def url(proxy: Devproxy, name: str) -> str:
    done = proxy.cli("url", name)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def place(proxy: Devproxy, name: str) -> tuple[str, int]:
    host, _, port = url(proxy, name).partition("://")[2].partition("/")[0].rpartition(":")
    return host, int(port)


def state(proxy: Devproxy, name: str) -> str:
    rows = json.loads(proxy.cli("ls", "--json").stdout)
    return str(next(row for row in rows if row["id"] == name)["state"])


def said(proxy: Devproxy, name: str) -> str:
    return proxy.cli("health", "--history", name).stdout


def talk(place: tuple[str, int], *lines: bytes) -> list[bytes]:
    """Send lines, and read one for each."""
    with socket.create_connection(place, DEADLINE) as client, client.makefile("rb") as answers:
        found = []
        for line in lines:
            client.sendall(line + b"\r\n")
            found.append(answers.readline().rstrip())
        return found


# PostgreSQL


def test_a_database_starts_at_its_first_connection_and_after_a_crash(
    started: Callable[[str], Devproxy], data: Path
) -> None:
    proxy = started(f'[services.db]\n{database(data)}listen = "auto"\nstart = "on-request"\n')
    address = url(proxy, "db")
    assert address.startswith("postgresql://127.0.0.1:")
    assert address.endswith("/postgres")
    assert answer(address, "create table t as select generate_series(1, 100000) a; select count(*) from t").endswith(
        "100000"
    )
    # kill -9: the next connection waits for what repairs it
    (pid,) = [int(line) for line in (data / "data" / "postmaster.pid").read_text().splitlines()[:1]]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(pid), "the database to be gone")
    assert answer(address, "select count(*) from t") == "100000"
    assert url(proxy, "db") == address
    # devproxy itself is killed and started anew: the address is the same, and so is the database
    proxy.kill()
    assert psql(address, "select 1").returncode != 0
    proxy.start()
    assert url(proxy, "db") == address
    assert answer(address, "select count(*) from t") == "100000"


def test_no_transaction_fails_in_a_reload(started: Callable[[str], Devproxy], data: Path, tmp_path: Path) -> None:
    pgbench = require.program("pgbench")
    proxy = started(f'[services.db]\n{database(data)}listen = "auto"\nstart = "on-request"\n')
    host, port = place(proxy, "db")
    common = [pgbench, "-h", host, "-p", str(port), "-U", "postgres", "-n"]
    results: list[str] = []

    def bench(*more: str) -> None:
        done = subprocess.run(
            [*common, *more, "postgres"],
            check=False,
            capture_output=True,
            text=True,
            timeout=PROGRAM_DEADLINE,
            cwd=tmp_path,
        )
        results.append(done.stdout + done.stderr)

    bench("-i", "-q")

    working = threading.Thread(target=bench, args=("-c", "4", "-t", "400"))
    working.start()
    before, number = proxy.registry.read_text(), 0
    while working.is_alive():
        number += 1
        more = f'[services.more{number}]\nport = {5000 + number}\nprotocol = "tcp"\nlisten = "auto"\n'
        proxy.registry.write_text(before + more)
        wait_until(lambda name=f"more{number}": url_of(proxy, name), "the reload")  # type: ignore[misc]
    working.join()
    assert number > 1
    _, told = results
    assert "number of transactions actually processed: 1600/1600" in told
    assert "number of failed transactions: 0" in told


def url_of(proxy: Devproxy, name: str) -> bool:
    """Whether the running proxy listens for a service."""
    done = proxy.cli("url", name)
    with contextlib.suppress(OSError), socket.create_connection(place(proxy, name), DEADLINE):
        return done.returncode == 0
    return False


def test_two_checkouts_have_a_database_each(started: Callable[[str], Devproxy], data: Path, tmp_path: Path) -> None:
    proxy = started("")
    for checkout in ("shop", "fix"):
        folder = tmp_path / checkout
        folder.mkdir()
        (folder / "devproxy.toml").write_text(
            f'project = "shop"\n[services.db]\n{database(data, checkout)}listen = 5432\naddress = "own"\n'
        )
    assert proxy.cli("link", str(tmp_path / "shop")).returncode == 0
    assert proxy.cli("link", str(tmp_path / "fix"), "--as", "fix").returncode == 0
    for checkout in ("shop", "fix"):
        done = proxy.cli("up", "-d", cwd=tmp_path / checkout)
        assert done.returncode == 0, done.stdout + done.stderr
    main, fix = url(proxy, "db.shop"), url(proxy, "db.fix.shop")
    assert main != fix
    assert main.endswith(":5432/postgres")
    assert fix.endswith(":5432/postgres")
    answer(main, "create table migrated (a int)")
    assert "does not exist" in psql(fix, "select * from migrated").stderr
    assert answer(main, "select count(*) from migrated") == "0"
    for checkout in ("shop", "fix"):
        proxy.cli("down", cwd=tmp_path / checkout)


# Redis, memcached, a banner


def test_redis_starts_at_its_first_connection_and_ends_when_nobody_is_connected(
    started: Callable[[str], Devproxy], tmp_path: Path
) -> None:
    redis = require.program("redis-server")
    proxy = started(
        f"[services.cache]\ncommand = \"{redis} --port {{port}} --bind 127.0.0.1 --save ''\"\nprotocol = 'tcp'\n"
        f'cwd = "{tmp_path}"\nlisten = "auto"\nscheme = "redis"\nstart = "on-request"\nidle_stop = "1s"\n'
    )
    at = place(proxy, "cache")
    assert state(proxy, "cache") == "stopped"
    with socket.create_connection(at, DEADLINE) as client, client.makefile("rb") as answers:
        client.sendall(b"SET a 1\r\n")
        assert answers.readline() == b"+OK\r\n"
        # idle for longer than `idle_stop`, and connected: it is left alone
        proxy.cli("ls")
        wait_until(lambda: "is up" in said(proxy, "cache"), "it to be up")
        client.sendall(b"GET a\r\n")
        assert answers.readline() + answers.readline() == b"$1\r\n1\r\n"
    wait_until(lambda: state(proxy, "cache") == "stopped", "it to be ended")
    assert talk(at, b"PING") == [b"+PONG"]


def test_a_web_page_cannot_post_to_redis(started: Callable[[str], Devproxy], tmp_path: Path) -> None:
    redis = require.program("redis-server")
    proxy = started(
        f"[services.cache]\ncommand = \"{redis} --port {{port}} --bind 127.0.0.1 --save ''\"\nprotocol = 'tcp'\n"
        f'cwd = "{tmp_path}"\nlisten = "auto"\nstart = "on-request"\n'
    )
    _, port = place(proxy, "cache")
    attack = request(port, "127.0.0.1", "/", method="POST", body=b"SET stolen 1\r\nSET more 1\r\n")
    assert attack.status == 403
    assert state(proxy, "cache") == "stopped"
    wait_until(lambda: "HTTP request" in said(proxy, "cache"), "the refusal to be written down")
    assert talk(("127.0.0.1", port), b"EXISTS stolen") == [b":0"]
    attack = request(port, "127.0.0.1", "/", method="POST", body=b"SET stolen 1\r\n")
    assert attack.status == 403
    assert talk(("127.0.0.1", port), b"EXISTS stolen") == [b":0"]


def test_memcached_and_a_banner_are_reached(started: Callable[[str], Devproxy], tmp_path: Path) -> None:
    memcached = require.program("memcached") + (" -u root" if os.geteuid() == 0 else "")
    banner = tmp_path / "mail.py"
    banner.write_text(
        "import socket, sys\n"
        'server = socket.create_server(("127.0.0.1", int(sys.argv[1])))\n'
        "while True:\n"
        "    client, _ = server.accept()\n"
        '    client.sendall(b"220 ready\\r\\n")\n'
        '    client.sendall(b"250 " + client.makefile("rb").readline())\n'
    )
    proxy = started(
        f'[services.cache]\ncommand = "{memcached} -l 127.0.0.1 -p {{port}}"\nprotocol = "tcp"\n'
        f'listen = "auto"\nscheme = "memcached"\nstart = "on-request"\n'
        f'[services.mail]\ncommand = "{sys.executable} {banner} {{port}}"\nprotocol = "tcp"\n'
        f'listen = "auto"\nscheme = "smtp"\nstart = "on-request"\n'
    )
    assert talk(place(proxy, "cache"), b"set a 0 0 1\r\nx") == [b"STORED"]
    with socket.create_connection(place(proxy, "mail"), DEADLINE) as client, client.makefile("rb") as answers:
        assert answers.readline() == b"220 ready\r\n"
        client.sendall(b"EHLO x\r\n")
        assert answers.readline() == b"250 EHLO x\r\n"


# What is said


def test_a_port_that_somebody_else_has_is_told_everywhere(started: Callable[[str], Devproxy]) -> None:
    with origin(saying("app")) as app, listening() as taken:
        proxy = started(
            f'[services.db]\nport = {app.port}\nprotocol = "tcp"\nlisten = {taken}\n[services.web]\nport = {app.port}\n'
        )
        assert proxy.get("web.localhost").body == b"app"
        wait_until(proxy.problems, "the problem")
        (problem,) = proxy.problems()
        assert problem["code"] == "port-taken"
        assert f"(pid {os.getpid()})" in str(problem["why"])
        for words in (["ls"], ["url", "db"], ["env", "db"], ["health", "db"]):
            assert f"cannot listen on 127.0.0.1:{taken}" in proxy.cli(*words).stderr, words
        for words in (["url", "web"], ["env", "web"], ["health", "web"]):
            assert "cannot listen" not in proxy.cli(*words).stderr, words
    wait_until(lambda: not proxy.problems(), "it to be had once it is free")


def test_ports_names_the_service_that_is_listened_for(started: Callable[[str], Devproxy]) -> None:
    listen = free_port()
    proxy = started(f'[services.db]\nport = {free_port()}\nprotocol = "tcp"\nlisten = {listen}\n')
    rows = [row for row in json.loads(proxy.cli("ports", "--json").stdout) if row["port"] == listen]
    assert {tuple(row["services"]) for row in rows} == {("db",)}
    assert {row["verdict"] for row in rows} == {"loopback"}
    row = next(row for row in json.loads(proxy.cli("ls", "--json").stdout) if row["id"] == "db")
    assert row["listen"] == [f"127.0.0.1:{listen}", f"[::1]:{listen}"]
    assert row["url"] == f"tcp://127.0.0.1:{listen}"


def test_a_name_of_a_database_in_a_browser_says_where_it_is(started: Callable[[str], Devproxy]) -> None:
    listen = free_port()
    proxy = started(f'[services.db]\nport = {free_port()}\nprotocol = "tcp"\nlisten = {listen}\n')
    page = proxy.get("db.localhost", accept="text/html")
    assert page.status == 404
    assert f"127.0.0.1:{listen}".encode() in page.body
