"""`registry/model.py`: an upstream as a person would write it, and as the parser reads it back."""

from typing import Any

import pytest

from devproxy.addresses import LOOPBACKS
from devproxy.registry.addresses import upstream
from devproxy.registry.model import Service, Source, Upstream


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (Upstream("http", ("127.0.0.1",), 9000), "http://127.0.0.1:9000"),
        (Upstream("http", LOOPBACKS, 9000), "http://localhost:9000"),
        (Upstream("https", ("::1",), 9443), "https://[::1]:9443"),
        (Upstream("h2c", ("127.0.0.1",), 50051), "h2c://127.0.0.1:50051"),
        (Upstream("tcp", LOOPBACKS, 5432), "tcp://localhost:5432"),
        (Upstream("http", path="/run/app.sock"), "unix:/run/app.sock"),
    ],
)
def test_an_upstream_is_written_as_it_is_read(address: Upstream, text: str) -> None:
    assert address.text == text
    assert upstream(text) == address


def test_an_upstream_is_a_key() -> None:
    assert len({Upstream("http", LOOPBACKS, 1), Upstream("http", LOOPBACKS, 1), Upstream("http", LOOPBACKS, 2)}) == 2


@pytest.mark.parametrize(
    ("options", "awaits", "starts"),
    [
        ({}, True, True),
        ({"trusted": False}, True, False),
        ({"start": "manual"}, False, False),
        ({"command": None}, False, False),
        ({"protocol": "tcp"}, False, False),
    ],
)
def test_a_request_starts_what_asks_for_it_has_a_command_and_is_trusted(
    options: dict[str, Any], awaits: bool, starts: bool
) -> None:
    values: dict[str, Any] = {"start": "on-request", "command": "make", "trusted": True, **options}
    service = Service(id="web", name="web", project=None, hosts=(), source=Source("/r.toml", 1), **values)
    assert (service.awaits_requests, service.starts_on_request) == (awaits, starts)
