"""Responses out of a service's connection, as a function: however they are cut into reads, the same events come.

What becomes of them on the client's side is in `tests/wire/`.
"""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devproxy.http1.grammar import Fault
from devproxy.http1.h2_fields import INTERNAL_ERROR
from devproxy.http1.response import ResponseHead
from devproxy.proxy.interfaces import ResponseReceiver, Snapshot
from devproxy.proxy.pool import IDLE_CONNECTIONS, Pool, UpstreamAddress
from devproxy.proxy.server import Proxy
from devproxy.proxy.upstream import UpstreamConnection
from devproxy.registry.model import ProxySettings, Registry
from tests.proxy.fakes import Transport, opened, real, receive
from tests.proxy.values import LOCAL


class Exchange(ResponseReceiver):
    """What a connection tells its exchange: the events in order, bodies joined. `client` is what it does to whom the
    response is for."""

    def __init__(self, method: bytes = b"", *, request_done: bool = True) -> None:
        self.head_method = method
        self.settings = ProxySettings(max_response_header=1000, max_headers=20)
        self.request_done = request_done
        self.events: list[Any] = []
        self.body = b""
        self.splice = None
        self.length = 0
        self.made = Proxy(Snapshot.of(Registry()))
        self.made.clock = 7.0
        self.proxy = self.made
        self.client = Transport()
        self.stream = stream = self.made.connection()
        stream.transport = real(self.client)

    def splice_response(self, service: asyncio.Transport, data: bytes, left: int) -> bool:
        return False

    def on_informational(self, response: ResponseHead) -> None:
        self.events.append(response.status)

    def on_head(self, response: ResponseHead, body: bytes) -> None:
        self.events.append(response.status)
        self.body += body

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_end(self, trailers: bytes) -> None:
        self.events.append(("end", trailers))

    def on_invalid(self, fault: Fault) -> None:
        self.events.append(fault.code)

    def on_switch(self, response: ResponseHead, first: bytes) -> None:
        self.events.append(response.status)
        self.body += first

    def on_closed(self, error: Exception | None, *, answered: bool) -> None:
        self.events.append(("closed", answered))

    def cut(self, code: int = INTERNAL_ERROR) -> None:
        self.events.append("cut")


def begin(connection: UpstreamConnection, found: Exchange) -> Exchange:
    connection.begin(found, b"GET / HTTP/1.1\r\n\r\n")
    return found


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
FIXED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nhel\r\n2\r\nlo\r\n0\r\nX-T: 1\r\n\r\n"
HELLO = [200, ("end", b"")]
GOOD = {
    FIXED: (HELLO, b"hello", True),
    CHUNKED: ([200, ("end", b"X-T: 1\r\n")], b"hello", True),
    HINTS + FIXED: ([103, *HELLO], b"hello", True),
    HINTS * 3 + CHUNKED: ([103, 103, 103, 200, ("end", b"X-T: 1\r\n")], b"hello", True),
    b"HTTP/1.1 204 No Content\r\n\r\n": ([204, ("end", b"")], b"", True),
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n": (HELLO, b"", False),
    b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello": (HELLO, b"hello", False),
    FIXED + b"more": (HELLO, b"hello", False),
    CHUNKED + b"more": ([200, ("end", b"X-T: 1\r\n")], b"hello", False),
}
BAD = {
    b"HTTP/1.1 200 OK\nA: b\r\n\r\n": ["upstream-invalid"],
    b"SSH-2.0-OpenSSH_9.2\r\n": ["upstream-invalid"],
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n": ["upstream-invalid"],
    b"HTTP/1.1 103 Early\r\nContent-Length: x\r\n\r\n": ["upstream-invalid"],
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300: ["upstream-invalid"],
    HINTS * 65: [*[103] * 64, "upstream-invalid"],
}
CUTS = st.lists(st.integers(0, 400), max_size=8)
SETTINGS = settings(
    max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@SETTINGS
@given(each=st.lists(st.sampled_from(list(GOOD)), min_size=1, max_size=4), cuts=CUTS)
async def test_however_a_response_is_cut_into_reads_the_same_comes_of_it(each: list[bytes], cuts: list[int]) -> None:
    """One response after the other, on connections of one address, which remembers the last head."""
    address = UpstreamAddress(LOCAL, "")
    for data in each:
        events, body, reusable = GOOD[data]
        connection, transport = opened(address)
        found = begin(connection, Exchange())
        receive(connection, transport, data, cuts)
        assert (found.events, found.body) == (events, body)
        assert transport.is_closing() is not reusable
        assert (connection in address.idle) is reusable


@SETTINGS
@given(data=st.sampled_from(list(BAD)), cuts=CUTS)
async def test_however_a_malformed_one_is_cut_it_is_refused(data: bytes, cuts: list[int]) -> None:
    connection, _ = opened(UpstreamAddress(LOCAL, ""))
    found = begin(connection, Exchange())
    before = 0
    for at in [*sorted({min(cut, len(data)) for cut in cuts}), len(data)]:
        if at > before and "upstream-invalid" not in found.events:
            connection.data_received(data[before:at])
        before = at
    assert found.events == BAD[data]
    assert found.body == b""


@pytest.mark.parametrize("begun", [b"3\r\nhel\r\n", b"3\r\nhe", b""])
async def test_a_bad_chunk_cuts_the_response_once_its_head_is_out(begun: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection, _ = opened(UpstreamAddress(LOCAL, ""))
    found = begin(connection, Exchange())
    connection.data_received(head + begun)
    connection.data_received(b"zzzz\r\n")
    assert found.events == [200, "cut"]
    connection, _ = opened(UpstreamAddress(LOCAL, ""))
    found = begin(connection, Exchange())
    connection.data_received(head + begun + b"zzzz\r\n")
    assert found.events == ["upstream-invalid"]


async def test_a_head_request_has_no_body_whatever_the_length_and_does_not_share_heads_with_others() -> None:
    address = UpstreamAddress(LOCAL, "")
    for method, body in ((b"", b"hello"), (b"HEAD", b""), (b"", b"hello")):
        connection, _ = opened(address)
        found = begin(connection, Exchange(method))
        connection.data_received(FIXED.removesuffix(b"hello") + body)
        assert (found.events, found.body) == (HELLO, body)
        assert connection in address.idle


@pytest.mark.parametrize(
    ("data", "error", "events"),
    [
        (b"", None, [("closed", False)]),
        (b"", ConnectionResetError(), [("closed", False)]),
        (b"HTTP/1.1 2", None, [("closed", True)]),
        (HINTS, None, [103, ("closed", True)]),
        (FIXED[:-1], None, [200, "cut"]),
        (CHUNKED[:-1], None, [200, "cut"]),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", None, HELLO),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", ConnectionResetError(), [200, "cut"]),
    ],
)
async def test_a_connection_that_ends_means_what_had_come_by_then(
    data: bytes, error: Exception | None, events: list[Any]
) -> None:
    address = UpstreamAddress(LOCAL, "")
    connection, _ = opened(address)
    found = begin(connection, Exchange())
    if data:
        connection.data_received(data)
    connection.connection_lost(error)
    assert found.events == events
    assert not address.opened
    connection.connection_lost(None)
    assert found.events == events


async def test_bytes_that_nobody_asked_for_end_an_idle_connection() -> None:
    address = UpstreamAddress(LOCAL, "")
    connection, transport = opened(address)
    begin(connection, Exchange())
    connection.data_received(FIXED)
    assert address.idle == [connection]
    connection.data_received(FIXED)
    assert transport.done == ["abort"]
    assert address.idle == []


async def test_a_response_before_the_request_was_whole_ends_the_connection() -> None:
    connection, transport = opened(UpstreamAddress(LOCAL, ""))
    found = begin(connection, Exchange(request_done=False))
    connection.data_received(FIXED)
    assert found.events == HELLO
    assert transport.done == ["abort"]


async def test_what_the_service_has_not_read_still_goes_out_before_its_connection_is_closed() -> None:
    connection, transport = opened(UpstreamAddress(LOCAL, ""))
    found = begin(connection, Exchange())
    connection.pause_writing()
    connection.data_received(FIXED)
    assert found.client.done == ["pause"]
    assert found.events == HELLO
    found.made.close()
    assert transport.done == ["close"]
    assert connection not in connection.address.idle


async def test_only_so_many_idle_connections_are_kept() -> None:
    address = UpstreamAddress(LOCAL, "")
    for _ in range(IDLE_CONNECTIONS + 1):
        connection, transport = opened(address)
        begin(connection, Exchange())
        connection.data_received(FIXED)
    assert len(address.idle) == IDLE_CONNECTIONS
    assert transport.done == ["abort"]


async def test_nothing_is_kept_for_an_address_that_the_pool_has_forgotten() -> None:
    """A request that was still dialling when the service left the registry."""
    pool = Pool()
    address = pool.at(LOCAL)
    assert not pool.expire(7.0, frozenset())
    connection, transport = opened(address)
    begin(connection, Exchange())
    connection.data_received(FIXED)
    assert transport.done == ["abort"]
    assert pool.at(LOCAL) is not address


async def test_a_switch_hands_over_what_came_behind_it() -> None:
    connection, _ = opened(UpstreamAddress(LOCAL, ""))
    found = begin(connection, Exchange())
    connection.data_received(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfirst")
    assert (found.events, found.body) == ([101], b"first")
    assert connection.address.last_response is None


async def test_pauses_pass_between_the_sides() -> None:
    connection, transport = opened(UpstreamAddress(LOCAL, ""))
    connection.pause()
    assert transport.done == []
    found = begin(connection, Exchange())
    connection.pause()
    connection.resume()
    assert transport.done == ["pause", "resume"]
    assert found.made.liveness_watched == {connection}
    connection.pause_writing()
    connection.resume_writing()
    assert found.client.done == ["pause", "resume"]
    assert connection.check_liveness() is False
    found.made.close()
