"""A client's connection by itself: its ends, and what time does to it. What passes over it: `tests/wire/`."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from devproxy.proxy.answers import Respond
from devproxy.proxy.exchange import Exchange
from devproxy.proxy.h1 import Http1Connection
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.proxy.splice import Splice
from devproxy.registry.model import Registry
from tests import require
from tests.proxy.fakes import Transport, accepted, connected, respond, undialled
from tests.proxy.sockets import connected_transport
from tests.proxy.values import service

GET = b"GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n"
WEB = GET.replace(b"nobody", b"web")
POST = WEB.replace(b"GET", b"POST")[:-2] + b"Content-Length: 5\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
NO_REQUEST = b"\x00\r\n\r\n"


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    found, _ = undialled(Snapshot.of(Registry(services=(service("web", response_timeout=60.0),))))
    yield found
    found.close()


def begun(connection: Http1Connection, request: bytes = WEB) -> Exchange:
    """The exchange of a request that its service does not answer."""
    connection.data_received(request)
    assert connection.exchange is not None
    return connection.exchange


async def test_a_refusal_is_read_before_the_connection_ends(proxy: Proxy) -> None:
    """FIN first, and what still comes is thrown away: a RST would take the answer away from the client."""
    connection, transport = accepted(proxy)
    connection.data_received(NO_REQUEST)
    assert transport.statuses == [400]
    assert b"Connection: close\r\n" in transport.written
    assert transport.done[0] == "eof"
    assert transport.is_reading()
    connection.data_received(GET * 100)
    assert transport.statuses == [400]
    assert not transport.is_closing()
    assert connection.deadline < proxy.clock + 5
    connection.expire()
    assert transport.done[-1] == "abort"


async def test_a_transport_that_cannot_half_close_is_closed(proxy: Proxy) -> None:
    connection, transport = accepted(proxy, half_close=False)
    connection.data_received(NO_REQUEST)
    assert transport.done == ["close"]


async def test_time_ends_an_idle_connection_without_a_word_and_half_a_head_with_one(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.expire()
    assert (transport.written, transport.done) == (b"", ["close"])
    connection, transport = accepted(proxy)
    connection.data_received(GET[:20])
    connection.expire()
    assert transport.statuses == [408]
    assert "eof" in transport.done


async def test_time_ends_a_request_that_is_not_answered(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    exchange = begun(connection)
    assert exchange.deadline == proxy.clock + 60.0
    assert connection.deadline == float("inf")
    exchange.expire()
    assert transport.statuses == [504]
    assert connection.exchange is None
    assert connection.keep_alive
    assert connection.deadline == proxy.clock + 75.0


async def test_time_does_not_end_a_body_that_moves_inside_the_kernel(proxy: Proxy) -> None:
    require.linux()
    loop = asyncio.get_running_loop()
    source, sender = await connected_transport()
    sink, receiver = await connected_transport()
    connection, transport = accepted(proxy)
    exchange = begun(connection, POST)
    exchange.splice = Splice(source, sink, first=b"", left=5, ended=lambda _: None)
    sender.send(b"h")
    with sender, receiver:
        assert await loop.sock_recv(receiver, 1) == b"h"
        exchange.deadline = 0.0
        exchange.expire()
        assert transport.written == b""
        assert proxy.clock < exchange.deadline < proxy.clock + 60.0  # the next look
        proxy.clock += 60.0
        exchange.expire()
        assert transport.statuses == [408]
    source.abort()
    sink.abort()


@pytest.mark.parametrize(("responded", "whole"), [(False, True), (False, False), (True, True), (True, False)])
async def test_a_failure_is_answered_or_cut(responded: bool, whole: bool) -> None:
    """Where bytes of a response are out, an answer would be taken for part of it: only RST is understood."""
    proxy, asked = undialled(Snapshot.of(Registry(services=(service("web"),))))
    connection, transport = accepted(proxy)
    failed = begun(connection, WEB if whole else POST)
    if responded:
        respond(failed, OK + b"o")
    failed.answer(Respond(502, "upstream-closed", "x"))
    assert transport.statuses == ([200] if responded else [502])
    assert ("abort" in transport.done) is responded
    assert ("eof" in transport.done) is (not responded and not whole)
    assert connection.exchange is None
    failed.answer(Respond(400, "bad-request", "no"))
    failed.cut()
    assert transport.statuses == ([200] if responded else [502])
    assert asked.count("now") == 1
    assert proxy.counts == {"web": {200 if responded else 502: 1}}
    proxy.close()


async def test_a_proxy_that_stops_closes_what_is_idle_and_lets_the_rest_end(proxy: Proxy) -> None:
    idle, transport = accepted(proxy)
    idle.retire()
    assert transport.done == ["close"]
    busy, transport = accepted(proxy)
    begun(busy)
    busy.retire()
    assert transport.done == []
    assert not busy.keep_alive
    leaving, transport = accepted(proxy)
    leaving.data_received(NO_REQUEST)
    leaving.retire()
    assert not transport.is_closing()


async def test_a_client_that_is_gone_takes_its_request_along(proxy: Proxy) -> None:
    connection, _ = accepted(proxy)
    under_way = begun(connection)
    connection.connection_lost(None)
    assert under_way.ended
    assert under_way.status == 0
    assert connection not in proxy.connections
    assert not proxy.exchanges


async def test_pauses_are_asked_for_once_and_looked_after(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.resume()
    connection.pause()
    connection.pause()
    assert transport.done == ["pause"]
    assert connection in proxy.liveness_watched
    connection.resume()
    connection.resume()
    assert transport.done == ["pause", "resume"]


async def test_pages_of_our_own_may_not_be_there(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GET.replace(b"nobody", b"devproxy"))
    assert transport.statuses == [404]


async def test_pipelined_requests_wait_for_the_one_under_way_and_at_some_point_on_the_wire(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    first = begun(connection)
    connection.data_received(GET)
    assert transport.statuses == []
    assert transport.is_reading()
    connection.data_received(GET * 2000)
    assert not transport.is_reading()
    respond(first, OK + b"ok")
    assert transport.is_reading()
    assert transport.statuses == [200, *[404] * 2001]


async def test_a_client_that_sends_requests_and_reads_nothing_is_not_answered_without_end(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    first = begun(connection)
    connection.data_received(GET * 10)
    connection.pause_writing()
    respond(first, OK + b"ok")
    connection.data_received(GET * 2000)
    assert transport.statuses == [200]
    assert not transport.is_reading()
    connection.resume_writing()
    assert transport.statuses == [200, *[404] * 2010]
    assert transport.is_reading()


async def test_answers_of_our_own_stop_as_well_once_the_client_does_not_read_them(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    transport.on_write = lambda: connection.pause_writing() if len(transport.written) > 2000 else None
    connection.data_received(GET * 100)
    assert 2 <= len(transport.statuses) < 10
    transport.on_write = lambda: None
    connection.resume_writing()
    assert transport.statuses == [404] * 100


async def test_a_client_that_reads_slowly_gets_the_end_of_its_response(proxy: Proxy) -> None:
    """What waits in the transport is cut by no timeout, neither of an idle connection nor of one that ends."""
    connection, transport = accepted(proxy)
    connection.pause_writing()
    connection.resume_writing()
    ended = begun(connection)
    connection.pause_writing()
    respond(ended, OK + b"ok")
    assert connection.deadline == float("inf")
    connection.resume_writing()
    assert connection.deadline < float("inf")

    transport.waiting = 1000
    connection.data_received(NO_REQUEST)
    connection.expire()
    assert not transport.is_closing()
    transport.waiting = 0
    connection.expire()
    assert transport.done[-1] == "abort"


@pytest.mark.parametrize("size", [1, 1 << 16, (1 << 16) + 1, 1 << 18])
async def test_a_chunk_of_any_size_may_be_more_than_the_client_takes(proxy: Proxy, size: int) -> None:
    """The writelines of asyncio in CPython 3.12.0 to 3.12.8 and 3.13.0 to 3.13.1 never asks for a pause; write does."""
    connection, transport = accepted(proxy)
    ended = begun(connection)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    upstream, from_service = connected(ended)
    upstream.data_received(head)
    whole = len(transport.written) + len(b"%x\r\n\r\n" % size) + size
    transport.on_write = lambda: connection.pause_writing() if len(transport.written) == whole else None
    upstream.data_received(b"%x\r\n" % size + bytes(size))
    assert len(transport.written) == whole
    assert from_service.done == ["pause"]


async def test_a_client_that_never_reads_is_let_go(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.pause_writing()
    connection.expire()
    assert transport.done == ["abort"]


@pytest.mark.parametrize("early", [True, False], ids=["within the first answer", "between two answers"])
async def test_half_closed_clients_that_read_slowly_get_every_answer(proxy: Proxy, early: bool) -> None:
    connection, transport = accepted(proxy)
    first = begun(connection)
    connection.data_received(GET * 100)
    connection.pause_writing()
    if early:
        assert connection.eof_received() is True
    transport.on_write = lambda: connection.pause_writing() if len(transport.written) % 2000 > 1000 else None
    respond(first, OK + b"ok")
    if not early:
        assert connection.eof_received() is True
    before = 0
    while len(transport.statuses) > before:
        before = len(transport.statuses)
        connection.resume_writing()
    assert transport.statuses == [200, *[404] * 100]
    assert transport.done[-1] == "close"


async def test_a_half_closed_client_that_was_answered_all_is_closed_whatever_waits_for_it(proxy: Proxy) -> None:
    connection, _ = accepted(proxy)
    connection.data_received(GET)
    connection.pause_writing()
    assert connection.eof_received() is False


async def test_half_closed_clients_get_the_rest_and_are_closed(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    first = begun(connection)
    assert connection.eof_received() is True
    assert connection in proxy.liveness_watched
    assert not transport.is_closing()
    respond(first, OK + b"ok")
    assert transport.done == ["close"]


def test_a_transport_of_the_tests_is_no_real_one() -> None:
    assert not isinstance(Transport(), asyncio.Transport)
