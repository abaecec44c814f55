"""A clock that stands still until a test moves it, for what asks its event loop for the time.

Deadlines of the proxy then pass when the test says so, and never because the machine was busy. Timers still fire in
real time: the proxy's tick is one of them, and looks at this clock.
"""

import asyncio
from typing import Any


class Clock:
    """An event loop in everything but `time()`."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self.now = loop.time()

    def time(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)
