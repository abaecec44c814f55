"""Greets whoever asks, and says by which name it was asked: `python hello.py [PORT]`."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    """Any path, one answer."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """What the proxy tells is in the `X-Forwarded-*` fields; `Host` is what the browser's address bar says."""
        name = self.headers.get("Host", "nobody")
        scheme = self.headers.get("X-Forwarded-Proto", "no proxy at all")
        body = f"Hello from {name}, by way of {scheme}.\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9001
    print(f"hello on http://127.0.0.1:{port}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Hello).serve_forever()
