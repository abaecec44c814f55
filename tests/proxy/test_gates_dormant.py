"""What is answered while a service is not up, and who gets a page."""

import sys

import pytest

from devproxy.proxy.answers import Respond
from devproxy.proxy.gates import Dormant, failed, shows_page
from devproxy.routing.table import Route
from tests.proxy.test_decide import answer, decided
from tests.proxy.values import fields, reading, service, table

WEB = service("web.shop", upstream=None, command="make", start="on-request", trusted=True, response_timeout=5.0)
HTML = b"Accept: text/html,application/xhtml+xml"
HOST = b"Host: web.localhost"


def test_a_page_says_what_is_under_way_and_loads_again() -> None:
    page = Dormant(WEB, about="db.shop comes first", lines=("a", "b")).page
    assert (page.status, page.code, page.reload, page.lines) == (503, "starting", True, ("a", "b"))
    assert page.detail == "web.shop is starting: db.shop comes first"
    assert Dormant(WEB).page.detail == "web.shop is starting"


def test_one_that_waited_for_too_long_learns_for_how_long_and_where_to_look() -> None:
    late = Dormant(WEB, about="db.shop comes first").late
    assert (late.status, late.code) == (503, "starting")
    assert "not up within 5 s, db.shop comes first" in late.detail
    assert late.fix.endswith(": devproxy logs web.shop")


def test_a_failure_says_why_shows_the_log_and_does_not_load_again() -> None:
    found = failed(WEB, "its command has ended", ("oops",))
    assert (found.status, found.code, found.reload, found.lines) == (502, "start-failed", False, ("oops",))
    assert found.detail == "web.shop did not start: its command has ended"
    assert found.fix.endswith(": devproxy logs web.shop")


def test_where_nothing_can_be_started_that_is_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Dormant.of(WEB).instead is None
    monkeypatch.setattr(sys, "platform", "win32")
    instead = Dormant.of(WEB).instead
    assert isinstance(instead, Respond)
    assert (instead.status, instead.code, instead.fix) == (502, "not-running", "start it: make")
    assert "on Windows" in instead.detail


@pytest.mark.parametrize(
    ("method", "each", "shown"),
    [
        (b"GET", (HTML,), True),
        (b"GET", (HTML, b"Sec-Fetch-Dest: document"), True),
        (b"GET", (HTML, b"Sec-Fetch-Dest: iframe"), False),
        (b"GET", (HTML, b"Sec-Fetch-Dest: empty"), False),
        (b"GET", (b"Accept: */*",), False),
        (b"GET", (), False),
        (b"GET", (HTML, b"Content-Length: 1"), False),
        (b"GET", (HTML, b"Connection: upgrade", b"Upgrade: websocket"), False),
        (b"HEAD", (HTML,), False),
        (b"POST", (HTML,), False),
    ],
)
def test_who_looks_gets_a_page(method: bytes, each: tuple[bytes, ...], shown: bool) -> None:
    assert shows_page(method, reading(HOST, *each), fields(HOST, *each)) is shown


def test_a_service_without_a_port_has_a_route_only_if_a_request_starts_it() -> None:
    routes = table(WEB, service("h2c", upstream=None, command="make", start="on-request"))
    found = decided(reading(b"Host: web.shop.localhost", routes=routes))
    assert isinstance(found, Route)
    assert isinstance(decided(reading(b"Host: h2c.localhost", routes=routes)), Respond)


def test_the_guards_come_before_what_is_said_of_a_service() -> None:
    evil = (b"Origin: https://evil.example", b"Sec-Fetch-Site: cross-site")
    for host in (b"off.localhost", b"grpc.localhost"):
        found = answer(host, b"/", *evil, method=b"POST")
        assert isinstance(found, Respond)
        assert found.code == "cross-site"
    found = answer(b"off.localhost", b"/", b"Devproxy-Chain: off;1, off;2, off;3, off;4")
    assert isinstance(found, Respond)
    assert found.code == "loop"
