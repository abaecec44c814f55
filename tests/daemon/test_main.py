"""The daemon as a whole, as a process: what it binds, what it tells, what it writes, how it ends.

Not here: how each way of writing a file becomes a change, and signals under traffic (`tests/e2e/`).
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from devproxy import __version__
from devproxy.daemon.main import RESERVED_DESCRIPTORS, client_limits
from tests.daemon.process import OWN, Daemon, both, daemon_in
from tests.e2e.clients import open_request, open_websocket, read_head
from tests.e2e.origin import Handler, origin, saying
from tests.e2e.processes import clean_environment
from tests.imported import imported_build
from tests.ports import free_port
from tests.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and sockets as POSIX has them")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with daemon_in(tmp_path) as made:
        yield made


# What it tells


def test_it_prints_each_names_url_and_every_problem(daemon: Daemon) -> None:
    daemon.write("[services.app]\nport = 3000\n[services.web]\nport = 3001\n")
    (daemon.registry.parent / "shop.toml").write_text('project = "shop"\n[services.web]\nprot = 1\n')
    daemon.registry.write_text(daemon.registry.read_text() + '[projects.shop]\npath = "shop.toml"\n')
    daemon.start()
    assert daemon.program is not None
    daemon.program.wait_output(r"fix: .*\n")
    said = daemon.output()
    assert f"devproxy {__version__} listens on 127.0.0.1:{daemon.port} and [::1]:{daemon.port}\n" in said
    assert re.search(rf"http://app\.localhost:{daemon.port} +→ +http://localhost:3000\n", said)
    assert f"http://{OWN}:{daemon.port}/" in said
    assert "1 problem:\n" in said
    assert re.search(r"shop\.toml:3:\d+: error: unknown key", said)
    assert len(daemon.problems()) == 1


def test_a_port_that_is_taken_is_an_error_that_names_its_holder(daemon: Daemon) -> None:
    daemon.write("")
    with closing(socket.create_server(("127.0.0.1", daemon.port))):
        done = daemon.cli("serve")
    assert done.returncode == 1
    assert f"port {daemon.port} on 127.0.0.1 is held by" in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr
    assert not daemon.state.exists()


def test_a_reader_of_its_output_that_leaves_does_not_end_it(daemon: Daemon) -> None:
    daemon.write("")
    read, write = os.pipe()
    os.close(read)
    program = subprocess.Popen(
        daemon.argv("serve"), env=clean_environment(daemon.env), stdout=write, stderr=write, start_new_session=True
    )
    os.close(write)
    try:
        wait_until(daemon.state.exists, "proxy.json")
        assert daemon.get(OWN, "/api/status").status == 200
        daemon.write("[services.app]\nport = 3000\n")
        wait_until(lambda: daemon.api("services"), "the change")
    finally:
        program.terminate()
        assert program.wait(DEADLINE) == 0


def test_another_port_takes_a_restart_and_a_notice_says_so(daemon: Daemon) -> None:
    daemon.write("")
    daemon.start()
    daemon.registry.write_text(f"[proxy]\nhttp = {free_port()}\n")
    wait_until(lambda: "restart devproxy to listen there" in daemon.output(), "the notice", log=daemon.output)
    assert daemon.bound() == both(daemon.port)
    assert b"restart devproxy" in daemon.get(OWN, "/").body


# What it writes


def test_what_leads_to_https_is_told_where_no_port_is_open_for_it(daemon: Daemon) -> None:
    daemon.write("")
    daemon.registry.write_text(f"[proxy]\nhttp = {daemon.port}\n[services.app]\nport = 3000\nredirect = true\n")
    daemon.options = ("--https", "off")
    daemon.start()
    told = f"{daemon.registry}:5:1: warning: `redirect` does nothing here [no-https]"
    wait_until(lambda: told in daemon.output(), "it to be told", log=daemon.output)
    assert told in daemon.cli("ls").stderr
    daemon.registry.write_text(daemon.registry.read_text().replace("true", "false"))
    wait_until(lambda: not daemon.problems(), "it to be mended", log=daemon.output)


def test_problems_are_in_proxy_json_until_they_are_mended(daemon: Daemon) -> None:
    daemon.write("[services.app]\nport = 3000\n")
    daemon.start()
    assert daemon.pid_file == {
        "pid": daemon.pid,
        "started": pytest.approx(daemon.process.create_time(), abs=1),
        "http": daemon.port,
        "https": None,
        "protocols": ["h2", "http/1.1"],
        "version": __version__,
        "build": imported_build(),
        "problems": [],
        "in_force": None,
    }
    daemon.write("[services.app]\nport = 3000\nprot = 1\n")
    wait_until(daemon.problems, "the problem", log=daemon.output)
    assert daemon.problems()[0]["code"] == "unknown-key"
    assert [service["id"] for service in daemon.pid_file["in_force"]["services"]] == ["app"]
    assert len(daemon.api("problems")) == 1  # type: ignore[arg-type]
    daemon.write("[services.app]\nport = 3000\n")
    wait_until(lambda: not daemon.problems(), "no problem", log=daemon.output)
    assert daemon.output().count("unknown key") == 2  # that it is there, and that it is mended
    assert daemon.output().count("mended: ") == 1


def test_the_access_log_is_opt_in_follows_the_registry_and_keeps_no_secret(daemon: Daemon) -> None:
    log = daemon.home / "state" / "log" / "access.log"
    with origin(saying("app")) as app:
        services = f"[services.app]\nport = {app.port}\n"
        daemon.write(services)
        daemon.start()
        daemon.wait_answer("app.localhost", "/unlogged", body=b"app")
        daemon.settings = "access_log = true"
        daemon.write(services)
        wait_until(lambda: "settings changed" in daemon.output(), "the change", log=daemon.output)
        daemon.get("app.localhost", "/logged?token=secret", Authorization="Basic secret", Cookie="a=secret")
        wait_until(log.exists, "the access log", log=daemon.output)
        assert daemon.stop() == 0
    text = log.read_text()
    assert re.fullmatch(r'\S+Z app 200 3 \d+\.\d "GET /logged"\n', text)


# devproxy.localhost


def test_its_own_pages_answer_at_their_name_only(daemon: Daemon) -> None:
    with origin(saying("app")) as app:
        daemon.write(f"[services.app]\nport = {app.port}\n")
        daemon.start()
        assert [row["url"] for row in daemon.api("services")] == [f"http://app.localhost:{daemon.port}"]  # type: ignore[attr-defined]
        assert b"http://app.localhost:" in daemon.get(OWN, "/").body
        daemon.wait_answer("app.localhost", "/api/services", body=b"app")
        assert daemon.get("evil.example", "/api/services").status == 421
        with closing(open_request(daemon.port, f"HEAD /api/status HTTP/1.1\nHost: {OWN}")) as client:
            assert b"\r\nConnection: close\r\n" not in read_head(client)
            # What comes next on the connection may be for another name.
            client.sendall(b"GET / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n")
            assert b"".join(iter(lambda: client.recv(65536), b"")).endswith(b"app")


def test_a_change_is_told_to_whoever_listens_and_a_stop_ends_the_stream(daemon: Daemon) -> None:
    daemon.write("")
    daemon.start()
    head = f"GET /api/events HTTP/1.1\nHost: {OWN}\nAccept: text/event-stream"
    with closing(open_request(daemon.port, head)) as client:
        read_until(client, b"retry: ")
        daemon.write("[services.app]\nport = 3000\n")
        read_until(client, b'"added":["app"]')
        assert daemon.stop() == 0
        while client.recv(65536):
            pass


def read_until(client: socket.socket, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        piece = client.recv(65536)
        assert piece, f"closed before {wanted!r}: {seen!r}"
        seen += piece


# Changes


def test_a_change_disturbs_neither_the_old_name_nor_an_open_stream(daemon: Daemon) -> None:
    with origin(echo) as old, origin(saying("new")) as new:
        daemon.write(f"[services.old]\nport = {old.port}\n")
        daemon.start()
        with closing(open_websocket(daemon.port, "old.localhost")) as stream:
            daemon.write(f"[services.old]\nport = {old.port}\n[services.new]\nport = {new.port}\n")

            def is_new_there() -> bool:
                assert daemon.get("old.localhost").status == 200
                return daemon.get("new.localhost").status == 200

            wait_until(is_new_there, "new.localhost", log=daemon.output)
            stream.sendall(b"ping")
            assert stream.recv(4) == b"ping"
    assert daemon.output().count("added new\n") == 1


def echo(handler: Handler) -> None:
    if handler.headers.get("Upgrade") is None:
        handler.reply(b"old")
        return
    handler.switch()
    while data := handler.connection.recv(100):
        handler.connection.sendall(data)


# The end


def test_a_second_ctrl_c_ends_it_at_once(daemon: Daemon) -> None:
    def never(handler: Handler) -> None:
        handler.connection.recv(1)

    daemon.settings = 'grace = "10m"'
    with origin(never) as app:
        daemon.write(f"[services.app]\nport = {app.port}\n")
        daemon.start()
        with closing(open_request(daemon.port, "GET / HTTP/1.1\nHost: app.localhost")):
            wait_until(app.record.paths, "the request")
            assert daemon.program is not None
            daemon.program.popen.send_signal(signal.SIGINT)
            wait_until(lambda: "stopping: 1 connection" in daemon.output(), "the first", log=daemon.output)
            assert daemon.program.popen.poll() is None
            daemon.program.popen.send_signal(signal.SIGINT)
            assert daemon.program.wait() == 130
    assert not daemon.state.exists()
    assert "Traceback" not in daemon.output()


def test_proxy_json_of_somebody_else_is_left_alone(daemon: Daemon) -> None:
    daemon.write("")
    daemon.start()
    me = psutil.Process()
    daemon.state.write_text(json.dumps({"pid": me.pid, "started": me.create_time()}))
    assert daemon.stop() == 0
    assert json.loads(daemon.state.read_bytes())["pid"] == me.pid


def test_it_runs_on_asyncio_alone(daemon: Daemon) -> None:
    daemon.extra = {"DEVPROXY_LOOP": "asyncio"}
    with origin(saying("app")) as app:
        daemon.write(f"[services.app]\nport = {app.port}\n")
        daemon.start()
        daemon.wait_answer("app.localhost", body=b"app")
        assert daemon.api("status")["loop"] == "asyncio"  # type: ignore[index]
        assert daemon.stop() == 0
    assert "Traceback" not in daemon.output()


@pytest.mark.parametrize("descriptors", [256, 1024, 4096, 1 << 20])
def test_clients_of_both_kinds_together_have_descriptors(descriptors: int) -> None:
    assert 2 * sum(client_limits(descriptors)) <= descriptors - RESERVED_DESCRIPTORS
