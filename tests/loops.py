"""The event loops that tests of connections run on: asyncio's, and uvloop where there is one.

Lives here: `factories`, and `until` to wait for what a kernel or a loop does by itself.

They report the end of a connection differently, so whatever owns a transport is tried on both. A folder's `conftest.py`
hands `factories` to pytest-asyncio.
"""

import asyncio
from collections.abc import Callable

DEADLINE = 20.0  # seconds; nothing that is waited for takes a hundredth of it


async def until(holds: Callable[[], object]) -> None:
    """Wait until `holds` says something true."""
    try:
        async with asyncio.timeout(DEADLINE):
            while not holds():  # noqa: ASYNC110  (what is waited for tells nobody)
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"still not so after {DEADLINE} s") from None


def factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """By name."""
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
    try:
        import uvloop
    except ImportError:
        return found
    return {**found, "uvloop": uvloop.new_event_loop}
