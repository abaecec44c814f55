"""The smallest service that can be restarted: `python small.py PORT TEXT` answers every request with TEXT.

One `write` a response: a `kill -9` lands before it or after it, never in the middle. With port 0 the system chooses.
"""

import socketserver
import sys


class Small(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        body = sys.argv[2].encode()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        while self.rfile.readline().strip():
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    with Server(("127.0.0.1", int(sys.argv[1])), Small) as server:
        print(f"listening {server.server_address[1]}", flush=True)
        server.serve_forever()
