"""The cross-site guard, from real pages in a real browser.

Lives here: a page of `http://evil.test` that tries everything a page can do to a service, what devproxy lets through on
purpose, and the count at the service, which is what matters. The guard's rules one by one:
`tests/proxy/test_cross_site.py`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.e2e.browser import Launch
from tests.e2e.origin import Answer, Handler, Record, origin
from tests.e2e.proxy import Devproxy
from tests.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

pytestmark = pytest.mark.e2e

_EVIL = "MAP evil.test 127.0.0.1"

# Each is an expression of URL that ends in a promise; its value says what the page saw.
_SAW = """new Promise(done => {{
    const it = {make};
    it.onload = () => done('loaded'); it.onerror = () => done('error'); {add} }})"""
ATTEMPTS = {
    "fetch": "fetch(URL, {mode: 'no-cors', credentials: 'include'}).then(r => r.type, () => 'error')",
    "cors": "fetch(URL).then(r => r.status, () => 'error')",
    "post": "fetch(URL, {method: 'POST', mode: 'no-cors', body: 'a=1'}).then(r => r.type, () => 'error')",
    "script": _SAW.format(make="document.createElement('script')", add="it.src = URL; document.head.append(it)"),
    "image": _SAW.format(make="new Image()", add="it.src = URL"),
    "frame": _SAW.format(make="document.createElement('iframe')", add="it.src = URL; document.body.append(it)"),
    "websocket": """new Promise(done => {
        const it = new WebSocket(URL.replace('http', 'ws'));
        it.onopen = () => done('open'); it.onerror = () => done('error') })""",
}


class Shop(NamedTuple):
    devproxy: Devproxy
    web: Record
    api: Record
    evil: str  # the page of elsewhere


def _service(handler: Handler) -> None:
    """Answers everything, and lets any origin read it: what stops a page is devproxy, not CORS."""
    if handler.headers.get("Upgrade"):
        handler.switch()
        return
    cors = (
        ("Access-Control-Allow-Origin", handler.headers.get("Origin", "*")),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Headers", "X-Token"),
    )
    cookie = ("Set-Cookie", "session=1; SameSite=Lax")
    handler.reply(f"cookie {handler.headers.get('Cookie')}".encode(), ("Content-Type", "text/html"), cookie, *cors)


def _elsewhere(target: str) -> Answer:
    page = f'<a href="{target}/link">follow</a><form method="post" action="{target}/form"><button>send</button></form>'
    return lambda handler: handler.reply(page.encode(), ("Content-Type", "text/html"))


@pytest.fixture
def shop(devproxy: Devproxy, tmp_path: Path) -> Iterator[Shop]:
    """A project with two services, one service that allows every site, and a page of another site."""
    with ExitStack() as stack:
        web, api = (stack.enter_context(origin(_service)) for _ in range(2))
        evil = stack.enter_context(origin(_elsewhere(devproxy.url("web.shop.localhost"))))
        project = tmp_path / "devproxy.toml"
        project.write_text(
            f'project = "shop"\n[services.web]\nport = {web.port}\n[services.api]\nport = {api.port}\n', "utf-8"
        )
        devproxy.write(
            f'[projects.shop]\npath = "{project}"\n[services.app]\nport = {web.port}\n'
            f'[services.open]\nport = {api.port}\ncross_site = "allow"\n'
        )
        devproxy.start()
        yield Shop(devproxy, web.record, api.record, f"http://evil.test:{evil.port}/")


def _try_everything(page: "Page", url: str) -> dict[str, object]:
    """What the page saw, by attempt; each asks for a path of its own."""
    return {name: page.evaluate(script.replace("URL", f"'{url}/{name}'")) for name, script in ATTEMPTS.items()}


def test_a_page_from_elsewhere_reaches_no_service(shop: Shop, chromium: Launch) -> None:
    page = chromium(_EVIL)
    responses: list[Response] = []
    page.on("response", lambda response: responses.append(response))  # noqa: PLW0108 - Playwright marks its handlers
    page.goto(shop.evil)
    target = shop.devproxy.url("web.shop.localhost", "")

    saw = _try_everything(page, target)

    assert shop.web.paths() == []
    assert (saw["cors"], saw["script"], saw["image"], saw["websocket"]) == ("error",) * 4
    answers = {answer.url.removeprefix(target): answer for answer in responses if answer.url.startswith(target)}
    # Of the others the browser itself hides the answer from the page and from us.
    assert {path: answer.status for path, answer in answers.items()} == dict.fromkeys(
        ("/fetch", "/post", "/frame"), 403
    )
    assert answers["/frame"].header_value("devproxy-error") == "cross-site", {
        p: a.all_headers() for p, a in answers.items()
    }


def test_a_service_that_allows_it_is_reached_by_all_of_the_same(shop: Shop, chromium: Launch) -> None:
    """The counter-proof: without the guard every one of these attempts arrives."""
    page = chromium(_EVIL)
    page.goto(shop.evil)
    saw = _try_everything(page, shop.devproxy.url("open.localhost", ""))
    assert shop.api.paths() == [f"/{name}" for name in ATTEMPTS]
    assert (saw["cors"], saw["websocket"]) == (200, "open")


def test_a_form_from_elsewhere_is_refused_with_the_line_that_allows_it(shop: Shop, chromium: Launch) -> None:
    page = chromium(_EVIL)
    page.goto(shop.evil)
    with page.expect_navigation() as navigation:
        page.click("button")
    assert navigation.value.status == 403
    assert "cross_site" in page.inner_text("body")
    assert shop.web.paths() == []


def test_a_followed_link_arrives(shop: Shop, chromium: Launch) -> None:
    page = chromium(_EVIL)
    page.goto(shop.evil)
    with page.expect_navigation() as navigation:
        page.click("a")
    assert navigation.value.status == 200
    assert shop.web.paths()[0] == "/link"


def test_services_of_one_project_call_each_other(shop: Shop, chromium: Launch) -> None:
    page = chromium()
    page.goto(shop.devproxy.url("web.shop.localhost"))
    api = shop.devproxy.url("api.shop.localhost", "/items")
    call = "fetch(URL, {credentials: 'include', headers: {'X-Token': '1'}}).then(r => r.text())".replace(
        "URL", f"'{api}'"
    )

    assert page.evaluate(call) == "cookie None"
    # The API's own cookie comes back: the two names are one site to a browser.
    assert page.evaluate(call) == "cookie session=1"
    assert "OPTIONS" in {seen.method for seen in shop.api.requests}
    assert page.evaluate(ATTEMPTS["websocket"].replace("URL", f"'{api}'")) == "open"
    before = len(shop.api.requests)
    page.evaluate("fetch(URL, {method: 'POST', mode: 'no-cors', body: 'a=1'})".replace("URL", f"'{api}'"))
    wait_until(lambda: len(shop.api.requests) > before, "the POST to arrive")


def test_a_registered_name_of_another_site_may_call_too(shop: Shop, chromium: Launch) -> None:
    """`app.localhost` and `api.shop.localhost` are two sites: the browser says so, and sends an `Origin` we know."""
    page = chromium()
    page.goto(shop.devproxy.url("app.localhost"))
    api = shop.devproxy.url("api.shop.localhost", "/items")
    assert page.evaluate(ATTEMPTS["cors"].replace("URL", f"'{api}'")) == 200
    assert page.evaluate(ATTEMPTS["websocket"].replace("URL", f"'{api}'")) == "open"
    assert shop.api.requests[0].headers["sec-fetch-site"] == "cross-site"
