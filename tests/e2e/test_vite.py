"""Vite's dev server with hot module reload, in a real browser, through the proxy.

Lives here: that an edit reaches the page over Vite's WebSocket (subprotocol `vite-hmr`), and does not load it again.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.browser import Launch
from tests.e2e.processes import accepts, running
from tests.e2e.proxy import Devproxy
from tests.ports import free_port
from tests.require import program
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

_SITE = Path(__file__).parent / "vite"


def test_an_edit_changes_the_page_without_a_reload(
    serve: Callable[[str], Devproxy], chromium: Launch, node_modules: Path, tmp_path: Path
) -> None:
    site = shutil.copytree(_SITE, tmp_path / "site")
    port = free_port()
    devproxy = serve(f"[services.web]\nport = {port}\n")
    vite = [program("node"), str(node_modules / "vite/bin/vite.js"), "--port", str(port), "--strictPort"]
    with running(vite, tmp_path / "vite.log", cwd=site) as server:
        server.wait_output(r"Local")  # coloured where CI is set
        wait_until(lambda: accepts(port) or accepts(port, "::1"), "Vite to listen", log=server.output)
        page = chromium()
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url.split("?")[0]))
        with page.expect_console_message(lambda message: "[vite] connected" in message.text):
            page.goto(devproxy.url("web.localhost"))
        page.wait_for_function("document.getElementById('message').textContent === 'before'")
        page.evaluate("window.loadedOnce = true")

        (site / "message.js").write_text("export const message = 'after'\n", "utf-8")
        page.wait_for_function("document.getElementById('message').textContent === 'after'")

        assert page.evaluate("window.loadedOnce") is True
        # Vite's client falls back to Vite's own port where the WebSocket fails: it did not have to.
        assert sockets == [f"ws://web.localhost:{devproxy.port}/"]
