"""The shop's API, which knows nothing of the prefix it is mounted at. `python api.py PORT`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ITEMS = ["lamp", "table", "chair"]


class Api(BaseHTTPRequestHandler):
    """`/items` and `/healthz`; `prefix` in `/where` is what the proxy took off the path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """JSON, or 404."""
        answers = {
            "/items": ITEMS,
            "/healthz": {"ok": True},
            "/where": {"host": self.headers["Host"], "prefix": self.headers.get("X-Forwarded-Prefix")},
        }
        body = json.dumps(answers.get(self.path)).encode()
        self.send_response(200 if self.path in answers else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    port = int(sys.argv[1])
    print(f"api on http://127.0.0.1:{port}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Api).serve_forever()
