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
from tests.wire.harness import Stage


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """asyncio's loop, and uvloop where there is one: they report the end of a connection differently."""
    return factories()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A stage whose proxy the test starts."""
    on_uvloop = type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    stage = Stage(require.loopback("::1" if on_uvloop else "127.0.0.1"))
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
