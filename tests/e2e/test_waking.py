"""What in a real browser starts a service, and what does not: nothing that no person asked for.

Lives here: pages of elsewhere, of this machine and of registered names that ask in advance, embed, redirect and go
somewhere by themselves; then a person who clicks or types. The access log says what came and what it got, so that
"nothing was started" is said of requests that did come. The rule, line by line: `tests/proxy/test_cross_site.py`.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.browser import Launch
from tests.e2e.origin import Handler, origin
from tests.e2e.proxy import Devproxy
from tests.e2e.test_on_request import Sleepers
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(sys.platform == "win32", reason="there is no `up` on Windows")]

_MAP = "MAP *.test 127.0.0.1"
_HIDE = ("Referrer-Policy", "no-referrer")


class Scene:
    """A service that nobody has asked for, and pages on a server of its own, which is registered as `portal.shop`."""

    def __init__(self, sleepers: Sleepers, pages: dict[str, str], port: int):
        self.sleepers = sleepers
        self.devproxy = sleepers.devproxy
        self.port = port  # of the server that has the pages
        self._pages = pages

    def write(self, path: str, html: str) -> str:
        """A page; below `/hidden` it does not say where it is."""
        self._pages[path] = f"<!doctype html><title>page</title>{html}"
        return path

    def answered(self, by: str = "lazy") -> dict[str, int]:
        """By path, the status that a request for a service got."""
        log = self.devproxy.home / "state" / "log" / "access.log"
        lines = log.read_text().splitlines() if log.exists() else []
        rows = [line.replace('"', "").split() for line in lines]
        return {path: int(status) for _, service, status, *_, path in rows if service == by}

    def wait_for(self, *paths: str, by: str = "lazy") -> dict[str, int]:
        wait_until(
            lambda: set(paths) <= self.answered(by).keys(), f"{paths} to come", log=lambda: str(self.answered(by))
        )
        return {path: status for path, status in self.answered(by).items() if path in paths}

    @property
    def starts(self) -> int:
        return self.sleepers.starts("lazy")

    @property
    def rests(self) -> bool:
        return self.starts == 0 and bool(self.sleepers.row("lazy")["dormant"])


@pytest.fixture
def scene(devproxy: Devproxy, tmp_path: Path) -> Iterator[Scene]:
    pages: dict[str, str] = {}

    def answer(handler: Handler) -> None:
        parts = urlsplit(handler.path)
        if parts.path == "/redirect":
            handler.reply(b"", ("Location", parts.query), status=302)
            return
        hidden = [_HIDE] if parts.path.startswith("/hidden") else []
        handler.reply(pages.get(parts.path, "").encode(), ("Content-Type", "text/html"), *hidden)

    with ExitStack() as stack:
        server = stack.enter_context(origin(answer))
        sleepers = Sleepers(devproxy, tmp_path / "app")
        stack.callback(sleepers.close)
        devproxy.settings += 'tlds = ["localhost", "test"]\naccess_log = true\n'
        shop = tmp_path / "devproxy.toml"
        shop.write_text(f'project = "shop"\n[services.portal]\nport = {server.port}\n', "utf-8")
        lazy = sleepers.table("lazy", f"exec {sys.executable} -u -m http.server")
        sleepers.start(lazy, f'[services.app]\nport = {server.port}\n[projects.shop]\npath = "{shop}"\n')
        yield Scene(sleepers, pages, server.port)


def _ahead(kind: str, url: str) -> str:
    rule = {kind: [{"source": "list", "eagerness": "immediate", "urls": [url]}]}
    return f"<script type=speculationrules>{json.dumps(rule)}</script>"


@pytest.mark.parametrize("page", ["/page", "/hidden"])
def test_what_a_browser_fetches_in_advance_starts_nothing(scene: Scene, chromium: Launch, page: str) -> None:
    tab = chromium(_MAP)
    for name, host in {
        "elsewhere": f"evil.test:{scene.port}",
        "loopback": f"127.0.0.1:{scene.port}",
        "project": f"portal.shop.localhost:{scene.devproxy.port}",
        "sibling": f"app.localhost:{scene.devproxy.port}",
    }.items():
        paths = {kind: f"/{name}-{kind}" for kind in ("prefetch", "prerender")}
        html = "".join(_ahead(kind, scene.devproxy.url("lazy.localhost", path)) for kind, path in paths.items())
        tab.goto(f"http://{host}{scene.write(page, html)}")
        assert scene.wait_for(*paths.values()) == dict.fromkeys(paths.values(), 403)
    assert scene.rests


def test_what_a_page_fetches_in_advance_of_its_own_service_arrives(scene: Scene, chromium: Launch) -> None:
    """The counter-proof: a browser says `Sec-Fetch-Site: none` then, too, and the page is known by its Referer."""
    tab = chromium(_MAP)
    for kind in ("prefetch", "prerender"):
        html = _ahead(kind, scene.devproxy.url("app.localhost", f"/own-{kind}"))
        tab.goto(scene.devproxy.url("app.localhost", scene.write(f"/page-{kind}", html)))
        assert scene.wait_for(f"/own-{kind}", by="app") == {f"/own-{kind}": 200}


def test_a_followed_link_and_a_typed_address_start_it(scene: Scene, chromium: Launch) -> None:
    link = f'<a href="{scene.devproxy.url("lazy.localhost")}">follow</a>'
    tab = chromium(_MAP)
    tab.goto(f"http://evil.test:{scene.port}{scene.write('/page', link)}")
    assert scene.rests
    tab.click("a")
    tab.wait_for_selector("text=hello")
    assert scene.starts == 1
    assert scene.sleepers.devproxy.cli("down", "lazy").returncode == 0
    wait_until(lambda: bool(scene.sleepers.row("lazy")["dormant"]), "its state")
    tab.goto(scene.devproxy.url("lazy.localhost"), wait_until="domcontentloaded")
    tab.wait_for_selector("text=hello")
    assert scene.starts == 2


def test_a_page_that_goes_there_by_itself_leads_to_a_link_for_a_person(scene: Scene, chromium: Launch) -> None:
    goes = f'<meta http-equiv=refresh content="0;url={scene.devproxy.url("lazy.localhost", "/")}">'
    tab = chromium(_MAP)
    tab.goto(f"http://evil.test:{scene.port}{scene.write('/page', goes)}")
    tab.wait_for_selector("text=lazy is not running")
    assert scene.rests
    tab.click("a")
    tab.wait_for_selector("text=hello")
    assert scene.starts == 1


def test_under_an_ending_without_sec_fetch_only_a_tab_starts_it(scene: Scene, chromium: Launch) -> None:
    def url(name: str) -> str:
        return scene.devproxy.url("lazy.test", f"/{name}")

    tab = chromium(_MAP)
    embeds = (
        f'<img src="{url("image")}"><script src="{url("script")}"></script><link rel=stylesheet href="{url("style")}">'
        f'<iframe src="{url("frame")}"></iframe><iframe name=f></iframe><form target=f action="{url("form")}"></form>'
        f"<script>document.forms[0].submit(); fetch('{url('fetch')}', {{mode: 'no-cors', headers: "
        "{'Accept': 'text/html', 'Accept-Language': ''}})</script>"
    )
    tab.goto(f"http://evil.test:{scene.port}{scene.write('/hidden', embeds)}")
    refused = dict.fromkeys(("/image", "/script", "/style", "/fetch"), 403)
    assert scene.wait_for(*refused, "/frame", "/form") == {**refused, "/frame": 503, "/form": 503}
    for frame in tab.frames[1:]:
        frame.wait_for_url("chrome-error://**")  # it does not show our page, which would ask again
    assert scene.rests
    tab.goto(url(""), wait_until="domcontentloaded")
    tab.wait_for_selector("text=hello")
    assert scene.starts == 1


def test_a_redirect_by_somebody_else_starts_nothing(scene: Scene, chromium: Launch) -> None:
    """The browser sends the Referer of the page that began it."""
    tab = chromium(_MAP)
    for name, host, status in (("project", "portal.shop.localhost", 403), ("sibling", "app.localhost", 503)):
        away = f"http://evil.test:{scene.port}/redirect?" + scene.devproxy.url("lazy.localhost", f"/{name}")
        page = scene.write("/page", f'<img src="{away}-image"><iframe src="{away}-frame"></iframe>')
        tab.goto(scene.devproxy.url(host, page))
        assert set(scene.wait_for(f"/{name}-image", f"/{name}-frame").values()) == {status}
    assert scene.rests


def test_a_registered_page_that_says_who_it_is_starts_it(scene: Scene, chromium: Launch) -> None:
    tab = chromium(_MAP)
    tab.goto(scene.devproxy.url("portal.shop.localhost", scene.write("/page", "")))
    url = scene.devproxy.url("lazy.localhost", "/fetch")
    tab.evaluate(f"fetch('{url}').catch(() => 0)")
    assert scene.wait_for("/fetch")["/fetch"] == 404  # by the service: it has no such file
    assert scene.starts == 1
