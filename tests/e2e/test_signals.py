"""What signals and sudden death do to the proxy, seen from outside.

Lives here: SIGTERM, SIGINT, SIGHUP, `kill -9`, and a second `serve` on the same home.
"""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.e2e.clients import open_request, open_websocket
from tests.e2e.origin import Handler, Origin, origin, saying
from tests.e2e.processes import accepts
from tests.e2e.proxy import Devproxy
from tests.waiting import PROGRAM_DEADLINE, wait_until

pytestmark = pytest.mark.e2e

Serve = Callable[[str], Devproxy]


@pytest.fixture
def gate() -> threading.Event:
    """The service's slow answers end when it is set."""
    return threading.Event()


@pytest.fixture
def service(gate: threading.Event) -> Iterator[Origin]:
    def answer(handler: Handler) -> None:
        if handler.headers.get("Upgrade"):
            handler.switch()
            while data := handler.connection.recv(4096):
                handler.connection.sendall(data)
        elif handler.path == "/slow":
            gate.wait(PROGRAM_DEADLINE)
            handler.reply(b"slow and whole")
        elif handler.path == "/stream":
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"6\r\nfirst \r\n")
            gate.wait(PROGRAM_DEADLINE)
            handler.wfile.write(b"4\r\nlast\r\n0\r\n\r\n")
        else:
            handler.reply(b"quick")

    with origin(answer) as running:
        yield running
        gate.set()


def read_to_end(client: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(65536):
            received += piece
    return received


def test_sigterm_lets_requests_in_flight_finish(devproxy: Devproxy, service: Origin, gate: threading.Event) -> None:
    devproxy.settings = 'grace = "5m"'
    devproxy.write(f"[services.app]\nport = {service.port}\n")
    devproxy.start()
    host = f"Host: app.localhost:{devproxy.port}"
    with (
        closing(open_request(devproxy.port, f"GET /slow HTTP/1.1\n{host}")) as slow,
        closing(open_request(devproxy.port, f"GET /stream HTTP/1.1\n{host}")) as stream,
        closing(open_request(devproxy.port, f"GET /quick HTTP/1.1\n{host}")) as idle,
        closing(open_websocket(devproxy.port, "app.localhost", "/ws")) as websocket,
    ):
        wait_until(lambda: {"/slow", "/stream", "/quick"} <= set(service.record.paths()), "the requests to arrive")
        devproxy.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not accepts(devproxy.port), "the IPv4 listener to close", log=devproxy.output)
        wait_until(lambda: not accepts(devproxy.port, "::1"), "the IPv6 listener to close", log=devproxy.output)
        assert read_to_end(idle).endswith(b"quick")
        gate.set()
        assert read_to_end(slow).endswith(b"slow and whole")
        assert read_to_end(stream).endswith(b"last\r\n0\r\n\r\n")
        read_to_end(websocket)  # it ends, whatever is said before
    assert devproxy.program is not None
    assert devproxy.program.wait() == 0, devproxy.output()
    assert "Traceback" not in devproxy.output()


def test_sigterm_waits_no_longer_than_the_grace_time(devproxy: Devproxy, service: Origin) -> None:
    devproxy.settings = 'grace = "500ms"'
    devproxy.write(f"[services.app]\nport = {service.port}\n")
    devproxy.start()
    head = f"GET /slow HTTP/1.1\nHost: app.localhost:{devproxy.port}"
    with closing(open_request(devproxy.port, head)) as slow:
        wait_until(lambda: service.record.paths() == ["/slow"], "the request to arrive")
        assert devproxy.stop() == 0, devproxy.output()
        # Cut, or told so with a 5xx: never an answer that looks whole and good.
        assert not read_to_end(slow).startswith(b"HTTP/1.1 2")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_proxy_ends_at_once_and_leaves_its_port(serve: Serve, number: signal.Signals) -> None:
    devproxy = serve("")
    devproxy.process.send_signal(number)
    assert devproxy.program is not None
    assert devproxy.program.wait() == 0, devproxy.output()
    assert "Traceback" not in devproxy.output()
    assert not accepts(devproxy.port)
    assert devproxy.cli("status").returncode == 3


def test_sighup_disturbs_nothing(serve: Serve, service: Origin) -> None:
    devproxy = serve(f"[services.app]\nport = {service.port}\n")
    with closing(open_websocket(devproxy.port, "app.localhost", "/ws")) as websocket:
        for _ in range(3):
            devproxy.process.send_signal(signal.SIGHUP)
            websocket.sendall(b"still here")
            assert websocket.recv(100) == b"still here"
            assert devproxy.get("app.localhost").body == b"quick"
    assert devproxy.stop() == 0


def test_a_killed_proxy_starts_again(serve: Serve, service: Origin) -> None:
    devproxy = serve(f"[services.app]\nport = {service.port}\n")
    with closing(open_websocket(devproxy.port, "app.localhost", "/ws")):
        devproxy.kill()
        assert devproxy.state.exists()  # stale: it had no time to take it away
        assert devproxy.cli("status").returncode == 3
        devproxy.start()
    assert devproxy.get("app.localhost").body == b"quick"
    assert devproxy.stop() == 0


def test_what_lies_in_the_state_folder_blocks_no_start(devproxy: Devproxy) -> None:
    devproxy.write("")
    devproxy.state.parent.mkdir(mode=0o700, exist_ok=True)
    devproxy.state.write_text('{"pid": 1, "http"')
    devproxy.start()
    assert devproxy.cli("status").returncode == 0
    assert devproxy.stop() == 0


def test_a_second_serve_says_who_is_running(serve: Serve) -> None:
    with origin(saying("first")) as service:
        devproxy = serve(f"[services.app]\nport = {service.port}\n")
        second = devproxy.cli("serve")
        assert second.returncode not in (0, 2), second
        assert str(devproxy.pid) in second.stdout + second.stderr
        assert "Traceback" not in second.stderr
        assert devproxy.get("app.localhost").body == b"first"
