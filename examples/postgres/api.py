"""The shop's API: `GET /items` and `POST /items` (a name), kept in the database of this checkout. `python api.py`."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import database


class Api(BaseHTTPRequestHandler):
    """`/items`, and `/healthz`, which asks the database."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """JSON, or 404."""
        asked = {"/items": "SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM items", "/healthz": "SELECT true"}
        if self.path in asked:
            self.answer(200, database.query(asked[self.path]))
        else:
            self.answer(404, '"there is no such thing here"')

    def do_POST(self) -> None:
        """One item more; the body is its name."""
        name = self.rfile.read(int(self.headers["Content-Length"])).decode()
        database.query("INSERT INTO items VALUES (:'name') ON CONFLICT DO NOTHING", name=name)
        self.answer(201, "true")

    def answer(self, status: int, text: str) -> None:
        """A response, in JSON."""
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Api).serve_forever()
