"""Whatever owns a connection is tried on each event loop."""

import asyncio
from collections.abc import Callable

import pytest

from tests.loops import factories


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests of this folder that are coroutines run once on each loop."""
    return factories()
