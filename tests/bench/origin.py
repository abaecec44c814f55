"""The servers behind the proxies: cheap ones, on the core that is not measured.

Lives here: nginx's configuration as the HTTP origin (a small answer with the fields a real one has, and a large file
by sendfile), and an echoing WebSocket origin inside this process.
Not here: nginx as a proxy (`peers.py`).
"""

import asyncio
import base64
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.process import BenchError, Cores, free_port, started, wait_ready

LARGE_BYTES = 100_000_000
LARGE_PATH = "/large"
BODY = '{"items":[{"id":1,"name":"first"},{"id":2,"name":"second"},{"id":3,"name":"third"}],"next":null}   '

CONFIG = """\
daemon off;
{user}worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 15000; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{servers}}}
"""

SERVER = """\
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {folder};
        location / {{
            default_type application/json;
            add_header Cache-Control "max-age=0, private, must-revalidate";
            add_header ETag 'W/"5d8c72a5edda8d6a5d8c72a5edda8d6a"';
            add_header Vary "Accept-Encoding";
            add_header X-Request-Id "c6a1bb3f-0f6a-4c7e-9a5e-2d1f8b8f6a11";
            return 200 '{body}';
        }}
        location = {large} {{ default_type application/octet-stream; }}
    }}
"""

WEBSOCKET_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
WEBSOCKET_ECHO = b"\x81\x02ok"


def nginx_config(folder: Path, servers: str) -> str:
    """A whole nginx.conf that touches nothing outside `folder`."""
    user = "user root;\n" if os.geteuid() == 0 else ""  # its worker must read our private folder
    return CONFIG.format(folder=folder, servers=servers, user=user)


def nginx_program() -> str:
    """Where nginx is; Debian keeps it out of an ordinary user's path."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        raise BenchError("nginx is not installed: apt-get install nginx")
    return nginx


def nginx_command(folder: Path, config: Path) -> list[str]:
    """How nginx is started on `config`, in the foreground."""
    return [nginx_program(), "-p", str(folder), "-e", "stderr", "-c", str(config)]


@contextmanager
def http_origin(folder: Path, cores: Cores) -> Iterator[int]:
    """Run the HTTP origin; gives its port."""
    folder.mkdir()
    port = free_port()
    with (folder / LARGE_PATH[1:]).open("wb") as large:
        large.truncate(LARGE_BYTES)
    config = folder / "nginx.conf"
    server = SERVER.format(port=port, folder=folder, body=BODY, large=LARGE_PATH)
    config.write_text(nginx_config(folder, server), encoding="utf-8")
    with started(nginx_command(folder, config), cores.rest, {}, folder / "log") as running:
        wait_ready(running, port, "origin")
        yield port


class WebSocketOrigin(asyncio.Protocol):
    """Accepts the handshake, then answers whatever arrives with one frame (RFC 6455, just enough for a bench)."""

    def __init__(self) -> None:
        self.open = False
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.open:
            self.transport.write(WEBSOCKET_ECHO)
            return
        self.head += data
        if b"\r\n\r\n" in self.head:
            self.open = True
            self.transport.write(self.answer(self.head))
            self.head = b""

    @staticmethod
    def answer(head: bytes) -> bytes:
        """101 with the right accept value for a WebSocket handshake, else a 200, to be waited for."""
        keys = [
            line.partition(b":")[2].strip()
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"sec-websocket-key:")
        ]
        if not keys:
            return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        accept = base64.b64encode(hashlib.sha1(keys[0] + WEBSOCKET_GUID).digest())
        return (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
