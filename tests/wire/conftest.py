"""What every wire test runs on: asyncio's loop over IPv4, and uvloop over IPv6.

Lives here: the fixtures `stage` (a proxy still to be started), `wire` (started, one service `web`) and `asleep`
(started, and `web` does not run).
Not here: how they work (`harness.py`); loops and families crossed (`test_families.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests import require
from tests.loops import factories
from tests.wire.asleep import Asleep
from tests.wire.harness import Stage

HERE = Path(__file__).parent
OVER_TLS = frozenset(
    (
        "test_abort",
        "test_bad_answer",
        "test_bad_body",
        "test_bad_head",
        "test_bound",
        "test_connection",
        "test_dormant",
        "test_early_answer",
        "test_edits",
        "test_every_answer",
        "test_exact",
        "test_exposed",
        "test_fields",
        "test_framing",
        "test_fuzz",
        "test_guard",
        "test_held",
        "test_hop_limit",
        "test_interim",
        "test_large",
        "test_limits",
        "test_loop",
        "test_one_at_a_time",
        "test_other_user",
        "test_own_pages",
        "test_pages",
        "test_paused",
        "test_pool",
        "test_pressure",
        "test_reload",
        "test_routing",
        "test_still",
        "test_sums",
        "test_surplus",
        "test_upgrade",
    )
)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """asyncio's loop, and uvloop where there is one: they report the end of a connection differently."""
    return factories()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Over TLS leave asyncio's loop to `test_https.py`: the other one is used wherever it can be had."""
    if "uvloop" not in factories():
        return
    twice = [item for item in items if "[asyncio-https" in item.name and item.path.parent == HERE]
    config.hook.pytest_deselected(items=twice)
    left_out = set(map(id, twice))
    items[:] = [item for item in items if id(item) not in left_out]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of `OVER_TLS` on the port for HTTPS, too."""
    if "client_scheme" in metafunc.fixturenames:
        file, plain = metafunc.module.__name__.rpartition(".")[2], metafunc.definition.get_closest_marker("plain")
        both = file in OVER_TLS and plain is None
        metafunc.parametrize("client_scheme", ["http", "https"] if both else ["http"], ids=lambda name: name)


@pytest.fixture
async def stage(client_scheme: str) -> AsyncIterator[Stage]:
    """A stage whose proxy the test starts."""
    on_uvloop = type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    stage = Stage(require.loopback("::1" if on_uvloop else "127.0.0.1"), tls=client_scheme == "https")
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
