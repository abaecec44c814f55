"""Which services keep requests waiting, and when that is told.

Lives here: `WaitWatch`: from what the proxy's timer sees once a second to events, and to what pages and commands show.
Not here: what counts as waiting (`proxy/waiting.py`), what may stop a service's process (`daemon/pauses.py`).

How: one event a service when a request has waited `LONG`, again each time the wait is `AGAIN` times as long, and one
when it is over. A service that lets its clients wait again and again (long polls) is told once in `QUIET`, and again
when it takes longer than it did then.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devproxy.events import Abandoned, Answered, Unanswered
from devproxy.health.model import WaitingRequests
from devproxy.proxy.waiting import LONG, ServiceWait

WaitEvent = Unanswered | Answered | Abandoned

AGAIN = 6.0
QUIET = 600.0  # seconds


@dataclass(slots=True)
class _Told:
    """`at`: when a wait was last told; `next`: how long one must be to be told; `is_open`: its end is to be told."""

    at: float
    next: float
    is_open: bool = True


class WaitWatch:
    """One for a run of the proxy. `events` takes every second's look; times are on the loop's clock."""

    def __init__(self) -> None:
        self.waits: Mapping[str, ServiceWait] = {}
        self._told: dict[str, _Told] = {}

    def events(self, waits: Mapping[str, ServiceWait], now: float) -> list[WaitEvent]:
        """Take in who waits now; what is worth telling of it."""
        found: list[WaitEvent] = []
        for identity, before in self.waits.items():
            if identity not in waits:
                found += self._end(identity, before, now)
        for identity, wait in waits.items():
            found += self._begin(identity, wait, now)
        self.waits = waits
        self._told = {name: told for name, told in self._told.items() if name in waits or now - told.at < QUIET}
        return found

    def _begin(self, identity: str, wait: ServiceWait, now: float) -> list[WaitEvent]:
        told, waited = self._told.get(identity), now - wait.since
        if told is None or (not told.is_open and now - told.at >= QUIET):
            told = self._told[identity] = _Told(now, LONG, is_open=False)
        if waited < told.next:
            return []
        told.at, told.next, told.is_open = now, waited * AGAIN, True
        return [Unanswered(identity, wait.requests, waited)]

    def _end(self, identity: str, before: ServiceWait, now: float) -> list[WaitEvent]:
        told, waited = self._told.get(identity), now - before.since
        if told is None or not told.is_open:
            return []
        told.is_open, told.next = False, max(LONG, waited)
        return [Answered(identity, waited) if before.oldest.responded else Abandoned(identity, waited)]

    def rows(self, loop_now: float, now: float, why: Callable[[str], str]) -> dict[str, WaitingRequests]:
        """By service id, as others see it; `now` is the same moment in seconds since 1970."""
        return {
            one: WaitingRequests(requests=wait.requests, since=round(now - loop_now + wait.since, 1), why=why(one))
            for one, wait in self.waits.items()
        }
