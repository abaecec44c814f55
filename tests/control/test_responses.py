"""What every answer of devproxy's own pages has in common."""

import pytest

from tests.control.conftest import Client


@pytest.mark.parametrize("path", ["/", "/api/services", "/static/dashboard.css", "/nowhere", "/api/events"])
async def test_every_answer_is_locked_down(path: str, client: Client) -> None:
    async with client.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Server"] == "devproxy"
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/api/services", "/api/status", "/api/events", "/nowhere"])
async def test_head_has_no_body(path: str, client: Client) -> None:
    async with client.head(path) as answer:
        assert answer.status == (404 if path == "/nowhere" else 200)
        assert await answer.read() == b""


@pytest.mark.parametrize(("accept", "kind"), [("*/*", "application/problem+json"), ("text/html", "text/html")])
async def test_a_refusal_is_what_the_client_accepts(accept: str, kind: str, client: Client) -> None:
    async with client.get("/nowhere", headers={"Accept": accept}) as answer:
        assert answer.content_type == kind
        assert answer.headers["Vary"] == "Accept"
        assert "no such page" in await answer.text()
