"""Responses out of a service's connection, as a function: however they are cut into reads, the same events come.

What becomes of them on the client's side is in `tests/wire/`.
"""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.http1.response import ResponseHead
from devproxy.proxy.pool import IDLE_CONNECTIONS, Pool, UpstreamAddress
from devproxy.proxy.upstream import UpstreamConnection
from devproxy.registry.model import ProxySettings
from tests.proxy.fakes import Transport, real, receive
from tests.proxy.values import LOCAL


class Exchange:
    """What a connection tells its exchange: the events in order, bodies joined."""

    def __init__(self, method: bytes = b"", *, request_done: bool = True) -> None:
        self.head_method = method
        self.settings = ProxySettings(max_response_header=1000, max_headers=20)
        self.request_done = request_done
        self.events: list[Any] = []
        self.body = b""
        self.splice = None
        self.length = 0
        self.watched: list[Any] = []
        self.proxy = SimpleNamespace(clock=7.0, watch_liveness=self.watched.append)
        self.stream = SimpleNamespace(
            pause=lambda: self.events.append("pause"), resume=lambda: self.events.append("resume")
        )

    def splice_response(self, *_: object) -> bool:
        return False

    def on_informational(self, plan: ResponseHead) -> None:
        self.events.append(plan.status)

    def on_head(self, plan: ResponseHead, body: bytes) -> None:
        self.events.append(plan.status)
        self.body += body

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_end(self, trailers: bytes) -> None:
        self.events.append(("end", trailers))

    def on_invalid(self, fault: Any) -> None:
        self.events.append(fault.code)

    def on_switch(self, plan: ResponseHead, first: bytes) -> None:
        self.events.append(plan.status)
        self.body += first

    def on_closed(self, error: Exception | None, *, answered: bool) -> None:
        self.events.append(("closed", answered))

    def cut(self) -> None:
        self.events.append("cut")


def opened(address: UpstreamAddress | None = None) -> tuple[UpstreamConnection, Transport]:
    connection, transport = UpstreamConnection(address or UpstreamAddress(LOCAL, "")), Transport()
    connection.connection_made(real(transport))
    return connection, transport


def begin(connection: UpstreamConnection, found: Exchange) -> Exchange:
    asked: Any = found
    connection.begin(asked, b"GET / HTTP/1.1\r\n\r\n")
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
SETTINGS = settings(max_examples=200, deadline=None, derandomize=True, database=None)


@SETTINGS
@given(each=st.lists(st.sampled_from(list(GOOD)), min_size=1, max_size=4), cuts=CUTS)
def test_however_a_response_is_cut_into_reads_the_same_comes_of_it(each: list[bytes], cuts: list[int]) -> None:
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
def test_however_a_malformed_one_is_cut_it_is_refused(data: bytes, cuts: list[int]) -> None:
    connection, _ = opened()
    found = begin(connection, Exchange())
    before = 0
    for at in [*sorted({min(cut, len(data)) for cut in cuts}), len(data)]:
        if at > before and "upstream-invalid" not in found.events:
            connection.data_received(data[before:at])
        before = at
    assert found.events == BAD[data]
    assert found.body == b""


@pytest.mark.parametrize("begun", [b"3\r\nhel\r\n", b"3\r\nhe", b""])
def test_a_bad_chunk_cuts_the_response_once_its_head_is_out(begun: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection, _ = opened()
    found = begin(connection, Exchange())
    connection.data_received(head + begun)
    connection.data_received(b"zzzz\r\n")
    assert found.events == [200, "cut"]
    connection, _ = opened()
    found = begin(connection, Exchange())
    connection.data_received(head + begun + b"zzzz\r\n")
    assert found.events == ["upstream-invalid"]


def test_a_head_request_has_no_body_whatever_the_length_and_does_not_share_heads_with_others() -> None:
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
def test_a_connection_that_ends_means_what_had_come_by_then(
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


def test_bytes_that_nobody_asked_for_end_an_idle_connection() -> None:
    address = UpstreamAddress(LOCAL, "")
    connection, transport = opened(address)
    begin(connection, Exchange())
    connection.data_received(FIXED)
    assert address.idle == [connection]
    connection.data_received(FIXED)
    assert transport.done == ["abort"]
    assert address.idle == []


def test_a_response_before_the_request_was_whole_ends_the_connection() -> None:
    connection, transport = opened()
    found = begin(connection, Exchange(request_done=False))
    connection.data_received(FIXED)
    assert found.events == HELLO
    assert transport.done == ["abort"]


def test_what_the_service_has_not_read_still_goes_out_before_its_connection_is_closed() -> None:
    connection, transport = opened()
    found = begin(connection, Exchange())
    connection.pause_writing()
    connection.data_received(FIXED)
    assert found.events == ["pause", *HELLO]
    assert transport.done == ["close"]
    assert connection not in connection.address.idle


def test_only_so_many_idle_connections_are_kept() -> None:
    address = UpstreamAddress(LOCAL, "")
    for _ in range(IDLE_CONNECTIONS + 1):
        connection, transport = opened(address)
        begin(connection, Exchange())
        connection.data_received(FIXED)
    assert len(address.idle) == IDLE_CONNECTIONS
    assert transport.done == ["abort"]


def test_nothing_is_kept_for_an_address_that_the_pool_has_forgotten() -> None:
    """A request that was still dialling when the service left the registry."""
    pool = Pool()
    address = pool.at(LOCAL)
    assert not pool.expire(7.0, frozenset())
    connection, transport = opened(address)
    begin(connection, Exchange())
    connection.data_received(FIXED)
    assert transport.done == ["abort"]
    assert pool.at(LOCAL) is not address


def test_a_switch_hands_over_what_came_behind_it() -> None:
    connection, _ = opened()
    found = begin(connection, Exchange())
    connection.data_received(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfirst")
    assert (found.events, found.body) == ([101], b"first")
    assert connection.address.last_response is None


def test_pauses_pass_between_the_sides() -> None:
    connection, transport = opened()
    connection.pause()
    assert transport.done == []
    found = begin(connection, Exchange())
    connection.pause()
    connection.resume()
    assert transport.done == ["pause", "resume"]
    assert found.watched == [connection]
    connection.pause_writing()
    connection.resume_writing()
    assert found.events == ["pause", "resume"]
    assert connection.check_liveness() is False
