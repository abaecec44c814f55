"""Bytes to requests, as a function: however a stream is cut into reads, the same answers come, in order.

Nobody is registered here, so that every request gets an answer of the proxy's own; requests that reach a service are in
`tests/wire/`.
"""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.server import Proxy
from devproxy.registry.model import ProxySettings, Registry
from tests.proxy.fakes import Transport, accepted, receive

GET = b"GET /%d HTTP/1.1\r\nHost: nobody.localhost\r\nCookie: a=b\r\n\r\n"
GOOD = [
    GET % 1,
    GET % 2,
    b"\r\n" + GET % 3,
    b"HEAD / HTTP/1.1\r\nHost: nobody.localhost\r\nAccept: text/html\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: nobody.localhost\r\nConnection: keep-alive\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]\r\n\r\n",
]
LAST = [
    b"",
    b"GET / HTTP/1.1\r\nHost: nobody.localhost\r\nConnection: close\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: nobody.localhost\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: nobody.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"CONNECT http://nobody.localhost/ HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n",
    b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
]
EXPECTED = {GOOD[4]: 421, GOOD[6]: 421, LAST[4]: 505, LAST[10]: 431, LAST[11]: 414, **dict.fromkeys(LAST[5:10], 400)}


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return Snapshot.of(Registry(settings=ProxySettings(max_header=8192)))


def statuses(messages: list[bytes]) -> list[int]:
    return [EXPECTED.get(message, 404) for message in messages if message]


@settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    good=st.lists(st.sampled_from(GOOD), max_size=4),
    last=st.sampled_from(LAST),
    cuts=st.lists(st.integers(0, 400), max_size=10),
)
async def test_however_requests_are_cut_into_reads_the_same_answers_come(
    good: list[bytes], last: bytes, cuts: list[int], snapshot: Snapshot
) -> None:
    proxy = Proxy(snapshot)
    connection, transport = accepted(proxy)
    receive(connection, transport, b"".join(good) + last, cuts)
    proxy.close()
    assert transport.statuses == statuses([*good, last])
    assert ("eof" in transport.done) is bool(last)


@pytest.fixture
async def proxy(snapshot: Snapshot) -> AsyncIterator[Proxy]:
    found = Proxy(snapshot)
    yield found
    found.close()


def told(proxy: Proxy, data: bytes, cuts: list[int]) -> Transport:
    connection, transport = accepted(proxy)
    receive(connection, transport, data, cuts)
    return transport


@pytest.mark.parametrize("last", LAST, ids=lambda data: repr(data[:40]))
async def test_each_request_is_answered_by_itself_and_behind_others_whole_and_byte_by_byte(
    proxy: Proxy, last: bytes
) -> None:
    for before in ([], [GOOD[0]], [GOOD[0], GOOD[2], GOOD[4]]):
        data = b"".join(before) + last
        for cuts in ([], list(range(min(len(data), 9000))), [len(data) - 1], [len(data) - 3]):
            transport = told(proxy, data, cuts)
            assert transport.statuses == statuses([*before, last]), cuts
            assert ("eof" in transport.done) is bool(last)


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
async def test_one_empty_line_before_a_request_is_skipped_wherever_it_is_cut(proxy: Proxy, cut: int) -> None:
    assert told(proxy, b"\r\n" + GOOD[0], [cut]).statuses == [404]
    assert told(proxy, b"\r\n" + GOOD[0], [1, 2, 3, 4]).statuses == [404]
    assert told(proxy, GOOD[0] + b"\r\n" + GOOD[0], [len(GOOD[0]) + cut]).statuses == [404, 404]
    assert told(proxy, b"\r\n\r\n" + GOOD[0], [cut]).statuses == [400]


async def test_nothing_is_read_behind_what_ended_the_connection(proxy: Proxy) -> None:
    for last in LAST[1:]:
        assert told(proxy, last + GOOD[0] * 3, []).statuses == statuses([last])
        assert told(proxy, last + GOOD[0] * 3, [len(last), len(last) + 5]).statuses == statuses([last])


async def test_a_head_that_is_not_complete_has_a_deadline_and_an_idle_connection_another(proxy: Proxy) -> None:
    limits = proxy.snapshot.settings
    connection, transport = accepted(proxy)
    assert connection.deadline == proxy.clock + limits.idle_timeout
    connection.data_received(GOOD[0][:30])
    proxy.clock += 5.0
    connection.data_received(GOOD[0][30:40])
    assert connection.deadline == proxy.clock - 5.0 + limits.header_timeout
    connection.data_received(GOOD[0][40:])
    assert connection.deadline == proxy.clock + limits.idle_timeout
    assert transport.statuses == [404]


async def test_end_of_input_closes_an_idle_connection(proxy: Proxy) -> None:
    connection, _ = accepted(proxy)
    assert connection.eof_received() is False


async def test_a_later_registry_counts_for_the_next_request(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GOOD[0])
    proxy.swap(Snapshot.of(Registry(settings=ProxySettings(tlds=("test",)))))
    connection.data_received(GOOD[0])
    assert transport.statuses == [404, 421]
