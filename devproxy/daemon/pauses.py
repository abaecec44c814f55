"""Services whose processes stand still, or are being debugged: nobody counts their time to answer meanwhile.

Lives here: `PauseWatch`, which an exchange asks whose time is over. Not here: how it is seen (`health/pauses.py`).

How: one task a service, from the first question on, for as long as it stands still; it looks in a thread, once a second
at most. Who asks names the end of its time: only a look since then counts, and until there is one it asks again.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from devproxy.events import Paused, Resumed
from devproxy.health.pauses import why_paused

EVERY = 1.0  # seconds between two looks
PATIENCE = 5.0  # seconds for a look
FORGOTTEN = 60.0  # seconds after which a look is of no use to anybody

_log = logging.getLogger(__name__)


class PauseWatch:
    """One for a run of the proxy, until `close`. `processes` are the pids behind a service, by its id, and its port."""

    def __init__(
        self,
        processes: Callable[[str], tuple[Sequence[int], int]],
        tell: Callable[[Paused | Resumed], None],
        clock: Callable[[], float],
    ):
        self._processes = processes
        self._clock = clock
        self._tell = tell
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._reasons: dict[str, str] = {}
        self._looked: dict[str, float] = {}  # when it was last looked at, and seen to run

    def is_paused(self, identity: str, since: float) -> bool | None:
        """Whether a service has stood still at or after `since`, None as long as that is not known."""
        if identity in self._reasons:
            return True
        looked = self._looked.get(identity, float("-inf"))
        if looked >= since or not self._processes(identity)[0]:
            return False
        if identity not in self._tasks and self._clock() - looked >= EVERY:
            self._tasks[identity] = asyncio.create_task(self._watch(identity))
        return None

    def reason(self, identity: str) -> str:
        """Why it stands still, empty where that is not known."""
        return self._reasons.get(identity, "")

    async def close(self) -> None:
        """Look no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, identity: str) -> None:
        began = looked = self._clock()
        try:
            while why := await self._look(identity):
                if self._reasons.get(identity) != why:
                    self._reasons[identity] = why
                    self._tell(Paused(identity, why))
                await asyncio.sleep(EVERY)
                looked = self._clock()
            if identity in self._reasons and self._processes(identity)[0]:  # else it has ended, which others tell
                self._tell(Resumed(identity, self._clock() - began))
        finally:
            self._looked = {one: at for one, at in self._looked.items() if looked - at < FORGOTTEN}
            self._looked[identity] = looked
            self._reasons.pop(identity, None)
            del self._tasks[identity]

    async def _look(self, identity: str) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.to_thread(why_paused, *self._processes(identity))
        except TimeoutError:
            _log.warning("it took more than %g s to look at the processes of %s", PATIENCE, identity)
            return ""
