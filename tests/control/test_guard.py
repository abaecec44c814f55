"""Who may talk to devproxy's own pages."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.control.guard import foreign_page, is_ours
from tests.control.conftest import Client
from tests.control.sample import HOST

HOSTS = frozenset({HOST})
BROWSER = {"User-Agent": "Mozilla/5.0", "Accept-Language": "en"}
GOES = {**BROWSER, "Accept": "text/html,*/*", "Upgrade-Insecure-Requests": "1"}
AHEAD = "a page that asks in advance"
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("field", [HOST, f"{HOST}:80", f"{HOST}:7080", "DEVPROXY.localhost", f"{HOST}.:80"])
def test_our_own_name_is_ours(field: str) -> None:
    assert is_ours("/", [field], HOSTS)


@pytest.mark.parametrize(
    "fields",
    [
        *([], [""], ["evil.example"], ["127.0.0.1"], ["[::1]:80"], ["localhost"], ["web.shop.localhost"]),
        *([HOST, HOST], [f"{HOST}.evil.example"], [f"x{HOST}"], [f"user@{HOST}"], [f"{HOST}, {HOST}"], ["ü" + HOST]),
    ],
)
def test_any_other_name_is_not(fields: list[str]) -> None:
    assert not is_ours("/", fields, HOSTS)


@pytest.mark.parametrize(
    ("target", "ours"),
    [
        (f"http://{HOST}/", True),
        (f"HTTP://{HOST}:80/api?x", True),
        (f"http://{HOST}?x", True),
        ("http://evil.example/", False),
        ("*", False),
        (f"{HOST}:80", False),
        (f"ftp://{HOST}/", False),
    ],
)
def test_the_authority_of_an_absolute_target_counts_as_well(target: str, ours: bool) -> None:
    assert is_ours(target, [HOST], HOSTS) == ours


@given(st.text(max_size=40), st.lists(st.text(max_size=40), max_size=2))
def test_no_text_raises(target: str, fields: list[str]) -> None:
    assert is_ours(target, fields, HOSTS) in {True, False}


@pytest.mark.parametrize(
    ("fields", "foreign"),
    [
        ({}, None),
        ({"Sec-Fetch-Site": "same-origin"}, None),
        ({"Sec-Fetch-Site": "none"}, None),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, None),
        ({"Origin": f"http://{HOST}:7080"}, None),
        ({"Origin": f"HTTPS://{HOST}:7080"}, None),
        ({"Referer": f"http://{HOST}:7080/x"}, None),
        (LINK, None),
        ({"Sec-Fetch-Site": "same-site"}, "another site"),
        ({"Sec-Fetch-Site": "cross-site"}, "another site"),
        ({"Sec-Fetch-Site": "nonsense"}, "another site"),
        ({**LINK, "Sec-Fetch-Dest": "iframe"}, "another site"),
        ({**LINK, "Sec-Fetch-Mode": "no-cors"}, "another site"),
        ({**LINK, "Origin": "https://evil.example"}, "https://evil.example"),
        ({"Origin": "null"}, "null"),
        ({"Origin": "http://web.shop.localhost"}, "http://web.shop.localhost"),
        ({"Origin": f"http://{HOST}"}, f"http://{HOST}"),
        ({"Referer": "https://evil.example/a?b"}, "https://evil.example"),
        ({"Referer": f"https://evil.example?http://{HOST}:7080/"}, "https://evil.example"),
        ({"Referer": "nonsense"}, "nonsense://"),
        ({"Sec-Fetch-Site": "none", "Sec-Purpose": "prefetch"}, AHEAD),
        ({**LINK, "Sec-Fetch-User": "?1", "Sec-Purpose": "prefetch;prerender"}, AHEAD),
        ({"Purpose": "prefetch"}, AHEAD),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Purpose": "prefetch"}, None),
        (GOES, None),
        (BROWSER, "another site"),
        ({**BROWSER, "Accept": "text/html"}, "another site"),
        ({**BROWSER, "Referer": f"http://{HOST}:7080/"}, None),
    ],
)
def test_only_our_own_pages_and_followed_links_pass(fields: Mapping[str, str], foreign: str | None) -> None:
    assert foreign_page("GET", fields, f"{HOST}:7080") == foreign


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_nothing_but_get_and_head(method: str, client: Client) -> None:
    async with client.request(method, "/api/services") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"
        assert answer.headers["Devproxy-Error"] == "method"


@pytest.mark.parametrize("path", ["/", "/api/services", "/api/events", "/static/dashboard.js", "/nowhere"])
async def test_another_page_gets_403_wherever_it_asks(path: str, client: Client) -> None:
    fields = {"Origin": "https://evil.example"}
    async with client.get(path, headers=fields) as answer:
        assert answer.status == 403
        problem = await answer.json(content_type="application/problem+json")
    assert problem["code"] == "cross-site"
    assert "shop" not in str(problem)


async def test_a_refusal_is_a_page_for_a_browser_and_escapes_what_it_echoes(client: Client) -> None:
    fields = {"Origin": "<script>alert(1)</script>", "Accept": "text/html"}
    async with client.get("/", headers=fields) as answer:
        text = await answer.text()
    assert "&lt;script&gt;" in text
    assert "<script" not in text
