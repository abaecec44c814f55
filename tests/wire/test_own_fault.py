"""A fault of devproxy's own ends one connection, and is told; everybody else's go on."""

import pytest

from devproxy.proxy.gates import Gate
from tests.waiting import until
from tests.wire.asleep import Asleep
from tests.wire.harness import Stage, get, service

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STRICT = b"HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 2\r\n\r\nok"
FAULT = AssertionError("a fault of ours")


def fails(*_: object) -> None:
    raise FAULT


def told(stage: Stage) -> bool:
    """Whether the loop has heard of the fault, and of nothing else; forgotten then."""
    found, stage.loop_errors[:] = list(stage.loop_errors), []
    return bool(found) and all("a fault of ours" in one for one in found)


async def test_a_log_that_fails_disturbs_no_answer(wire: Stage) -> None:
    wire.proxy.access_log = fails
    client, up, _ = await wire.ask(get())
    await up.send(OK)
    assert (await client.response()).body == b"ok"
    await client.send(get(b"/next"))
    assert (await up.head()).target == b"/next"
    await up.send(OK)
    assert (await client.response()).body == b"ok"
    assert told(wire)


async def test_in_an_answer_it_is_the_answer(wire: Stage) -> None:
    """The service isn't blamed, and not asked once more: it has acted on the request."""
    bystander, up, _ = await wire.ask(get())
    wire.proxy.on_pitfall = fails
    client, failed, _ = await wire.ask(get())
    await failed.send(STRICT)
    message = await client.response()
    assert (message.status, message.error) == (500, "bug")
    await failed.gone()
    assert told(wire)
    await up.send(OK)
    assert (await bystander.response()).body == b"ok"
    await wire.passes()


@pytest.mark.http1
async def test_in_the_next_request_on_a_connection_it_ends_that_connection(stage: Stage) -> None:
    """It is read while the answer to the one before comes from the service: that it is not this connection's fault."""
    await stage.start(service("web", stage.origin), service("db", None, command="x", start="on-request", trusted=True))
    bystander, other, _ = await stage.ask(get())
    stage.proxy.wake = fails
    client, up, _ = await stage.ask(get() + get(b"/", host=b"db.localhost"))
    await up.send(OK)
    await client.gone()
    assert told(stage)
    await other.send(OK)
    assert (await bystander.response()).body == b"ok"
    await until(lambda: not stage.proxy.exchanges)
    await stage.passes()


async def test_in_a_look_at_the_clock_it_ends_one_request_and_time_goes_on(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    another, other, _ = await wire.ask(get(b"/other"))
    wire.proxy.is_paused = fails
    await wire.pass_time(5.1)
    await client.gone()
    await another.gone()
    await up.gone()
    await other.gone()
    assert told(wire)
    await wire.passes()


async def test_in_an_attempt_to_dial_it_ends_one_request(stage: Stage) -> None:
    """In a task, whose end nobody awaits: the clock finds a request that nobody goes on with."""

    class Gates(dict[str, Gate]):
        """Empty, so that a request passes, and asked once nobody takes the connection."""

        def get(self, *_: object) -> None:  # type: ignore[override]
            fails()

    await stage.start(hold=0)
    stage.origin.refuse()
    stage.proxy.gates = Gates()
    client = await stage.connect()
    await client.send(get())
    await client.gone()
    await until(lambda: stage.loop_errors)
    assert told(stage)
    stage.proxy.gates = {}
    stage.origin.listen()
    await stage.passes()


async def test_as_a_gate_opens_it_ends_one_request(asleep: Asleep) -> None:
    """Those behind it at the gate are let through."""
    stage = asleep.stage
    ours = {"command": "make", "start": "on-request", "trusted": True}
    stage.swap(asleep.web(), service("db", None, **ours))
    failed = await stage.connect()
    await failed.send(get(host=b"db.localhost"))
    await asleep.waits()
    client = await asleep.ask(get())
    stage.proxy.wake = fails
    stage.proxy.swap(stage._snapshot((asleep.web(up=True), service("new", None, hosts=("db.localhost",), **ours)), {}))
    await failed.gone()
    up = await stage.origin.accept()
    await up.head()
    await up.send(OK)
    assert (await client.response()).body == b"ok"
    assert told(stage)
    await stage.passes()
