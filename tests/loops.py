"""The event loops that tests of connections run on: asyncio's, and uvloop where there is one.

They report the end of a connection differently, so whatever owns a transport is tried on both. A folder's `conftest.py`
hands `factories` to pytest-asyncio. `DEVPROXY_ONE_LOOP=1` leaves uvloop alone where there is one: for a second run of
the same tests, where the first has told how the loops differ.
"""

import asyncio
import os
from collections.abc import Callable


def factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """By name."""
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
    try:
        import uvloop
    except ImportError:
        return found
    if os.environ.get("DEVPROXY_ONE_LOOP") == "1":
        found.clear()
    return {**found, "uvloop": uvloop.new_event_loop}
