"""The `ws` package of Node behind the proxy: compression, subprotocol, ping, close codes, both kinds of message; and
Node's own HTTP/2, which opens WebSockets by extended CONNECT.

Lives here: the echo servers of `node/echo.mjs` and `node/h2_websocket.mjs`. Vite, which uses the same
package, has a file of its own.
"""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.processes import running
from tests.e2e.proxy import Devproxy
from tests.e2e.test_grpc import self_signed
from tests.require import module, program
from tests.waiting import DEADLINE

pytestmark = pytest.mark.e2e


def test_ws_echoes_through_a_name(serve: Callable[[str], Devproxy], node_modules: Path, tmp_path: Path) -> None:
    connect = module("websockets.sync.client").connect
    closed = module("websockets.exceptions").ConnectionClosed
    script = Path(__file__).parent / "node" / "echo.mjs"
    argv = [program("node"), str(script), str(node_modules)]
    with running(argv, tmp_path / "echo.log", cwd=tmp_path) as server:
        port = int(server.wait_output(r"listening (\d+)")[1])
        devproxy = serve(f"[services.echo]\nport = {port}\n")
        sock = socket.create_connection(("127.0.0.1", devproxy.port))
        uri = f"ws://echo.localhost:{devproxy.port}/room?id=1"
        protocols = ["echo.v1", "echo.v2"]
        with connect(uri, sock=sock, subprotocols=protocols, proxy=None, max_size=None) as client:
            assert client.subprotocol == "echo.v2"
            hello = json.loads(client.recv(timeout=DEADLINE))
            assert hello == {"host": f"echo.localhost:{devproxy.port}", "protocol": "echo.v2"}
            # Compression was agreed between the two ends: the proxy has no part in it.
            assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
            for message in ("text", b"\x00\x80\xff", "long " * 300_000):
                client.send(message)
                assert client.recv(timeout=DEADLINE) == message
            assert client.ping(b"are you there").wait(DEADLINE)
            client.send("close 4321 goodbye")
            with pytest.raises(closed) as caught:
                client.recv(timeout=DEADLINE)
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4321, "goodbye")


HANDSHAKE = (
    b"GET /room?id=1 HTTP/1.1\r\nHost: echo.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize("scheme", ["h2c", "https"])
def test_a_websocket_to_a_server_that_speaks_http_2_alone(
    serve: Callable[[str], Devproxy], tmp_path: Path, scheme: str
) -> None:
    """The first request of all is the handshake, so nothing is known of the server yet; over TLS Node refuses ALPN
    without `h2`."""
    argv = [program("node"), str(Path(__file__).parent / "node" / "h2_websocket.mjs")]
    if scheme == "https":
        argv.append(str(self_signed(tmp_path / "server.pem")))
    with running(argv, tmp_path / "echo.log", cwd=tmp_path) as server:
        port = int(server.wait_output(r"listening (\d+)")[1])
        devproxy = serve(f'[services.echo]\nupstream = "{scheme}://127.0.0.1:{port}"\nhealth.path = "/up"\n')
        assert "GET /up was answered 200" in devproxy.cli("health", "--json").stdout
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", devproxy.port), timeout=DEADLINE) as sock:
                sock.sendall(HANDSHAKE)
                with sock.makefile("rb") as replies:
                    head = b"".join(iter(replies.readline, b"\r\n")).lower()
                    assert head.startswith(b"http/1.1 101 ")
                    assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in head
                    assert b"x-asked: websocket /room?id=1 echo.localhost" in head
                    for message in (b"hello", bytes(range(256)) * 4000):
                        sock.sendall(message)
                        assert replies.read(len(message)) == message
                    sock.shutdown(socket.SHUT_WR)
                    assert replies.read() == b""
