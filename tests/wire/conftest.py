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
        "test_own_fault",
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


# Where a connection's end matters, which the loops report differently, HTTP/2 is run on both of them.
ON_BOTH_LOOPS = frozenset(
    ("test_abort", "test_connection", "test_h2", "test_large", "test_pressure", "test_reload", "test_upgrade")
)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """asyncio's loop, and uvloop where there is one: they report the end of a connection differently."""
    return factories()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every case over HTTP/1.1 and HTTP/2, and those of the files in `OVER_TLS` on the port for HTTPS, too."""
    if "front" in metafunc.fixturenames:
        over_tls = metafunc.module.__name__.rpartition(".")[2] in OVER_TLS
        metafunc.parametrize("front", ["http", "h2", "https"] if over_tls else ["http", "h2"], ids=lambda name: name)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what has no meaning on a front, by the marks of a case, a test or a file; and the loop that is rare."""
    left_out = {item for item in items if _has_no_meaning(item) or _is_told_by_the_other_loop(item)}
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _has_no_meaning(item: pytest.Item) -> bool:
    mark = {"h2": "http1", "https": "plain"}.get(_front(item))
    return mark is not None and item.get_closest_marker(mark) is not None


def _is_told_by_the_other_loop(item: pytest.Item) -> bool:
    """TLS on asyncio's loop is `test_https.py`'s: the other one is used wherever it can be had."""
    if "uvloop" not in factories() or "[asyncio-" not in item.name:
        return False
    front = _front(item)
    return front == "https" or (front == "h2" and item.path.stem not in ON_BOTH_LOOPS)


def _front(item: pytest.Item) -> str:
    case = getattr(item, "callspec", None)
    return "" if case is None else str(case.params.get("front", ""))


@pytest.fixture
async def stage(front: str) -> AsyncIterator[Stage]:
    """A stage whose proxy the test starts."""
    on_uvloop = type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    host = require.loopback("::1" if on_uvloop else "127.0.0.1")
    stage = Stage(host, tls=front == "https", client=Http2Peer if front == "h2" else Peer)
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
