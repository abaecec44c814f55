"""How a test waits: for a condition, never for a time.

Lives here: looking again until something holds, in a coroutine and outside of one, and the deadlines.

A deadline says only that a test has failed: nothing that is waited for takes a hundredth of it, and a busy machine may
take its time.
"""

import asyncio
import time
from collections.abc import Callable

DEADLINE = 60.0  # seconds
# Seconds that a whole program may take, a compiler's first page among them; pytest's own limit is twice this.
PROGRAM_DEADLINE = 300.0
_LOOK = 0.005


async def until(condition: Callable[[], object], what: str = "", *, log: Callable[[], str] = str) -> None:
    """Return as soon as `condition` holds, and let the loop run meanwhile; fail with `what` and the log at the end."""
    deadline = time.monotonic() + DEADLINE
    while not condition():  # what is waited for tells nobody
        assert time.monotonic() < deadline, f"waited {DEADLINE} s for {what or condition}\n{log()}"
        await asyncio.sleep(_LOOK)


def wait_until(
    condition: Callable[[], object], what: str, *, seconds: float = DEADLINE, log: Callable[[], str] = str
) -> None:
    """The same outside of a loop, within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}\n{log()}"
        time.sleep(_LOOK)
