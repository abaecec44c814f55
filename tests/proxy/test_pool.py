"""Which idle connection a request may have, when they are given up, and what is forgotten."""

import contextlib
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from devproxy.proxy import pool
from devproxy.proxy.interfaces import ClientConnection
from devproxy.proxy.pool import Pool, UpstreamAddress
from devproxy.proxy.upstream import UpstreamConnection
from devproxy.registry.model import Upstream
from tests.proxy import fakes

UPSTREAM = Upstream("http", ("127.0.0.1",), 3000)
OTHER = Upstream("http", ("127.0.0.1",), 3001)


class Transport(fakes.Transport):
    """One that ends as soon as it is aborted; `answerer` is the socket that the kernel is asked about."""

    answerer: socket.socket | None = None

    def get_extra_info(self, name: str) -> Any:
        return self.answerer if name == "socket" else super().get_extra_info(name)

    def abort(self) -> None:
        super().abort()
        self.protocol.connection_lost(None)


def idle(
    address: UpstreamAddress, since: float = 0.0, *, closing: bool = False, limit: float = 55.0
) -> UpstreamConnection:
    """One more idle connection of `address`."""
    found, transport = UpstreamConnection(address), Transport()
    transport.set_protocol(found)
    found.connection_made(fakes.real(transport))
    found.idle_since, found.idle_limit = since, limit
    if closing:
        transport.close()
    address.idle.append(found)
    return found


@pytest.fixture
def speak() -> Iterator[Callable[[UpstreamConnection], None]]:
    """The service says something on a connection where nothing was asked, or ends it: it is not at rest any more."""
    if sys.platform == "win32":
        pytest.skip("the kernel tells nobody here")
    with contextlib.ExitStack() as ends:

        def speak(connection: UpstreamConnection) -> None:
            near, far = (ends.enter_context(end) for end in socket.socketpair())
            far.send(b"x")
            cast(Transport, connection.transport).answerer = near

        yield speak


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


def test_what_must_not_be_sent_twice_gets_only_one_that_was_used_a_moment_ago_and_is_there(
    speak: Callable[[UpstreamConnection], None],
) -> None:
    address = UpstreamAddress(UPSTREAM, "")
    kept = idle(address, 1.0)
    assert address.take(2.5, repeatable=False) is None
    assert address.idle == []  # it would keep a service with one thread from the connection that is made instead
    kept = idle(address, 2.0)
    speak(kept)
    assert address.take(2.5, repeatable=False) is None
    kept = idle(address, 2.0)
    assert address.take(2.5, repeatable=False) is kept


def test_one_that_is_too_old_is_closed_and_the_rest_stays() -> None:
    address = UpstreamAddress(UPSTREAM, "")
    first, _ = idle(address, 0.5), idle(address, 1.0)
    assert address.take(2.5, repeatable=False) is None
    assert address.idle == [first]


def test_one_that_has_ended_is_passed_over_for_another(
    speak: Callable[[UpstreamConnection], None],
) -> None:
    address = UpstreamAddress(UPSTREAM, "")
    good, bad = idle(address, 2.0), idle(address, 2.1)
    speak(bad)
    assert address.take(2.5, repeatable=False) is good


def test_an_upload_gets_none_and_one_idle_connection_is_closed_for_it() -> None:
    address = UpstreamAddress(UPSTREAM, "")
    first, _ = idle(address, 1.0), idle(address, 2.0)
    assert address.take_none() is None
    assert address.idle == [first]


def test_a_clients_own_connection_serves_whatever_it_asks(
    speak: Callable[[UpstreamConnection], None],
) -> None:
    address = UpstreamAddress(UPSTREAM, "")
    address.client = ClientConnection()
    kept = idle(address, 1.0)
    speak(kept)
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
