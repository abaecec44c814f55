"""HTTPS/1.1: what encryption costs each proxy, with one certificate for all of them.

Lives here: the certificate, HAProxy, a wrk that finds the name, a download and a first byte over TLS.
Not here: the other proxies (`peers.py`), small answers without TLS (`load.py`), the order of rounds (`stages.py`).

wrk asks the system for the name that it sends as SNI, so it gets a hosts file of its own in a mount namespace
(unshare(1)): that needs root, or user namespaces.
"""

import datetime as dt
import os
import shutil
import socket
import ssl
import time
from pathlib import Path
from statistics import median

from devproxy.tls.authority import AuthorityStore
from tests.bench import load
from tests.bench.bulk import HUNDRED_MB, receive_large
from tests.bench.cpu import used
from tests.bench.origin import LARGE_BYTES
from tests.bench.peers import Peer, Site
from tests.bench.process import READY_SECONDS, BenchError, Cores, Running, ended

CONNECTIONS = 50  # new ones, for the time to the first byte


def certificate(folder: Path, host: str) -> Path:
    """A PEM file with a key, a certificate for `host` and its chain, from an authority made for this run."""
    now = dt.datetime.now(dt.UTC)
    (authority, *_) = AuthorityStore(folder / "ca").ensure(("localhost",), now)
    return authority.issue(host, now)


class Haproxy(Peer):
    name = "haproxy"
    watches = "told by SIGUSR2"

    def fetch(self) -> None:
        self.program()

    def program(self) -> list[str]:
        found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
        if found is None:
            raise BenchError("haproxy is not installed: apt-get install haproxy")
        return [found]

    def version(self) -> list[str]:
        return [*self.program(), "-v"]

    def file(self, site: Site) -> Path:
        return site.folder / "haproxy.cfg"

    def text(self, site: Site) -> str:
        tls = f" ssl crt {site.pem} alpn http/1.1" if site.pem else ""
        backends = "".join(f"backend {name}\n  server s 127.0.0.1:{port}\n" for name, port in site.routes.items())
        rules = "".join(
            f"  use_backend {name} if {{ hdr(host),field(1,:) -i {name}.localhost }}\n" for name in site.routes
        )
        return (
            "global\n  nbthread 1\n  maxconn 5000\n"
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
            "  http-reuse always\n  option forwardfor\n"
            f"frontend web\n  bind 127.0.0.1:{site.port}{tls}\n"
            "  http-request set-header X-Forwarded-Proto https\n"
            "  http-request set-header X-Forwarded-Host %[req.hdr(host)]\n"
            f"{rules}{backends}"
        )

    def command(self, site: Site) -> list[str]:
        return [*self.program(), "-db", "-f", str(self.file(site))]


def client_context() -> ssl.SSLContext:
    """One that believes anything: what is measured is the proxy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connected(port: int, host: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(connection, server_hostname=host)


def first_byte(port: int, host: str, context: ssl.SSLContext) -> float:
    """Seconds from connect(2) to the first byte of an answer, on a new connection without a session."""
    start = time.perf_counter()
    with connected(port, host, context) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
            raise BenchError("a new connection was not answered with 200")
        return time.perf_counter() - start


def first_bytes(port: int, host: str) -> float:
    """The median of that, in milliseconds."""
    context = client_context()
    return median(first_byte(port, host, context) for _ in range(CONNECTIONS)) * 1e3


def wait_ready(running: Running, port: int, host: str) -> None:
    """Return once `host` is answered on `port`; raises BenchError with the program's last words."""
    deadline = time.monotonic() + READY_SECONDS
    context = client_context()
    while True:
        try:
            first_byte(port, host, context)
        except (OSError, BenchError):
            if ended(running.pid) or time.monotonic() > deadline:
                raise BenchError(f"it did not answer: {running.last_words()}") from None
            time.sleep(0.02)
        else:
            return


def downloads(pid: int, port: int, host: str, count: int) -> float:
    """CPU milliseconds per 100 MB over `count` downloads, after one that is not counted."""
    context = client_context()

    def download() -> None:
        with connected(port, host, context) as connection:
            receive_large(connection, host)

    download()
    before = used(pid)
    for _ in range(count):
        download()
    return (used(pid) - before).total * 1e3 * HUNDRED_MB / (LARGE_BYTES * count)


def hosts_file(folder: Path, host: str) -> Path:
    file = folder / "hosts"
    file.write_text(f"127.0.0.1 localhost {host}\n", "utf-8")
    return file


def under(hosts: Path) -> list[str]:
    """The start of a command that finds names in `hosts`."""
    unshare = shutil.which("unshare")
    if unshare is None:
        raise BenchError("unshare is not installed: apt-get install util-linux")
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return [unshare, *as_root, "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)]


def measure(pid: int, url: str, lua: Path, seconds: float, connections: int, cores: Cores, hosts: Path) -> load.Load:
    """As `load.measure`, by the name of `url`."""
    return load.measure(pid, url, lua, seconds, connections, cores, under(hosts))
