"""The shop's page: asks the API below its own name, so that there is one origin. `python web.py PORT`."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"""<!doctype html>
<meta charset="utf-8">
<title>Shop</title>
<ul id="items"></ul>
<script>
  fetch('/api/items')
    .then((answer) => answer.json())
    .then((items) => {
      for (const item of items) {
        document.getElementById('items').append(
          Object.assign(document.createElement('li'), { textContent: item }),
        )
      }
    })
</script>
"""


class Web(BaseHTTPRequestHandler):
    """One page at every path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The page."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)


if __name__ == "__main__":
    port = int(sys.argv[1])
    print(f"web on http://127.0.0.1:{port}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Web).serve_forever()
