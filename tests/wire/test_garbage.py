"""What is over goes by reference counts: no cycle of objects, with the buffers behind it, waits for the collector.

Lives here: requests and connections that end well, and such that break off.
Not here: how often the collector runs (`tests/daemon/test_process.py`).
"""

import gc
from collections.abc import Iterator

import pytest

from devproxy.proxy.exchange import Exchange
from devproxy.proxy.h2 import Http2Connection, Http2Stream
from devproxy.proxy.h2_upstream import Http2UpstreamStream
from devproxy.proxy.retry import Retry
from tests.waiting import until
from tests.wire.h2_service import Http2Service
from tests.wire.harness import OK, Stage, get
from tests.wire.peer import Peer
from tests.wire.test_h2_upstream import h2c

KINDS = (Exchange, Http2Connection, Http2Stream, Http2UpstreamStream, Retry)


@pytest.fixture
def before() -> Iterator[list[object]]:
    """What other tests have left, which something may keep for good. Nothing is collected during the test."""
    gc.collect()
    gc.disable()
    yield there()
    gc.enable()


def there() -> list[object]:
    """The objects of requests that there are."""
    return [one for one in gc.get_objects() if isinstance(one, KINDS)]


def left(before: list[object]) -> set[str]:
    """The kinds of those that there still are, and were not before."""
    known = {id(one) for one in before}
    return {type(one).__name__ for one in there() if id(one) not in known}


async def finish(stage: Stage, client: Peer, before: list[object], end: str) -> None:
    """Read an answer where there is one, end the connection, and find nothing left."""
    if end != "client":
        await client.response()
    client.close()
    await until(lambda: not stage.proxy.connections)
    await until(lambda: not left(before))


@pytest.mark.parametrize("end", ["whole", "client", "service"])
async def test_of_a_request_by_http_1_1(stage: Stage, before: list[object], end: str) -> None:
    await stage.start()
    client, up, _ = await stage.ask(get())
    if end == "service":
        up.close()
    elif end == "whole":
        await up.send(OK)
    await finish(stage, client, before, end)


@pytest.mark.parametrize("end", ["whole", "client", "service"])
async def test_of_a_request_by_http_2(stage: Stage, before: list[object], end: str) -> None:
    await stage.start(h2c(stage))
    client = await stage.connect()
    await client.send(get())
    up = await Http2Service.accept(stage.origin)
    stream = await up.request()
    if end == "service":
        await up.reset(stream, 2)
    elif end == "whole":
        await up.answer(stream)
    await finish(stage, client, before, end)
