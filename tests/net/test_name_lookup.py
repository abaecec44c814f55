"""Whether names lead to their addresses, as the system's resolver says; the resolver is a stand-in."""

import socket
import threading
from collections.abc import Callable

import pytest

from devproxy.net.hosts_file import HostsLine
from devproxy.net.name_lookup import Astray, astray, astray_after

DB, CACHE = HostsLine("127.80.1.2", "db.localhost"), HostsLine("127.80.1.3", "cache.localhost")

Resolver = Callable[[str], list[str]]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Callable[[Resolver], None]:
    def use(answer: Resolver) -> None:
        def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in answer(host)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return use


def refuse(_: str) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "not known")


def test_nothing_is_asked_where_no_service_has_its_own_address(resolver: Callable[[Resolver], None]) -> None:
    resolver(pytest.fail)
    assert astray([]) is None


def test_names_that_lead_to_their_addresses(resolver: Callable[[Resolver], None]) -> None:
    resolver({DB.name: [DB.address], CACHE.name: [CACHE.address]}.__getitem__)
    assert astray([DB, CACHE]) is None


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["::1"], [DB.address, "::1"], []])
def test_the_first_that_leads_elsewhere_is_told(addresses: list[str], resolver: Callable[[Resolver], None]) -> None:
    resolver({CACHE.name: [CACHE.address], DB.name: addresses}.__getitem__)
    wrong = astray([CACHE, DB])
    assert wrong == Astray(DB, tuple(addresses))
    assert wrong.text.startswith("db.localhost leads to " if addresses else "db.localhost does not resolve")
    assert DB.address in wrong.text


def test_one_that_does_not_resolve(resolver: Callable[[Resolver], None]) -> None:
    resolver(refuse)
    assert astray([DB]) == Astray(DB, ())


def test_a_resolver_that_hangs_holds_nobody_up(resolver: Callable[[Resolver], None]) -> None:
    leave = threading.Event()

    def hang(_: str) -> list[str]:
        leave.wait()
        return []

    resolver(hang)
    try:
        assert astray([DB], patience=0.01) == Astray(DB, ())
    finally:
        leave.set()


def test_a_resolver_gets_time_to_read_a_file_that_was_just_written(resolver: Callable[[Resolver], None]) -> None:
    answers = iter([["127.0.0.1"], ["127.0.0.1"]])
    resolver(lambda _: next(answers, [DB.address]))
    assert astray_after([DB], 60.0) is None
    resolver(lambda _: ["127.0.0.1"])
    assert astray_after([DB], 0.0) == Astray(DB, ("127.0.0.1",))
