"""What all clients together can have the proxy keep, however many they are: the sums that SECURITY.md promises.

Lives here: what has no bound of its own by the number of connections, which `max_connections` limits.
Not here: what one connection may keep (`test_limits.py`, `test_pressure.py`).
"""

import sys

import pytest

from devproxy.proxy import exchange as exchange_module
from tests.waiting import until
from tests.wire.asleep import Asleep
from tests.wire.harness import HOST, OK, Stage, answer_once, crlf, get, service

SIZE = 100_000
POST = crlf(b"POST /in HTTP/1.1", HOST, b"Content-Length: 10000000")


@pytest.mark.skipif(sys.platform != "linux", reason="127/8 is all loopback on Linux alone")
async def test_addresses_of_clients_are_not_remembered() -> None:
    """There are sixteen million of them."""
    stage = Stage("127.0.0.1")
    await stage.start()
    try:
        for last in range(1, 60):
            client = await stage.connect(source=f"127.7.0.{last}")
            await client.send(get())
            up = await stage.origin.accept()
            assert (await up.head()).one(b"X-Forwarded-For") == f"127.7.0.{last}".encode()
            client.close()
            await up.gone()
        assert len(stage.proxy._peers) == 0
    finally:
        await stage.close()


@pytest.mark.http1
async def test_requests_at_gates_keep_so_much_together_and_no_more(
    asleep: Asleep, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = asleep.stage.proxy
    monkeypatch.setattr(exchange_module, "WAITING_LIMIT", 4 * SIZE)
    waiting = [await asleep.ask(POST + b"x" * SIZE) for _ in range(3)]
    assert 3 * SIZE < proxy.waiting_bytes <= 4 * SIZE
    for begin in (POST + b"x" * SIZE, get(b"/", *(b"X-%d: %b" % (n, b"y" * 5000) for n in range(12))) + b"z" * SIZE):
        client = await asleep.stage.connect()
        await client.send(begin)
        assert (await client.response()).error == "too-many-waiting"
    assert len(proxy.held) == 3
    kept = sum(exchange.stream.waiting() for exchange in proxy.held)
    assert kept <= proxy.waiting_bytes <= 4 * SIZE
    waiting.pop().reset()
    await until(lambda: len(proxy.held) == 2)
    assert 2 * SIZE < proxy.waiting_bytes < 3 * SIZE
    waiting.append(await asleep.ask(get()))
    asleep.come_up()
    assert proxy.waiting_bytes == 0


@pytest.mark.http1
async def test_what_comes_while_a_request_waits_is_counted(asleep: Asleep, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next requests of its connection, too."""
    monkeypatch.setattr(exchange_module, "WAITING_LIMIT", 4 * SIZE)
    client = await asleep.ask(get())
    before = asleep.stage.proxy.waiting_bytes
    await client.send(get(b"/next"))
    await until(lambda: asleep.stage.proxy.waiting_bytes > before)
    asleep.come_up()
    assert asleep.stage.proxy.waiting_bytes == 0
    up = await asleep.stage.origin.accept()
    for target in (b"/", b"/next"):
        assert (await up.head()).target == target
        await up.send(OK)
        await client.expect(OK)


async def test_names_that_nobody_has_are_not_remembered(wire: Stage) -> None:
    counts = wire.proxy.counts
    for number in range(50):
        client = await wire.connect()
        await client.send(get(host=b"nobody-%d.localhost" % number))
        assert (await client.response()).error == "unknown-host"
        client.close()
    assert set(counts) == {""}
    assert set(counts[""]) == {404}
    assert wire.proxy.pool.addresses == {}


async def test_names_below_a_wildcard_share_their_connections(stage: Stage) -> None:
    await stage.start(service("web", stage.origin, hosts=("*.web.localhost",)))
    stage.origin.always(answer_once)
    for number in range(20):
        client = await stage.connect()
        await client.send(get(b"/", b"Connection: close", host=b"n%d.web.localhost" % number))
        assert (await client.response()).status == 200
    assert len(stage.proxy.pool.addresses) == 1
