"""The shop's back office, on a unix socket: no port to remember or to take. `python admin.py PATH`."""

import socketserver
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

PAGE = b"Orders today: 3\n"


class Admin(BaseHTTPRequestHandler):
    """One page at every path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def address_string(self) -> str:
        """For the log: a unix socket's peer has no address."""
        return "unix"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A thread for each connection."""

    daemon_threads = True


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    print(f"admin on {path}", flush=True)
    Server(str(path), Admin).serve_forever()
