"""A request that waits for its service, as a function of bytes and gates. On a wire: `tests/wire/test_held.py`."""

import pytest

from devproxy.proxy.exchange import HeldRequest
from devproxy.proxy.gates import Dormant, failed
from devproxy.proxy.server import Proxy, Snapshot
from devproxy.registry.model import Registry
from tests.proxy.fakes import accepted
from tests.proxy.values import service

WEB = service("web", upstream=None, command="make", start="on-request", trusted=True)
GET = b"GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n"


@pytest.fixture
async def proxy() -> Proxy:
    return Proxy(Snapshot.of(Registry(services=(WEB,))))


async def test_its_bytes_stay_as_they_came_and_so_do_those_behind_it(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GET + b"GE")
    connection.data_received(b"T /2")
    assert isinstance(connection.exchange, HeldRequest)
    assert connection._buffer == GET + b"GET /2"
    assert transport.written == b""


async def test_gates_that_leave_it_waiting_change_nothing(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GET)
    held = connection.exchange
    proxy.set_gates({"web": Dormant(WEB, lines=("compiling",))})
    assert connection.exchange is held
    assert proxy.held == {held}
    assert transport.written == b""


async def test_an_answer_takes_it_out_and_what_is_behind_it_has_its_turn(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GET + GET)
    proxy.set_gates({"web": Dormant(WEB, instead=failed(WEB, "it ended", ()))})
    assert transport.statuses == [502, 502]
    assert connection.exchange is None
    assert connection._buffer == b""
    assert not proxy.held


async def test_it_does_not_go_on_before_its_client_has_read_what_it_was_sent(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GET)
    connection.pause_writing()
    proxy.swap(Snapshot.of(Registry(services=(service("other"),))))
    assert (connection.exchange, transport.statuses) == (None, [])
    connection.resume_writing()
    assert transport.statuses == [404]


async def test_an_access_log_has_it(proxy: Proxy) -> None:
    records: list[tuple[object, ...]] = []
    proxy.access_log = records.append
    connection, _ = accepted(proxy)
    connection.data_received(GET)
    proxy.set_gates({"web": Dormant(WEB, instead=failed(WEB, "it ended", ()))})
    assert [record[1:6] for record in records] == [("web", b"GET", b"/", 502, 0)]


async def test_a_connection_that_is_lost_waits_for_nothing(proxy: Proxy) -> None:
    connection, _ = accepted(proxy)
    connection.data_received(GET)
    connection.connection_lost(None)
    assert not proxy.held
    assert not proxy.connections
