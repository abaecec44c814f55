"""devproxy's own pages, as a client sees them."""

import msgspec
import pytest

from devproxy import __version__
from devproxy.events import Notice
from devproxy.listing import problem_row, service_rows
from tests.control.pages_server import Pages, serving


async def test_services_are_the_rows_of_ls() -> None:
    pages = Pages()
    async with serving(pages) as client, client.get(pages.url("/api/services")) as answer:
        assert answer.content_type == "application/json"
        assert await answer.json() == service_rows(pages.registry, 7080)


async def test_problems_are_all_that_are_open() -> None:
    pages = Pages()
    async with serving(pages) as client, client.get(pages.url("/api/problems")) as answer:
        assert await answer.json() == [problem_row(problem) for problem in pages.registry.problems]


async def test_status_tells_who_runs_and_where() -> None:
    pages = Pages(notices=["port 80 is busy"])
    async with serving(pages) as client, client.get(pages.url("/api/status")) as answer:
        status = await answer.json()
    assert status["version"] == __version__
    assert (status["pid"], status["http"], status["services"], status["problems"]) == (42, 7080, 4, 1)
    assert status["addresses"] == ["127.0.0.1:7080", "[::1]:7080"]
    assert status["notices"] == ["port 80 is busy"]
    assert status["uptime"] > 0


async def test_what_is_shown_follows_the_registry() -> None:
    pages = Pages()
    async with serving(pages) as client:
        pages.registry = msgspec.structs.replace(pages.registry, services=())
        async with client.get(pages.url("/api/services")) as answer:
            assert await answer.json() == []


@pytest.mark.parametrize("path", ["/", "/api/services", "/static/dashboard.css", "/nowhere", "/api/events"])
async def test_every_answer_is_locked_down(path: str) -> None:
    pages = Pages()
    async with serving(pages) as client, client.get(pages.url(path)) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Server"] == "devproxy"
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    ("name", "kind"),
    [("dashboard.css", "text/css"), ("dashboard.js", "text/javascript"), ("icon.svg", "image/svg+xml")],
)
async def test_static_files_have_their_type(name: str, kind: str) -> None:
    pages = Pages()
    async with serving(pages) as client, client.get(pages.url(f"/static/{name}")) as answer:
        assert answer.status == 200
        assert answer.content_type == kind
        assert len(await answer.read()) > 100


@pytest.mark.parametrize("path", ["/nowhere", "/static/", "/static/../app.py", "/static/%2e%2e/app.py", "/api", "//"])
async def test_everything_else_is_404(path: str) -> None:
    pages = Pages()
    async with serving(pages) as client, client.get(pages.url(path)) as answer:
        assert answer.status == 404
        assert answer.headers["Devproxy-Error"] == "not-found"


@pytest.mark.parametrize("path", ["/", "/api/services", "/api/status", "/api/events", "/nowhere"])
async def test_head_has_no_body(path: str) -> None:
    pages = Pages()
    async with serving(pages) as client, client.head(pages.url(path)) as answer:
        assert answer.status == (404 if path == "/nowhere" else 200)
        assert await answer.read() == b""


async def test_the_page_is_html_and_shows_what_happened() -> None:
    pages = Pages()
    pages.events.add(Notice("hello"))
    async with serving(pages) as client, client.get(pages.url("/")) as answer:
        assert answer.content_type == "text/html"
        assert answer.charset == "utf-8"
        text = await answer.text()
    assert "Hello" in text
    assert 'data-last="1"' in text
