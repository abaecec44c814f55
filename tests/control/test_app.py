"""What is where: static files, the page, and nothing else."""

import pytest

from devproxy.events import Notice
from tests.control.conftest import Client
from tests.control.sample import Pages


@pytest.mark.parametrize(
    ("name", "kind"),
    [("dashboard.css", "text/css"), ("dashboard.js", "text/javascript"), ("icon.svg", "image/svg+xml")],
)
async def test_static_files_have_their_type(name: str, kind: str, client: Client) -> None:
    async with client.get(f"/static/{name}") as answer:
        assert answer.status == 200
        assert answer.content_type == kind
        assert len(await answer.read()) > 100


@pytest.mark.parametrize("path", ["/nowhere", "/static/", "/static/../app.py", "/static/%2e%2e/app.py", "/api", "//"])
async def test_everything_else_is_404(path: str, client: Client) -> None:
    async with client.get(path) as answer:
        assert answer.status == 404
        assert answer.headers["Devproxy-Error"] == "not-found"


async def test_what_the_proxy_lets_pass_is_not_too_long_here(client: Client) -> None:
    async with client.get("/" + "a" * 60_000, headers={"X-Long": "b" * 60_000}) as answer:
        assert answer.status == 404
        assert answer.headers["Devproxy-Error"] == "not-found"


async def test_the_page_is_html_and_shows_what_happened(client: Client, pages: Pages) -> None:
    pages.events.add(Notice("hello"))
    async with client.get("/") as answer:
        assert answer.content_type == "text/html"
        assert answer.charset == "utf-8"
        text = await answer.text()
    assert "hello" in text
    assert 'data-last="1"' in text


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
async def test_a_bug_of_our_own_is_told_in_our_own_words(accept: str, client: Client, pages: Pages) -> None:
    pages.conditions = None  # type: ignore[assignment]
    async with client.get("/", headers={"Accept": accept}) as answer:
        assert answer.status == 500
        assert answer.headers["Devproxy-Error"] == "bug"
        assert "devproxy logs proxy" in await answer.text()
