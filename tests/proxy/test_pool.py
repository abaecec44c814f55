"""Which idle connection a request may have, when they are given up, and what is forgotten."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from devproxy.proxy import pool
from devproxy.proxy.pool import Pool, UpstreamAddress
from devproxy.registry.model import Upstream

UPSTREAM = Upstream("http", ("127.0.0.1",), 3000)
OTHER = Upstream("http", ("127.0.0.1",), 3001)


class Idle:
    """What the pool sees of a connection."""

    def __init__(self, address: UpstreamAddress, since: float, closing: bool, limit: float):
        self.address = address
        self.idle_since = since
        self.idle_limit = limit
        self.established = True
        self.transport: Any = SimpleNamespace(is_closing=lambda: closing, idle=self)

    def discard(self) -> None:
        kept: Any = self
        self.address.opened.discard(kept)
        if kept in self.address.idle:
            self.address.idle.remove(kept)


def idle(address: UpstreamAddress, since: float = 0.0, *, closing: bool = False, limit: float = 55.0) -> Any:
    """One more idle connection of `address`."""
    found: Any = Idle(address, since, closing, limit)
    address.idle.append(found)
    address.opened.add(found)
    return found


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    def established(transport: asyncio.BaseTransport) -> bool:
        asked: Any = transport
        return bool(asked.idle.established)

    monkeypatch.setattr(pool, "is_at_rest", established)


def test_the_one_used_last_is_handed_out_first_and_only_once() -> None:
    address = UpstreamAddress(UPSTREAM, "")
    first, second = idle(address, 1.0), idle(address, 2.0)
    assert address.take(3.0, repeatable=True) is second
    assert address.take(3.0, repeatable=True) is first
    assert address.take(3.0, repeatable=True) is None


def test_one_that_is_closing_is_passed_over() -> None:
    address = UpstreamAddress(UPSTREAM, "")
    good = idle(address, 1.0)
    idle(address, 2.0, closing=True)
    assert address.take(3.0, repeatable=True) is good


def test_what_must_not_be_sent_twice_gets_only_one_that_was_used_a_moment_ago_and_is_there() -> None:
    address = UpstreamAddress(UPSTREAM, "")
    kept = idle(address, 1.0)
    assert address.take(2.5, repeatable=False) is None
    assert address.idle == []  # it would keep a service with one thread from the connection that is made instead
    kept = idle(address, 2.0)
    kept.established = False
    assert address.take(2.5, repeatable=False) is None
    kept = idle(address, 2.0)
    assert address.take(2.5, repeatable=False) is kept


def test_one_that_is_too_old_is_closed_and_the_rest_stays() -> None:
    address = UpstreamAddress(UPSTREAM, "")
    first, _ = idle(address, 0.5), idle(address, 1.0)
    assert address.take(2.5, repeatable=False) is None
    assert address.idle == [first]


def test_one_that_has_ended_is_passed_over_for_another() -> None:
    address = UpstreamAddress(UPSTREAM, "")
    good, bad = idle(address, 2.0), idle(address, 2.1)
    bad.established = False
    assert address.take(2.5, repeatable=False) is good


def test_an_upload_gets_none_and_one_idle_connection_is_closed_for_it() -> None:
    address = UpstreamAddress(UPSTREAM, "")
    first, _ = idle(address, 1.0), idle(address, 2.0)
    assert address.take_none() is None
    assert address.idle == [first]


def test_a_clients_own_connection_serves_whatever_it_asks() -> None:
    address = UpstreamAddress(UPSTREAM, "")
    address.client = cast(Any, object())
    kept = idle(address, 1.0)
    kept.established = False
    assert address.take(9.0, repeatable=False) is kept
    kept = idle(address, 1.0)
    assert address.take_none() is kept


def test_one_at_a_time_is_believed_when_seen_twice_in_a_row_and_forgotten_when_two_are_served() -> None:
    address = UpstreamAddress(UPSTREAM, "")
    for relieved in (True, False, True):
        address.learn(0.0, relieved=relieved)
    assert not address.one_at_a_time
    address.learn(0.0, relieved=True)
    assert address.one_at_a_time
    assert address.capacity == 0
    address.serves_many()
    assert not address.one_at_a_time
    assert address.capacity == pool.IDLE_CONNECTIONS


def test_a_connection_is_given_up_when_its_own_time_is_over() -> None:
    address = UpstreamAddress(UPSTREAM, "")
    short, long = idle(address, 10.0, limit=4.0), idle(address, 10.0)
    address.expire(14.0)
    assert address.idle == [short, long]
    address.expire(14.1)
    assert address.idle == [long]
    address.expire(65.1)
    assert address.idle == []
    assert address.opened == set()


def test_an_address_is_one_for_each_upstream_and_name() -> None:
    addresses = Pool()
    assert addresses.at(UPSTREAM) is addresses.at(Upstream("http", ("127.0.0.1",), 3000))
    assert addresses.at(UPSTREAM) is not addresses.at(OTHER)
    assert addresses.at(UPSTREAM, "a.localhost") is not addresses.at(UPSTREAM, "b.localhost")


def test_what_nobody_routes_to_is_forgotten_once_it_has_no_connection() -> None:
    addresses = Pool()
    kept, left, used = addresses.at(UPSTREAM), addresses.at(OTHER), addresses.at(OTHER, "name")
    busy = idle(used, 100.0)
    assert addresses.expire(100.0, frozenset({UPSTREAM}))
    assert addresses.at(UPSTREAM) is kept
    assert addresses.at(OTHER, "name") is used
    assert addresses.at(OTHER) is not left
    busy.discard()
    assert not addresses.expire(100.0, frozenset({UPSTREAM}))
    assert list(addresses.addresses) == [(UPSTREAM, "", None)]


def test_closing_ends_every_connection_idle_or_not() -> None:
    addresses = Pool()
    for upstream in (UPSTREAM, OTHER):
        for _ in range(3):
            idle(addresses.at(upstream))
    addresses.at(UPSTREAM).idle.pop()
    addresses.close()
    assert not any(address.opened for address in addresses.addresses.values())
