"""The interfaces of the machine, real and made up."""

import socket
from types import SimpleNamespace

import psutil
import pytest

from devproxy.health.model import Interface
from devproxy.health.scanner import interfaces


def test_real_ones_have_their_loopback() -> None:
    found = interfaces()
    assert [one.name for one in found if one.loopback]
    assert all("%" not in address for one in found for address in one.addresses)


def test_link_layer_addresses_and_zones_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"lo": ["127.0.0.1"], "en0": ["aa:bb:cc:dd:ee:ff", "10.0.0.2", "fe80::1%en0"], "en1": []}
    monkeypatch.setattr(
        psutil, "net_if_addrs", lambda: {n: [SimpleNamespace(address=a) for a in found] for n, found in names.items()}
    )
    monkeypatch.setattr(socket, "if_nameindex", lambda: [(1, "lo"), (4, "en0")])
    assert interfaces() == (
        Interface("lo", 1, ("127.0.0.1",), loopback=True),
        Interface("en0", 4, ("10.0.0.2", "fe80::1")),
        Interface("en1", 0),
    )
