"""What clients see of services that others can reach: a field on every response, or a refusal until it is mended; and
of those in whose place another checkout answers."""

import pytest

from devproxy.proxy.answers import Respond
from devproxy.proxy.gates import Gate
from tests.wire.harness import OK, Stage, crlf, get

WARNING = b'exposed; 0.0.0.0:5173; fix="vite --host 127.0.0.1"'
WARNED = Gate(field=b"Devproxy-Warning: " + WARNING + b"\r\n")
REFUSED = Gate(Respond(503, "exposed", "web listens on 0.0.0.0:5173", "vite --host 127.0.0.1", reload=True))
OTHER_CHECKOUT = Gate(Respond(503, "other-checkout", "web is not what answers: node in /fix does", "end that process"))


async def test_warning_is_a_field_of_every_response(wire: Stage) -> None:
    wire.proxy.set_gates({"web": WARNED})
    client, up, _ = await wire.ask(get())
    await up.send(OK)
    await client.expect(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 2", b"Devproxy-Warning: " + WARNING) + b"ok")
    wire.proxy.set_gates({})
    await client.send(get())
    await up.head()
    await up.send(OK)
    await client.expect(OK)


async def test_warning_setting_off_adds_nothing(wire: Stage) -> None:
    wire.proxy.set_gates({"web": Gate()})
    client, up, _ = await wire.ask(get())
    await up.send(OK)
    await client.expect(OK)


async def test_refused_until_mended_and_nothing_reaches_the_service(wire: Stage) -> None:
    wire.proxy.set_gates({"web": REFUSED})
    client = await wire.connect()
    await client.send(get())
    message = await client.response()
    assert (message.status, message.error) == (503, "exposed")
    assert b"0.0.0.0:5173" in message.body
    assert b"vite --host 127.0.0.1" in message.body
    assert not wire.origin.peers
    wire.proxy.set_gates({})
    await client.send(get())
    up = await wire.origin.accept()
    await up.head()
    await up.send(OK)
    assert (await client.response()).status == 200


@pytest.mark.http1
async def test_refusal_closes_a_connection_whose_body_is_not_read(wire: Stage) -> None:
    wire.proxy.set_gates({"web": REFUSED})
    client = await wire.connect()
    await client.send(get(b"/", b"Content-Length: 5", method=b"POST") + b"hello")
    assert (await client.response()).status == 503
    await client.eof()
    assert not wire.origin.peers


async def test_other_services_are_not_concerned(wire: Stage) -> None:
    wire.proxy.set_gates({"api": REFUSED})
    client, up, _ = await wire.ask(get())
    await up.send(OK)
    await client.expect(OK)


async def test_the_program_of_another_checkout_gets_nothing(wire: Stage) -> None:
    wire.proxy.set_gates({"web": OTHER_CHECKOUT})
    client = await wire.connect()
    await client.send(get())
    message = await client.response()
    assert (message.status, message.error) == (503, "other-checkout")
    assert b"node in /fix does" in message.body
    assert not wire.origin.peers
    wire.proxy.set_gates({})
    await client.send(get())
    up = await wire.origin.accept()
    await up.head()
    await up.send(OK)
    await client.expect(OK)
