"""The servers that Python developers run: `http.server`, uvicorn with FastAPI, Django's runserver.

Lives here: what each of them does that a proxy can spoil.
"""

import json
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.clients import Answer, open_request, request
from tests.e2e.processes import APPS, accepts, running
from tests.e2e.proxy import Devproxy
from tests.ports import free_port
from tests.require import module
from tests.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.e2e

Serve = Callable[[str], Devproxy]


def test_http_server_lists_sends_and_redirects(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    content = bytes(range(256)) * 4096
    (folder / "a b.bin").write_bytes(content)
    port = free_port()
    devproxy = serve(f"[services.files]\nport = {port}\n")
    argv = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with running(argv, tmp_path / "files.log", cwd=folder):
        wait_until(lambda: accepts(port), "http.server to listen")

        listing = devproxy.get("files.localhost")
        assert listing.status == 200
        assert b"a%20b.bin" in listing.body
        assert devproxy.get("files.localhost", "/a%20b.bin").body == content
        # It speaks HTTP/1.0 and answers a folder without its slash with a relative Location, which stays as it is.
        moved = devproxy.get("files.localhost", "/sub?q=1")
        assert (moved.status, moved.header("Location")) == (301, "/sub/?q=1")
        head = request(devproxy.port, "files.localhost", "/a%20b.bin", method="HEAD")
        assert (head.header("Content-Length"), head.body) == (str(len(content)), b"")
        since = devproxy.get("files.localhost", "/a%20b.bin", If_Modified_Since=head.header("Last-Modified") or "")
        assert (since.status, since.body) == (304, b"")


@pytest.fixture
def fastapi(serve: Serve, tmp_path: Path) -> "object":
    module("fastapi")
    module("uvicorn")
    port = free_port()
    devproxy = serve(f"[services.api]\nport = {port}\n")
    argv = [sys.executable, "-m", "uvicorn", "stream:app", "--port", str(port), "--app-dir", str(APPS)]
    with running(argv, tmp_path / "uvicorn.log", cwd=tmp_path) as server:
        server.wait_output("Uvicorn running")
        yield devproxy


def test_fastapi_takes_json_and_serves_its_documentation(fastapi: Devproxy) -> None:
    answer = request(
        fastapi.port,
        "api.localhost",
        "/items",
        method="POST",
        body=b'{"name": "lamp"}',
        headers={"Content-Type": "application/json"},
    )
    assert json.loads(answer.body) == {"item": {"name": "lamp"}, "id": 1}
    assert b"/openapi.json" in fastapi.get("api.localhost", "/docs").body
    assert fastapi.get("api.localhost", "/missing").status == 404


def test_server_sent_events_leave_one_by_one(fastapi: Devproxy) -> None:
    client = open_request(fastapi.port, f"GET /events HTTP/1.1\nHost: api.localhost:{fastapi.port}")
    received = b""
    with client:
        for number in range(5):
            received = _receive_until(client, received, b"data: event %d\n\n" % number)
            assert b"data: event %d" % (number + 1) not in received
            assert request(fastapi.port, "api.localhost", "/next", method="POST", body=b"").status == 200
        received = _receive_until(client, received, b"\r\n0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert b"text/event-stream" in received


def _receive_until(client: socket.socket, received: bytes, end: bytes) -> bytes:
    while end not in received:
        piece = client.recv(65536)
        assert piece, f"closed after {received!r}"
        received += piece
    return received


def test_a_websocket_of_uvicorn_keeps_frames_subprotocol_and_close_code(fastapi: Devproxy) -> None:
    connect = module("websockets.sync.client").connect
    closed = module("websockets.exceptions").ConnectionClosed
    sock = socket.create_connection(("127.0.0.1", fastapi.port))
    uri = f"ws://api.localhost:{fastapi.port}/ws"
    with connect(uri, sock=sock, subprotocols=["chat"], proxy=None, max_size=None) as client:
        assert client.subprotocol == "chat"
        for message in ("hello", "grüße", b"\x00\xff" * 10, "x" * (1 << 20), b""):
            client.send(message)
            assert client.recv(timeout=DEADLINE) == message
        assert client.ping().wait(DEADLINE)
        client.send("bye")
        with pytest.raises(closed) as caught:
            client.recv(timeout=DEADLINE)
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "as asked")


def test_django_takes_a_form_with_its_token_and_redirects_to_the_name(serve: Serve, tmp_path: Path) -> None:
    module("django")
    port = free_port()
    devproxy = serve(f"[services.shop]\nport = {port}\n")
    argv = [sys.executable, str(APPS / "django_site.py"), "runserver", "--noreload", f"127.0.0.1:{port}"]
    with running(argv, tmp_path / "django.log", cwd=tmp_path):
        wait_until(lambda: accepts(port), "Django to listen")
        slash = devproxy.get("shop.localhost", "/form")
        assert (slash.status, slash.header("Location")) == (301, "/form/")

        page = devproxy.get("shop.localhost", "/form/")
        token = re.search(rb'value="(\w+)"', page.body)
        assert token, page.body
        cookie = page.all("Set-Cookie")[0].split(";")[0]
        posted = _post_form(devproxy, cookie, token[1])
        assert (posted.status, posted.header("Location")) == (302, devproxy.url("shop.localhost", "/thanks/"))
        cookies = posted.all("Set-Cookie")
        assert [line.split(";")[0] for line in cookies] == ["name=Ada", "seen=yes"]

        thanks = devproxy.get("shop.localhost", "/thanks/", Cookie=cookies[0].split(";")[0])
        assert thanks.body == b"<p>Thanks, Ada</p>"
        # Without the token Django itself refuses: its 403 passes as it is, and is not devproxy's.
        refused = _post_form(devproxy, cookie, b"0" * 64)
        assert (refused.status, refused.header("Devproxy-Error")) == (403, None)
        assert b"CSRF" in refused.body


def _post_form(devproxy: Devproxy, cookie: str, token: bytes) -> Answer:
    return request(
        devproxy.port,
        "shop.localhost",
        "/form/",
        method="POST",
        body=b"name=Ada&csrfmiddlewaretoken=" + token,
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": cookie,
            "Origin": f"http://shop.localhost:{devproxy.port}",
            "Sec-Fetch-Site": "same-origin",
        },
    )
