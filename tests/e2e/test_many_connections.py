"""Thousands of connections: what an idle one costs, and that aborted ones leave nothing behind.

Lives here: 5,000 idle WebSockets, and 5,000 requests whose client goes away in every phase.
"""

import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import require
from tests.e2e.clients import open_request
from tests.e2e.origin import Handler, Record, origin
from tests.e2e.processes import APPS, app, running
from tests.e2e.proxy import Devproxy
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

_COUNT = 5000
_EACH = 16 << 10  # bytes of resident memory
_BATCH = 100
_LATER = 4  # descriptors that the proxy opens once, when it first needs them (a netlink socket), and keeps


@pytest.fixture(autouse=True)
def descriptors() -> None:
    """Two a WebSocket in the proxy, a third of that for TCP services, and some to spare."""
    require.linux()
    import resource

    needed = 8 * _COUNT // 3 + 500
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < needed:
        require.missing(f"a hard limit of {needed} open files")


def test_idle_websockets_cost_little(serve: Callable[[str], Devproxy], tmp_path: Path) -> None:
    with app("idle_sockets", "origin", folder=tmp_path) as (_, port):
        devproxy = serve(f"[services.ws]\nport = {port}\n")

        def client(count: int) -> list[str]:
            return [
                sys.executable,
                str(APPS / "idle_sockets.py"),
                "client",
                str(devproxy.port),
                "ws.localhost",
                str(count),
            ]

        with running(client(1), tmp_path / "warm.log", cwd=tmp_path) as warm:
            warm.wait_output("open 1")
        baseline = _settled(devproxy)
        before = devproxy.rss()
        with running(client(_COUNT), tmp_path / "client.log", cwd=tmp_path) as clients:
            clients.wait_output(f"open {_COUNT}")
            each = (devproxy.rss() - before) / _COUNT
            print(f"{each / 1024:.1f} KiB each, {devproxy.descriptors() - baseline} descriptors")
            assert each <= _EACH
        wait_until(
            lambda: devproxy.descriptors() <= baseline + _LATER, "the descriptors to be given back", log=devproxy.output
        )


def _settled(devproxy: Devproxy) -> int:
    """The proxy's descriptors once nothing is connected to it."""
    port = devproxy.port

    def quiet() -> bool:
        return not any(
            one.status == "ESTABLISHED" and one.laddr.port == port for one in devproxy.process.net_connections()
        )

    wait_until(quiet, "the last connection to be closed")
    return devproxy.descriptors()


def _abort(client: socket.socket, *, reset: bool) -> None:
    """Go away with an RST, or with a FIN and nobody left to read."""
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def _holding(handler: Handler) -> None:
    """Never ends an answer; returns when the connection does."""
    if handler.path == "/warm":
        handler.reply(b"warm")
        return
    if handler.path == "/half":
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"half")
    handler.close_connection = True
    while handler.connection.recv(65536):
        pass


_PHASES = {
    "/before": "GET /before HTTP/1.1\nHost: app.localhost",
    "/half": "GET /half HTTP/1.1\nHost: app.localhost",
    "/upload": "POST /upload HTTP/1.1\nHost: app.localhost\nContent-Length: 1000",
    "/chunks": "POST /chunks HTTP/1.1\nHost: app.localhost\nTransfer-Encoding: chunked",
    "/socket": "GET /socket HTTP/1.1\nHost: app.localhost\nUpgrade: x\nConnection: Upgrade",
}


def _abort_a_batch(devproxy: Devproxy, record: Record, heads: list[str]) -> None:
    arrived = len(record.requests)
    clients = [open_request(devproxy.port, head) for head in heads]
    wait_until(lambda: len(record.requests) == arrived + len(heads), "the requests to arrive", log=devproxy.output)
    for number, client in enumerate(clients):
        _abort(client, reset=number % 2 == 0)


def test_aborted_requests_leave_nothing_behind(serve: Callable[[str], Devproxy]) -> None:
    with origin(_holding) as service:
        devproxy = serve(f"[services.app]\nport = {service.port}\n")
        assert devproxy.get("app.localhost", "/warm").body == b"warm"
        baseline = _settled(devproxy)
        kept = len(service.record.connections)  # what the proxy keeps alive for the next request
        before = devproxy.rss()

        heads = [*_PHASES.values()] * (_BATCH // len(_PHASES))
        for _ in range(_COUNT // _BATCH):
            _abort_a_batch(devproxy, service.record, heads)

        wait_until(lambda: len(service.record.connections) <= kept, "the upstream connections to be closed")
        wait_until(
            lambda: devproxy.descriptors() <= baseline + _LATER, "the descriptors to be given back", log=devproxy.output
        )
        assert devproxy.get("app.localhost", "/warm").body == b"warm"
        assert devproxy.rss() - before < 16 << 20
        assert "Traceback" not in devproxy.output()
