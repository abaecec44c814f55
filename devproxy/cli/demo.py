"""`devproxy demo`: everything devproxy does in its first minute, on its own temporary files.

Lives here: the story, told while it happens: two services (the standard library's HTTP server, each in a thread of
this process), a registry, the proxy, a request to each by name. The proxy is a real `devproxy serve` in a process of
its own; nothing of yours is read or changed, and nothing is left behind.
"""

import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import click

from devproxy.cli.output import aligned, remark, say
from devproxy.daemon.runtime import Running, read_running
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import PROJECT_FILE, Paths
from devproxy.run.interpreter import as_typed, ourselves, own_environment
from devproxy.urls import host_url, url


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


NAMES = ("web", "api")
PATIENCE = 20.0  # seconds for the proxy to be ready


@click.command("demo")
@click.option("--stay", is_flag=True, help="Keep everything running for your browser, until Ctrl-C.")
def command(stay: bool) -> int:
    """Show it working: two services, a proxy, a request to each.

    It needs nothing else installed, touches none of your files, and cleans up after itself.
    """
    _end_tidily_on_sigterm()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="devproxy-demo-")))
        services = [stack.enter_context(sample_service(name)) for name in NAMES]
        _tell_services(services)
        _write_registry(home, services)
        running = stack.enter_context(_proxy(home))
        say(f"\n3. The proxy, on this machine only (127.0.0.1 and ::1), port {running.http}", bold=True)
        say(f"     devproxy serve   pid {running.pid}")
        port = running.http or 0
        say("\n4. A request to each, by its name", bold=True)
        right = [_ask(service, port) for service in services]
        _conclude(all(right))
        if stay and all(right):
            _stay(port)
    return Exit.GOOD if all(right) else Exit.BAD_NEWS


def _tell_services(services: Sequence[Sample]) -> None:
    say("1. Two services, each on a port that happened to be free", bold=True)
    for line in aligned([(f"     {service.name}", f"127.0.0.1:{service.port}") for service in services]):
        say(line)


def _write_registry(home: Path, services: Sequence[Sample]) -> None:
    tables = [f"[services.{service.name}]\nport = {service.port}\n" for service in services]
    text = 'project = "demo"\n\n' + "\n".join(tables)
    (home / PROJECT_FILE).write_text(text, "utf-8")
    say(f"\n2. A {PROJECT_FILE} that gives them names, as a team would check it in", bold=True)
    for line in text.splitlines():
        say(f"     {line}".rstrip())
    config = _paths(home).config
    config.mkdir(parents=True, mode=0o700)
    link = f"[projects.demo]\npath = '{home / PROJECT_FILE}'\n"
    (config / "registry.toml").write_text(link, "utf-8")


def _paths(home: Path) -> Paths:
    return Paths(home / "devproxy" / "config", home / "devproxy" / "state")


@contextmanager
def _proxy(home: Path) -> Iterator[Running]:
    """A `devproxy serve` that is ready, and ends with the block."""
    log = home / "serve.log"
    environment = {**own_environment(), "DEVPROXY_HOME": str(home / "devproxy")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            ourselves("serve", "--http", "0"),
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield _ready(process, home, log)
    finally:
        _end(process)


def _ready(process: "subprocess.Popen[bytes]", home: Path, log: Path) -> Running:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        running = read_running(_paths(home))
        if running and running.pid == process.pid and running.http:
            return running
        time.sleep(0.01)
    said = log.read_text("utf-8", "replace").strip()
    raise DevproxyError(
        "the proxy did not start",
        why=said or f"it said nothing for {PATIENCE:.0f} seconds",
        fix="devproxy serve, by itself, may say more",
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _ask(service: Sample, port: int) -> bool:
    """One GET by name; whether the right service gave the right answer."""
    host = f"{service.name}.demo.localhost:{port}"
    say(f"     GET {url('http', host)}/")
    try:
        status, body = _get(host, port)
    except OSError as error:
        say(f"     no answer: {error}\n", fg="red")
        return False
    right = (status, body) == (200, service.answer(host))
    say(f"     {status}  {body}", fg="green" if right else "red")
    return right


def _get(host: str, port: int) -> tuple[int, str]:
    """Status and body. The connection goes to the proxy's address: not every system resolves *.localhost."""
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/", headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read().decode("latin-1").strip()
    except HTTPException as error:
        raise OSError(f"not HTTP ({type(error).__name__})") from error
    finally:
        connection.close()


def _conclude(right: bool) -> None:
    if not right:
        remark("\nThat is not what should have happened: please report what you see above.", fg="red", bold=True)
        return
    say("\nIt works, and the names stay when the ports change. Yours next:", bold=True)
    say(f"     {as_typed()} add web 5173")
    say(f"     {as_typed()} start")


def _stay(port: int) -> None:
    say("\nOpen in a browser; Ctrl-C ends it:", bold=True)
    for name in NAMES:
        say(f"     {host_url('http', f'{name}.demo.localhost', port)}/")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        remark("\nended; nothing is left behind")


def _end_tidily_on_sigterm() -> None:
    """SIGTERM unwinds like Ctrl-C, so that the proxy does not outlive its demo."""
    import signal

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
