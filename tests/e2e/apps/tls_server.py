"""A server that speaks TLS: each name has a certificate. Each request is a line of output, `GET name`, and each client
that does not take a certificate as well, `REFUSED name`.

    tls_server.py NAME=FILE… where FILE is a PEM of key, certificate and intermediate

It listens at port 443 of 127.0.0.1, and of each NAME that is an address; such a name is asked for without SNI.
"""

import ipaddress
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        print("GET", self.headers.get("Host", ""), flush=True)
        page = b"<!doctype html><title>believed</title><p>believed</p>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def finish_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, ssl.SSLSocket)
        try:
            request.do_handshake()
        except ssl.SSLError as error:
            if "alert" in str(error).lower():
                print("REFUSED", getattr(request, "asked_for", None) or request.getsockname()[0], flush=True)
            return
        except OSError:
            return
        super().finish_request(request, client_address)

    def handle_error(self, *_: object) -> None:
        pass  # a client that has gone


def context(file: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(file)
    return made


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def main() -> None:
    files = dict(argument.split("=", 1) for argument in sys.argv[1:])
    contexts = {name: context(file) for name, file in files.items() if not is_address(name)}
    addresses = {name: context(file) for name, file in files.items() if is_address(name)}
    first = next(iter(contexts.values()))

    def choose(sock: ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        sock.asked_for = name  # type: ignore[attr-defined]
        if name in contexts:
            sock.context = contexts[name]

    first.sni_callback = choose  # type: ignore[assignment]
    for address, made in {"127.0.0.1": first, **addresses}.items():
        server = Server((address, 443), Handler)
        server.socket = made.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
    print("ready", flush=True)


main()
