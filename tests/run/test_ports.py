"""A port is stable, free, unclaimed, and one that browsers open."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.errors import DevproxyError
from devproxy.registry.model import ProxySettings, Registry, Service, Source, Upstream
from devproxy.registry.validate import BLOCKED_PORTS
from devproxy.run.ports import allocate, declared_ports


def choose(service: str = "web", checkout: str = "", taken: frozenset[int] = frozenset()) -> int:
    return allocate("shop", service, checkout, taken=taken, low=20000, high=29999, is_free=lambda _: True)


def test_it_is_the_same_in_every_process() -> None:
    code = (
        "from devproxy.run.ports import allocate;"
        "print(allocate('shop', 'web', '', taken=(), low=20000, high=29999, is_free=lambda _: True))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == choose()


def test_service_project_and_checkout_all_count() -> None:
    other = allocate("other", "web", "", taken=(), low=20000, high=29999, is_free=lambda _: True)
    assert len({choose(), choose("api"), choose(checkout="fix-ui"), other}) == 4


@given(st.sets(st.integers(6000, 6020)), st.sets(st.integers(6000, 6020)), st.text(max_size=10))
def test_it_is_never_taken_busy_or_blocked(taken: set[int], busy: set[int], service: str) -> None:
    usable = set(range(6000, 6021)) - taken - busy - BLOCKED_PORTS

    def run() -> int:
        return allocate(None, service, "", taken=taken, low=6000, high=6020, is_free=lambda port: port not in busy)

    if usable:
        assert run() in usable
    else:
        with pytest.raises(DevproxyError, match="no port is free between 6000 and 6020"):
            run()


def test_others_ports_are_declared() -> None:
    def service(name: str, port: int, listen: int | None = None) -> Service:
        address = Upstream("http", ("127.0.0.1",), port) if port else Upstream("http", path="/run/a.sock")
        return Service(
            id=name, name=name, project=None, hosts=(), upstream=address, listen=listen, source=Source("", 1)
        )

    services = (service("a", 3000), service("b", 3001, 5432), service("c", 0))
    registry = Registry(settings=ProxySettings(http=7080), services=services)
    assert declared_ports(registry, "a") == {3001, 5432, 7080}
