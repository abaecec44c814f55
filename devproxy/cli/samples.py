"""The two services of `devproxy demo`: the standard library's HTTP server, each in a thread of this process.

Lives here: what they answer. They have no idea of devproxy: each says its own name, the port it has, and the hostname
it was asked for.
Not here: the demo's story (`demo.py`).
"""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler


class Sample(socketserver.ThreadingTCPServer):
    """A service on a free port of 127.0.0.1. (http.server.HTTPServer would look its own name up in the DNS first.)"""

    daemon_threads = True

    def __init__(self, name: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def answer(self, host: str) -> str:
        """What it says when it is asked for as `host`."""
        return f"This is {self.name}, on port {self.port}. You asked for {host}."


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Sample

    def do_GET(self) -> None:
        body = (self.server.answer(self.headers.get("Host", "nobody")) + "\n").encode("latin-1")
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=iso-8859-1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the demo does the talking."""


@contextmanager
def sample_service(name: str) -> Iterator[Sample]:
    """A service that answers until the block ends."""
    with Sample(name) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
