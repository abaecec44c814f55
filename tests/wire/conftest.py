"""What every wire test runs on: asyncio's loop over IPv4, and uvloop over IPv6.

Lives here: the fixtures `stage` (a proxy still to be started), `wire` (started, one service `web`) and `asleep`
(started, and `web` does not run).
Not here: how they work (`harness.py`); loops and families crossed (`test_families.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from tests import require
from tests.loops import factories
from tests.wire.asleep import Asleep
from tests.wire.h2_peer import Http2Peer
from tests.wire.harness import Stage
from tests.wire.peer import Peer


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """asyncio's loop, and uvloop where there is one: they report the end of a connection differently."""
    return factories()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every case is run over both fronts, but for those that are marked `http1`."""
    if "stage" in metafunc.fixturenames:
        metafunc.parametrize("stage", [Peer, Http2Peer], ids=["h1", "h2"], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out of HTTP/2 what has no meaning there: the mark may stand at a case, a test or a file."""
    left_out = [item for item in items if _is_over_http2(item) and item.get_closest_marker("http1") is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _is_over_http2(item: pytest.Item) -> bool:
    params = getattr(item, "callspec", None)
    return params is not None and params.params.get("stage") is Http2Peer


@pytest.fixture
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A stage whose proxy the test starts."""
    on_uvloop = type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    host = require.loopback("::1" if on_uvloop else "127.0.0.1")
    stage = Stage(host, client=getattr(request, "param", Peer))
    yield stage
    await stage.close()


@pytest.fixture
async def wire(stage: Stage) -> Stage:
    """A stage with the default registry."""
    await stage.start()
    return stage


@pytest.fixture
async def asleep(stage: Stage) -> Asleep:
    """A stage whose service is to be started by a request."""
    made = Asleep(stage)
    await made.start()
    return made
