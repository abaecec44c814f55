"""Both address families on both sides, on both event loops: the shape of everything else, once for each pair.

Lives here: an exchange, a tunnel and a death for each (client family, service family).
Not here: anything that differs by more than its addresses.
"""

from collections.abc import AsyncIterator

import pytest

from tests import require
from tests.wire.harness import HOST, OK, Stage, crlf, get
from tests.wire.test_upgrade import FRAME, tunnel

PAIRS = [(client, origin) for client in ("127.0.0.1", "::1") for origin in ("127.0.0.1", "::1")]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]} to {pair[1]}")
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A started stage with its client side on one family, its service on another."""
    client, origin = request.param
    stage = Stage(require.loopback(client), require.loopback(origin))
    await stage.start()
    yield stage
    await stage.close()


async def test_exchange(pair: Stage) -> None:
    post = crlf(b"POST /x HTTP/1.1", HOST, b"Transfer-Encoding: chunked")
    client, up, head = await pair.ask(post + b"2\r\nhi\r\n0\r\n\r\n")
    assert head.one(b"X-Forwarded-For") == pair.host.encode()
    assert await up.chunked() == (b"hi", [])
    await up.send(OK)
    await client.expect(OK)
    await client.send(get(b"/again"))
    assert (await up.head()).target == b"/again"


async def test_tunnel_and_half_close(pair: Stage) -> None:
    client, up = await tunnel(pair)
    await client.send(FRAME)
    client.half_close()
    await up.expect(FRAME)
    await up.eof()
    await up.send(FRAME)
    up.close()
    await client.expect(FRAME)
    await client.eof()


async def test_refused(pair: Stage) -> None:
    await pair.refuses(crlf(b"GET / HTTP/1.1", HOST, HOST), 400, "bad-request")


@pytest.mark.parametrize("reset", [True, False], ids=["RST", "closed"])
async def test_either_end_dies(pair: Stage, reset: bool) -> None:
    client, up, _ = await pair.ask(get())
    if reset:
        client.reset()
    else:
        client.close()
    await up.gone()
    client, up, _ = await pair.ask(get(method=b"POST"))
    if reset:
        up.reset()
    else:
        up.close()
    assert (await client.response()).error == "upstream-closed"
    await pair.passes()
