"""Tells the time once a second for as long as anybody listens (server-sent events): `python clock.py [PORT]`."""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"""<!doctype html>
<meta charset="utf-8">
<title>Clock</title>
<p id="time">No time yet</p>
<script>
  new EventSource('/ticks').onmessage = (event) => {
    document.getElementById('time').textContent = event.data
  }
</script>
"""


class Clock(BaseHTTPRequestHandler):
    """`/` is a page, `/ticks` the stream that it reads."""

    def do_GET(self) -> None:
        """Each event leaves at once: neither this service nor the proxy collects them."""
        if self.path == "/ticks":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.tick()
        else:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

    def tick(self) -> None:
        """Until the reader goes away: then the write fails, and the thread ends."""
        try:
            while True:
                self.wfile.write(time.strftime("data: %H:%M:%S\n\n").encode())
                time.sleep(1)
        except OSError:
            return


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9002
    print(f"clock on http://127.0.0.1:{port}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Clock).serve_forever()
