"""What a service ties to a connection stays with the client it was said to: NTLM, Negotiate and their like.

Lives here: connections to a service that become one client's own (RFC 4559 §6), and end together with the client's.
Not here: connections that everybody shares (`test_pool.py`).
"""

from collections.abc import Awaitable, Callable

import pytest

from tests.wire.harness import HOST, OK, Stage, crlf, get, service
from tests.wire.peer import Head, Peer

pytestmark = pytest.mark.http1  # it speaks of what HTTP/1.1 alone has

Step = Callable[[Stage], Awaitable[tuple[Peer, Peer]]]
End = Callable[[Peer], None]
OFFERS = [
    b"WWW-Authenticate: NTLM",
    b"WWW-Authenticate: Negotiate",
    b"www-authenticate: negotiate oYG2MIGzoAMKAQ",
    b'WWW-Authenticate: Basic realm="a, b", NTLM',
    b"WWW-Authenticate:Kerberos",
    b"Proxy-Authenticate: NTLM",
    b"Proxy-Support: Session-Based-Authentication",
    b"Persistent-Auth: true",
]
NO_OFFERS = [
    b'WWW-Authenticate: Basic realm="ntlm"',
    b"WWW-Authenticate: Bearer",
    b"WWW-Authenticate: NTLMish",
    b"Persistent-Auth: false",
    b"X-Authenticate: NTLM",
]
NTLM = b"Authorization: NTLM TlRMTVNTUAAB"


def refusal(*fields: bytes) -> bytes:
    return crlf(b"HTTP/1.1 401 Unauthorized", *fields, b"Content-Length: 0")


async def offered(wire: Stage, offer: bytes = OFFERS[0]) -> tuple[Peer, Peer]:
    """A client whose request was answered with an offer, and the service's connection it was made on."""
    client, up, _ = await wire.ask(get(b"/first"))
    await up.send(refusal(offer))
    assert (await client.response()).status == 401
    return client, up


async def logged_in(wire: Stage) -> tuple[Peer, Peer]:
    """A client that the service knows by the connection."""
    client, up = await offered(wire)
    for answer in (refusal(b"WWW-Authenticate: NTLM TlRMTVNTUAAC"), OK):
        await client.send(get(b"/login", NTLM))
        assert (await up.head()).one(b"Authorization") == NTLM.partition(b": ")[2]
        await up.send(answer)
        await client.response()
    return client, up


async def elsewhere(wire: Stage, client: Peer, data: bytes = b"") -> tuple[Peer, Head]:
    """The request of `client` comes over a new connection."""
    await client.send(data or get(b"/elsewhere"))
    up = await wire.origin.accept()
    head = await up.head()
    await up.send(OK)
    await client.expect(OK)
    return up, head


@pytest.mark.parametrize("offer", OFFERS)
async def test_from_the_offer_on_nobody_else_gets_the_connection(wire: Stage, offer: bytes) -> None:
    client, up = await offered(wire, offer)
    await elsewhere(wire, await wire.connect())
    await client.send(get(b"/second"))
    assert (await up.head()).target == b"/second"
    await up.send(OK)
    await client.expect(OK)


@pytest.mark.parametrize("field", NO_OFFERS)
async def test_any_other_authentication_shares_connections(wire: Stage, field: bytes) -> None:
    _, up = await offered(wire, field)
    other = await wire.connect()
    await other.send(get(b"/other"))
    assert (await up.head()).target == b"/other"


@pytest.mark.parametrize("scheme", [b"NTLM TlRM", b"Negotiate YII", b"negotiate YII"])
async def test_credentials_alone_bind_as_well(wire: Stage, scheme: bytes) -> None:
    """A client that knows already sends them with its first request, and the answer need not say so."""
    shared = await wire.connect()
    await elsewhere(wire, shared)
    client = await wire.connect()
    up, head = await elsewhere(wire, client, get(b"/in", b"Authorization: " + scheme))
    assert head.one(b"Authorization") == scheme
    await client.send(get(b"/still-in"))
    assert (await up.head()).target == b"/still-in"
    await up.send(OK)
    await client.expect(OK)
    for number in range(2):
        await shared.send(get(b"/%d" % number))
        assert (await wire.origin.peers[0].head()).target == b"/%d" % number
        await wire.origin.peers[0].send(OK)
        await shared.expect(OK)
    assert not wire.origin.waiting()


async def test_two_handshakes_at_once(wire: Stage) -> None:
    """Each goes on over the connection on which its challenge came."""
    pairs = [await offered(wire) for _ in range(2)]
    for step in (b"/type1", b"/type3"):
        for number, (client, _) in enumerate(pairs):
            await client.send(get(step + b"-%d" % number, NTLM))
        for number, (client, up) in enumerate(pairs):
            assert (await up.head()).target == step + b"-%d" % number
            await up.send(OK)
            await client.expect(OK)
    assert not wire.origin.waiting()


async def test_pipelined_behind_the_offer(wire: Stage) -> None:
    client, up, _ = await wire.ask(get(b"/0") + get(b"/1", NTLM) + get(b"/2"))
    await up.send(refusal(OFFERS[0]))
    assert (await client.response()).status == 401
    for target in (b"/1", b"/2"):
        assert (await up.head()).target == target
        await up.send(OK)
        await client.expect(OK)


@pytest.mark.parametrize("seconds", [0.0, 3.0])
async def test_a_post_stays_on_it_however_long_it_was_idle(stage: Stage, seconds: float) -> None:
    await stage.start(idle_timeout=60.0)
    client, up = await logged_in(stage)
    await stage.pass_time(seconds)
    await client.send(crlf(b"POST /save HTTP/1.1", HOST, b"Content-Length: 5") + b"hello")
    assert (await up.request()).body == b"hello"
    await up.send(OK)
    await client.expect(OK)


async def test_a_reload_between_two_steps(wire: Stage) -> None:
    client, up = await offered(wire)
    wire.swap(service("web", wire.origin), service("other", wire.another()))
    await wire.pass_time(1.0)
    await client.send(get(b"/again", NTLM))
    assert (await up.head()).target == b"/again"


async def test_another_service_is_asked_over_connections_of_its_own(stage: Stage) -> None:
    second = stage.another()
    await stage.start(service("web", stage.origin), service("second", second))
    client, up = await logged_in(stage)
    await client.send(get(b"/second", NTLM, host=b"second.localhost"))
    there = await second.accept()
    await there.head()
    await there.send(OK)
    await client.expect(OK)
    await client.send(get(b"/back"))
    assert (await up.head()).target == b"/back"
    other = await stage.connect()
    await other.send(get(b"/theirs", host=b"second.localhost"))
    assert (await (await second.accept()).head()).target == b"/theirs"


async def test_into_a_tunnel(wire: Stage) -> None:
    client, up = await logged_in(wire)
    await client.send(get(b"/socket", b"Connection: Upgrade", b"Upgrade: chat"))
    assert (await up.head()).target == b"/socket"
    await up.send(crlf(b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade", b"Upgrade: chat") + b"hi")
    await client.head()
    await client.expect(b"hi")
    client.close()
    assert await up.gone() == b""


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
async def test_the_clients_end_ends_it(wire: Stage, end: End) -> None:
    client, up = await logged_in(wire)
    end(client)
    assert await up.gone() == b""
    await elsewhere(wire, await wire.connect())


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
@pytest.mark.parametrize("step", [offered, logged_in])
async def test_the_services_end_ends_the_clients_connection(wire: Stage, step: Step, end: End) -> None:
    client, up = await step(wire)
    end(up)
    assert await client.gone() == b""


@pytest.mark.parametrize("data", [get(b"/late"), crlf(b"POST /late HTTP/1.1", HOST, b"Content-Length: 1") + b"x"])
async def test_the_services_end_at_the_next_request(wire: Stage, data: bytes) -> None:
    """No other connection stands in, where the service would know nobody; the client makes one by itself."""
    client, up = await logged_in(wire)
    await client.send(data)
    await up.request()
    up.close()
    assert await client.gone() == b""
    assert not wire.origin.waiting()


async def test_what_the_service_closes_anyway_binds_nobody(wire: Stage) -> None:
    client, up, _ = await wire.ask(get())
    await up.send(refusal(OFFERS[0], b"Connection: close"))
    assert (await client.response()).status == 401
    await up.gone()
    await elsewhere(wire, client)


async def test_it_is_closed_when_it_was_idle_for_too_long(stage: Stage) -> None:
    """And with it the client's, which would be nobody to the service on another."""
    await stage.start(idle_timeout=300.0)
    client, up = await logged_in(stage)
    await stage.pass_time(60.0)
    await stage.meanwhile(1.0, up.gone())
    assert await client.gone() == b""
