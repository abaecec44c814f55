"""A request that waits for its service, as a function of bytes and gates. On a wire: `tests/wire/test_held.py`."""

import pytest

from devproxy.proxy.gates import Dormant, Gate, failed
from devproxy.proxy.interfaces import AccessRecord, Snapshot
from devproxy.proxy.server import Proxy
from devproxy.registry.model import Registry
from tests.proxy.fakes import Transport, accepted, connected, idle, undialled
from tests.proxy.values import LOCAL, service

WEB = service("web", upstream=None, command="make", start="on-request", trusted=True)
GET = b"GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n"
FAILED = Gate(dormant=Dormant(WEB, instead=failed(WEB, "it ended", ())))


@pytest.fixture
async def made() -> tuple[Proxy, list[str]]:
    return undialled(Snapshot.of(Registry(services=(WEB,))))


@pytest.fixture
def proxy(made: tuple[Proxy, list[str]]) -> Proxy:
    return made[0]


@pytest.fixture
def asked(made: tuple[Proxy, list[str]]) -> list[str]:
    """What was asked of a dialling."""
    return made[1]


def come_up(proxy: Proxy) -> None:
    proxy.swap(Snapshot.of(Registry(services=(service("web"),))))


def idle_connections(proxy: Proxy, count: int) -> list[Transport]:
    """Of so many connections to the service that are there once it is up."""
    return [idle(proxy.pool.at(LOCAL), proxy.clock)[1] for _ in range(count)]


async def test_it_is_a_value_and_the_bytes_behind_it_wait(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GET + b"GE")
    connection.data_received(b"T /2")
    (held,) = proxy.held
    assert connection.exchange is held
    assert (held.method, held.target, held.service_id) == (b"GET", b"/", "web")
    assert connection._buffer == b"GET /2"
    assert transport.written == b""


async def test_once_its_service_is_up_it_is_dispatched_by_the_registry_that_is_in_force(
    proxy: Proxy, asked: list[str]
) -> None:
    connection, _ = accepted(proxy)
    connection.data_received(GET)
    held = connection.exchange
    assert held is not None
    assert asked == []
    come_up(proxy)
    assert not proxy.held
    assert asked == ["now"]
    assert held.reading.table is proxy.snapshot.table
    assert held.address.upstream == proxy.snapshot.table.services["web"].upstream


async def test_its_body_is_read_once_it_goes_on(proxy: Proxy, asked: list[str]) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GET[:-2].replace(b"GET", b"POST") + b"Content-Length: 200000\r\n\r\n" + b"a" * 70_000)
    assert not transport.is_reading()
    held = connection.exchange
    assert held is not None
    come_up(proxy)
    assert (len(held._held), asked) == (70_000, ["now"])
    _, sent = connected(held)
    assert transport.is_reading()
    assert sent.written.partition(b"\r\n\r\n")[2] == b"a" * 70_000
    connection.data_received(b"a" * 130_000 + GET)
    assert held.request_done
    assert sent.written.partition(b"\r\n\r\n")[2] == b"a" * 200_000
    assert connection._buffer == GET


async def test_gates_that_leave_it_waiting_change_nothing(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GET)
    held = connection.exchange
    proxy.set_gates({"web": Gate(dormant=Dormant(WEB, lines=("compiling",)))})
    assert connection.exchange is held
    assert proxy.held == {held}
    assert transport.written == b""


async def test_an_answer_takes_it_out_and_what_is_behind_it_has_its_turn(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GET + GET)
    proxy.set_gates({"web": FAILED})
    assert transport.statuses == [502, 502]
    assert connection.exchange is None
    assert connection._buffer == b""
    assert not proxy.held


async def test_one_whose_name_is_gone_is_told_so(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GET)
    proxy.swap(Snapshot.of(Registry(services=(service("other"),))))
    assert (connection.exchange, transport.statuses) == (None, [404])


async def test_what_is_behind_it_does_not_go_on_before_its_client_has_read_what_it_was_sent(proxy: Proxy) -> None:
    connection, transport = accepted(proxy)
    connection.data_received(GET + GET)
    connection.pause_writing()
    proxy.swap(Snapshot.of(Registry(services=(service("other"),))))
    assert (connection.exchange, transport.statuses) == (None, [404])
    connection.resume_writing()
    assert transport.statuses == [404, 404]


async def test_an_access_log_has_it(proxy: Proxy) -> None:
    records: list[tuple[object, ...]] = []
    proxy.access_log = records.append
    connection, _ = accepted(proxy)
    connection.data_received(GET)
    proxy.set_gates({"web": FAILED})
    assert [record[1:6] for record in records] == [("web", b"GET", b"/", 502, 0)]


async def test_a_log_that_is_switched_on_meanwhile_has_how_long_it_took(proxy: Proxy) -> None:
    records: list[AccessRecord] = []
    connection, _ = accepted(proxy)
    connection.data_received(GET)
    proxy.access_log = records.append
    proxy.set_gates({"web": FAILED})
    (record,) = records
    assert record[-1] < 10


async def test_a_connection_that_is_lost_waits_for_nothing(proxy: Proxy) -> None:
    connection, _ = accepted(proxy)
    connection.data_received(GET)
    connection.connection_lost(None)
    assert not proxy.held
    assert not proxy.exchanges
    assert not proxy.connections


async def test_each_goes_on_once_though_another_wakes_a_service_meanwhile(proxy: Proxy, asked: list[str]) -> None:
    """To wake a service changes the gates, in the middle of the look at what is held."""
    api = service("api", upstream=None, command="make", start="on-request", trusted=True)
    proxy.swap(Snapshot.of(Registry(services=(WEB, api))))
    of_api = []
    for _ in range(4):
        accepted(proxy)[0].data_received(GET)
        connection, _ = accepted(proxy)
        connection.data_received(GET.replace(b"web", b"api"))
        of_api.append(connection)
    sent = idle_connections(proxy, 8)
    proxy.wake = lambda _: proxy.set_gates({})
    again = service("other", hosts=("web.localhost",), upstream=None, command="make", start="on-request", trusted=True)
    proxy.swap(Snapshot.of(Registry(services=(again, service("api")))))
    assert sorted(transport.written.count(b"GET / ") for transport in sent) == [0] * 4 + [1] * 4
    assert len({connection.exchange.upstream for connection in of_api if connection.exchange is not None}) == 4
    assert asked == []
    assert len(proxy.held) == 4


async def test_what_another_one_ends_in_the_same_tick_is_not_ended_twice(proxy: Proxy, asked: list[str]) -> None:
    pairs = [accepted(proxy) for _ in range(4)]
    for connection, transport in pairs:
        connection.data_received(GET)
        transport.on_write = lambda: come_up(proxy)  # the others go on, with time of their own
    for held in proxy.held:
        held.deadline = proxy.clock - 1.0
    sent = idle_connections(proxy, 4)
    proxy._tick()
    assert sorted(transport.statuses for _, transport in pairs) == [[], [], [], [503]]
    assert sorted(transport.written.count(b"GET / ") for transport in sent) == [0, 1, 1, 1]
    assert len({exchange.upstream for exchange in proxy.exchanges}) == 3
    assert asked == []
    proxy.close()
