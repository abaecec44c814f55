"""The look that `devproxy ls` takes: the socket table alone."""

import socket
from typing import Any

import pytest

from devproxy.health.socket_table import from_socket_table
from devproxy.net import sockdiag
from devproxy.net.sockdiag import RawListener
from tests import require
from tests.health.things import service
from tests.ports import free_port, listening


@pytest.fixture(autouse=True)
def _linux() -> None:
    require.linux()


def test_up_and_down_and_what_cannot_be_told() -> None:
    with listening() as port:
        waits: dict[str, Any] = {"command": "vite", "start": "on-request", "trusted": True}
        found = from_socket_table(
            [
                *(service("up", port), service("down", free_port()), service("sock", path="/x"), service("none", None)),
                *(service("asleep", free_port(), **waits), service("portless", None, **waits)),
            ]
        )
    assert {name: (condition.word, condition.exposure) for name, condition in found.items()} == {
        "up": ("up", "loopback"),
        "down": ("down", "unknown"),
        "sock": ("unknown", "loopback"),
        "none": ("unknown", "unknown"),
        "asleep": ("on-request", "unknown"),
        "portless": ("on-request", "unknown"),
    }
    (heard,) = found["up"].listeners
    assert (heard.address, heard.port, heard.family, heard.verdict) == ("127.0.0.1", port, "ipv4", "loopback")


@pytest.mark.parametrize(
    ("address", "family", "v6only", "state"),
    [
        ("0.0.0.0", socket.AF_INET, None, "up"),
        ("::", socket.AF_INET6, True, "up"),
        ("192.168.1.20", socket.AF_INET, None, "down"),
    ],
)
def test_what_is_bound_widely_is_exposed(
    address: str, family: int, v6only: bool | None, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockdiag, "listeners", lambda: [RawListener(address, 3000, family, 1, 0, v6only, 0)])
    condition = from_socket_table([service()])["web"]
    assert (condition.state, condition.exposure) == (state, "exposed")


def test_where_there_is_no_such_table_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[RawListener]:
        raise OSError("not Linux")

    monkeypatch.setattr(sockdiag, "listeners", refuse)
    assert from_socket_table([service()]) == {}
