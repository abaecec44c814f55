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

OVER_TLS = frozenset(
    (
        "test_abort",
        "test_aiohttp",
        "test_bad_answer",
        "test_bad_body",
        "test_bad_head",
        "test_bound",
        "test_connection",
        "test_dial",
        "test_dormant",
        "test_early_answer",
        "test_edits",
        "test_every_answer",
        "test_exact",
        "test_exposed",
        "test_families",
        "test_fields",
        "test_framing",
        "test_fuzz",
        "test_guard",
        "test_health_agrees",
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
        "test_tls_service",
        "test_upgrade",
    )
)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """asyncio's loop, and uvloop where there is one: they report the end of a connection differently."""
    return factories()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of `OVER_TLS` on the port for HTTPS, too."""
    if "scheme" in metafunc.fixturenames:
        both = metafunc.module.__name__.rpartition(".")[2] in OVER_TLS
        metafunc.parametrize("scheme", ["http", "https"] if both else ["http"], ids=lambda name: name)


@pytest.fixture
async def stage(scheme: str) -> AsyncIterator[Stage]:
    """A stage whose proxy the test starts."""
    on_uvloop = type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    stage = Stage(require.loopback("::1" if on_uvloop else "127.0.0.1"), tls=scheme == "https")
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
