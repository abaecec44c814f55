"""HTTPS with the programs that people use: curl, a browser, a WebSocket; and what a long day brings.

Lives here: the whole of devproxy with a CA of the test's own, which each client is told to believe.
Not here: the stores of the system (`test_trust.py`), single bytes (`tests/wire/test_https.py`).
"""

import base64
import hashlib
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.browser import page
from tests.e2e.clients import read_answer, read_head
from tests.e2e.origin import Handler, origin, saying
from tests.e2e.processes import APPS, accepts, clean_environment, running
from tests.e2e.proxy import Devproxy
from tests.ports import free_port
from tests.require import module, program
from tests.waiting import DEADLINE, PROGRAM_DEADLINE, wait_until

pytestmark = pytest.mark.e2e

Start = Callable[[str], Devproxy]
NAME = "up.localhost"
LARGE = 100 << 20  # bytes


@pytest.fixture
def serve_tls(devproxy: Devproxy) -> Start:
    """Start devproxy with HTTPS and these services; its CA is there then."""

    def start(services: str) -> Devproxy:
        devproxy.https_port = free_port()
        devproxy.write(services)
        devproxy.start()
        with socket.create_connection(("127.0.0.1", devproxy.https_port)) as sock:
            context = ssl.create_default_context()
            with pytest.raises(ssl.SSLCertVerificationError):
                context.wrap_socket(sock, server_hostname="devproxy.localhost")
        return devproxy

    return start


def upstream(port: int, *lines: str) -> str:
    return "\n".join([f"[services.up]\nport = {port}", *lines, ""])


def believing(devproxy: Devproxy) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(devproxy.root()))


def connected(devproxy: Devproxy, context: ssl.SSLContext, *, receive_buffer: int = 0) -> ssl.SSLSocket:
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(DEADLINE)
    sock.connect(("127.0.0.1", devproxy.https_port))
    return context.wrap_socket(sock, server_hostname=NAME)


def head(devproxy: Devproxy, *fields: str, method: str = "GET", path: str = "/") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {NAME}:{devproxy.https_port}", *fields, "", ""]).encode()


def curl(devproxy: Devproxy, *argv: str, path: str = "/") -> str:
    """What curl prints, which believes our CA and nothing else."""
    done = subprocess.run(
        [
            *(program("curl"), "-sS", "--noproxy", "*", "--max-time", "300", "--cacert", str(devproxy.root())),
            *("--resolve", f"{NAME}:{devproxy.https_port}:127.0.0.1", *argv),
            f"https://{NAME}:{devproxy.https_port}{path}",
        ],
        capture_output=True, text=True, env=clean_environment({}), timeout=PROGRAM_DEADLINE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def digest(handler: Handler) -> None:
    """Answer with the SHA-256 of the body."""
    found = hashlib.sha256()
    for piece in handler.pieces():
        found.update(piece)
    handler.reply(found.hexdigest().encode())


def block(number: int) -> bytes:
    return hashlib.shake_256(str(number).encode()).digest(1 << 20)


def send_large(handler: Handler) -> None:
    """Answer with LARGE bytes that are the same each time."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(LARGE))
    handler.end_headers()
    for number in range(LARGE >> 20):
        handler.wfile.write(block(number))


def large_digest() -> str:
    found = hashlib.sha256()
    for number in range(LARGE >> 20):
        found.update(block(number))
    return found.hexdigest()


VERSIONS = pytest.mark.parametrize("version", ["1.1", "2"])


@VERSIONS
def test_curl_gets_what_the_service_says(serve_tls: Start, version: str) -> None:
    with origin(saying("over tls")) as up:
        devproxy = serve_tls(upstream(up.port))
        written = curl(devproxy, f"--http{version}", "-w", " %{http_version} %{ssl_verify_result}")
        assert written == f"over tls {version} 0"
        assert up.record.requests[-1].headers["x-forwarded-proto"] == "https"
        assert up.record.requests[-1].headers["x-forwarded-port"] == str(devproxy.https_port)


def test_a_connection_that_is_shared_between_names_carries_none_but_registered_ones(serve_tls: Start) -> None:
    with origin(saying("web")) as web, origin(saying("api")) as api:
        devproxy = serve_tls(f"{upstream(web.port)}\n[services.api]\nport = {api.port}\n")
        status = ("-o", os.devnull, "-w", "%{http_code}")

        def asked(host: str, *argv: str) -> str:
            return curl(devproxy, "--http2", "-H", f"Host: {host}:{devproxy.https_port}", *argv)

        assert asked("api.localhost") == "api"
        assert asked("nobody.localhost", *status) == "421"
        assert asked("nobody.example", *status) == "421"
        assert asked(NAME, *status) == "200"


@pytest.mark.slow
@VERSIONS
def test_a_hundred_megabytes_arrive_as_they_were_sent(serve_tls: Start, tmp_path: Path, version: str) -> None:
    spoken, file = f"--http{version}", tmp_path / "large"
    with file.open("wb") as out:
        for number in range(LARGE >> 20):
            out.write(block(number))
    with origin(digest) as up:
        devproxy = serve_tls(upstream(up.port))
        assert curl(devproxy, spoken, "-T", str(file)) == large_digest()
        assert curl(devproxy, spoken, "-H", "Transfer-Encoding: chunked", "-T", str(file)) == large_digest()
    with origin(send_large) as up:
        devproxy.write(upstream(up.port))
        target = tmp_path / "got"

        def arrives() -> bool:
            curl(devproxy, spoken, "-o", str(target))
            return target.stat().st_size == LARGE

        wait_until(arrives, "the new port")
        assert hashlib.sha256(target.read_bytes()).hexdigest() == large_digest()


@pytest.mark.slow
def test_a_slow_reader_costs_no_memory(serve_tls: Start) -> None:
    with origin(send_large) as up:
        devproxy = serve_tls(upstream(up.port))
        with connected(devproxy, believing(devproxy), receive_buffer=65536) as client:
            client.sendall(head(devproxy))
            read_head(client)
            before = devproxy.rss()
            devproxy.reset_peak()
            found = hashlib.sha256()
            left = LARGE
            while left:
                piece = client.recv(16384)
                assert piece
                found.update(piece)
                left -= len(piece)
            assert found.hexdigest() == large_digest()
            assert devproxy.peak_rss() - before < 16 << 20


def test_a_websocket_is_a_tunnel_both_ways(serve_tls: Start) -> None:
    def echo(handler: Handler) -> None:
        handler.switch()
        while data := handler.connection.recv(65536):
            handler.connection.sendall(data)

    with origin(echo) as up:
        devproxy = serve_tls(upstream(up.port))
        key = base64.b64encode(os.urandom(16)).decode()
        fields = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}")
        with connected(devproxy, believing(devproxy)) as client:
            client.sendall(head(devproxy, *fields))
            assert read_head(client).startswith(b"HTTP/1.1 101 ")
            for number in range(5):
                client.sendall(block(number)[:100_000])
                echoed = b""
                while len(echoed) < 100_000:
                    echoed += client.recv(65536)
                assert echoed == block(number)[:100_000]


def test_a_thousand_clients_at_once_are_all_answered(serve_tls: Start) -> None:
    with origin(saying("yes")) as up, ExitStack() as stack:
        devproxy = serve_tls(upstream(up.port))
        context = believing(devproxy)
        clients = [stack.enter_context(connected(devproxy, context)) for _ in range(1000)]
        for client in clients:
            client.sendall(head(devproxy))
        assert {read_answer(client).body for client in clients} == {b"yes"}


def test_handshakes_that_stall_keep_nobody_out(serve_tls: Start) -> None:
    with origin(saying("yes")) as up, ExitStack() as stack:
        devproxy = serve_tls(upstream(up.port))
        for number in range(300):
            stalled = stack.enter_context(socket.create_connection(("127.0.0.1", devproxy.https_port)))
            stalled.sendall(b"\x16\x03\x01\x02\x00"[: number % 6])
        assert curl(devproxy) == "yes"


def test_after_kill_9_it_is_the_same_ca(serve_tls: Start) -> None:
    with origin(saying("yes")) as up:
        devproxy = serve_tls(upstream(up.port))
        root = devproxy.root().read_bytes()
        assert curl(devproxy) == "yes"
        devproxy.kill()
        devproxy.start()
        assert curl(devproxy) == "yes"
        assert devproxy.root().read_bytes() == root


def test_urls_have_the_scheme_that_is_set(serve_tls: Start, devproxy: Devproxy) -> None:
    devproxy.settings = 'url_scheme = "https"'
    serve_tls(upstream(free_port()))
    for command in (("url", "up"), ("ls",), ("env", "up"), ("status",)):
        said = devproxy.cli(*command).stdout
        assert f":{devproxy.https_port}" in said, command
    assert devproxy.cli("url", "up").stdout == f"https://up.localhost:{devproxy.https_port}\n"
    assert f"https://devproxy.localhost:{devproxy.https_port}" in devproxy.output()


def test_what_an_app_should_know_is_in_health(serve_tls: Start) -> None:
    def pinning(handler: Handler) -> None:
        handler.reply(b"yes", ("Strict-Transport-Security", "max-age=31536000"))

    with origin(pinning) as up:
        devproxy = serve_tls(upstream(up.port))
        assert "strict-transport-security" not in curl(devproxy, "-i").lower()
        wait_until(lambda: "hsts" in devproxy.cli("health", "up").stdout, "the finding", log=devproxy.output)
        assert 'hsts = "pass" under [services.up]' in devproxy.cli("health", "up").stdout
        assert devproxy.output().count("Strict-Transport-Security") == 1
        devproxy.write(upstream(up.port, 'hsts = "pass"'))
        wait_until(lambda: "strict-transport-security" in curl(devproxy, "-i").lower(), "the setting")
        wait_until(lambda: "hsts" not in devproxy.cli("health", "up").stdout, "the end of the finding")


def test_django_takes_the_form_of_its_own_page_and_redirects_to_https(serve_tls: Start, tmp_path: Path) -> None:
    module("django")
    port = free_port()
    devproxy = serve_tls(upstream(port))
    argv = [sys.executable, str(APPS / "django_site.py"), "runserver", "--noreload", f"127.0.0.1:{port}"]
    with running(argv, tmp_path / "django.log", cwd=tmp_path):
        wait_until(lambda: accepts(port), "Django to listen")
        cookies = ("--cookie", str(tmp_path / "jar"), "--cookie-jar", str(tmp_path / "jar"))
        token = re.search(r'value="(\w+)"', curl(devproxy, *cookies, path="/form/"))
        assert token
        origin = f"https://{NAME}:{devproxy.https_port}"
        form = ("--data", f"name=Ada&csrfmiddlewaretoken={token[1]}", "-H", f"Origin: {origin}")
        posted = curl(
            devproxy, *cookies, *form, "-o", os.devnull, "-w", "%{http_code} %header{location}", path="/form/"
        )
        assert posted == f"302 {origin}/thanks/"


def test_a_browser_has_a_secure_context_and_our_pages_load_nothing_by_http(serve_tls: Start) -> None:
    def html(handler: Handler) -> None:
        handler.reply(b"<!doctype html><title>up</title>", ("Content-Type", "text/html"))

    with origin(html) as up:
        devproxy = serve_tls(f"{upstream(up.port)}[services.down]\nport = {free_port()}\n")
        with page(believes=True) as shown:
            loaded: list[str] = []
            shown.on("request", lambda request: loaded.append(request.url))
            shown.goto(f"https://{NAME}:{devproxy.https_port}/")
            assert shown.evaluate("isSecureContext && location.protocol") == "https:"
            for host in ("devproxy.localhost", "down.localhost"):
                shown.goto(f"https://{host}:{devproxy.https_port}/")
                shown.wait_for_selector("main")
            assert len(loaded) > 3
            assert not [url for url in loaded if url.startswith("http:")]


STREAMS_PAGE = b"""<!doctype html><title>waiting</title><script>
const streams = Array.from({length: 12}, (_, n) => new Promise(open => {
  const stream = new EventSource("/events?" + n)
  stream.onmessage = () => open()
}))
const socket = new Promise(echoed => {
  const ws = new WebSocket("wss://" + location.host + "/ws")
  ws.onopen = () => ws.send("hello")
  ws.onmessage = event => echoed(event.data)
})
Promise.all([socket, ...streams]).then(async ([said]) => {
  const [entry] = performance.getEntriesByType("navigation")
  document.title = [said, await (await fetch("/more")).text(), entry.nextHopProtocol].join(" ")
})
</script>"""


def test_a_browser_has_more_streams_than_http_1_1_and_a_websocket(serve_tls: Start) -> None:
    """Six connections to a host would all be taken by event streams; and the WebSocket goes over HTTP/2, too."""
    stop = threading.Event()

    def app(handler: Handler) -> None:
        if handler.path.startswith("/events"):
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.end_headers()
            handler.wfile.write(b"data: 1\n\n")
            stop.wait(DEADLINE)
            handler.close_connection = True
        elif handler.path == "/ws":
            handler.switch()
            frame = handler.connection.recv(65536)
            mask, payload = frame[2:6], frame[6:11]
            handler.connection.sendall(b"\x81\x05" + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)))
            stop.wait(DEADLINE)
        else:
            body = STREAMS_PAGE if handler.path == "/" else b"more"
            handler.reply(body, ("Content-Type", "text/html"))

    with origin(app) as up:
        devproxy = serve_tls(upstream(up.port))
        with page(believes=True) as shown:
            shown.goto(f"https://{NAME}:{devproxy.https_port}/")
            shown.wait_for_function("document.title == 'hello more h2'")
        (handshake,) = [seen for seen in up.record.requests if seen.path == "/ws"]
        assert "sec-websocket-extensions" in handshake.headers
        stop.set()
