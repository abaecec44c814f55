"""From "a file may have changed" to a new snapshot and an account of what is different.

Lives here: the loop of loading anew, and the comparison of two registries.
Not here: reading files (`registry/loader.py`), watching them (`registry/watch.py`), acting on a change (`main.py`).

Files are read in a thread, so that streams go on meanwhile. However many signs of change arrive during a load, one
more load follows: the last state is always reached. What other files say (`besides`: whether the CA is trusted) is
watched with them, and looked at after each load.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from devproxy.events import AnyEvent, Problems, Services
from devproxy.problems import POLLED, Problem, ProblemCode
from devproxy.proxy.interfaces import Snapshot
from devproxy.registry.loader import Loader
from devproxy.registry.model import Registry, Service, Source
from devproxy.registry.watch import changes as watched_changes

MOST_TOLD = 20  # problems that an event lists

_log = logging.getLogger(__name__)
_NOWHERE = Source("", 0)


class RegistryChange(NamedTuple):
    """A registry that differs from the `old` one."""

    old: Registry
    registry: Registry
    snapshot: Snapshot
    appeared: tuple[Problem, ...]
    mended: tuple[Problem, ...]
    events: tuple[AnyEvent, ...]

    @classmethod
    def between(cls, old: Registry, new: Registry) -> "RegistryChange":
        """What is different, for people: that a service has moved to another line, or been started, is no event."""
        appeared, mended = _without(new.problems, old.problems), _without(old.problems, new.problems)
        services = compare(old, new)
        events: list[AnyEvent] = [services] if services else []
        if appeared or mended:
            events.append(Problems(_told(appeared), _told(mended), len(new.problems)))
        return cls(old, new, Snapshot.of(new), appeared, mended, tuple(events))

    @property
    def problems_differ(self) -> bool:
        """Whether anything about the problems is different, if only their order."""
        return self.old.problems != self.registry.problems


Changed = Callable[[RegistryChange], Awaitable[None]]
Looked = Callable[[], Awaitable[None]]


def compare(old: Registry, new: Registry) -> Services | None:
    """Which services came, went or changed; None where nothing of the kind is different."""
    before, after = _by_id(old.services), _by_id(new.services)
    services = Services(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(sorted(key for key in before.keys() & after.keys() if _differ(before[key], after[key]))),
        settings=old.settings != new.settings,
    )
    return None if services == Services() else services


def _by_id(services: Iterable[Service]) -> dict[str, Service]:
    return {service.id: service for service in services}


def _differ(old: Service, new: Service) -> bool:
    if old == new:
        return False
    old, new = (msgspec.structs.replace(one, source=_NOWHERE, leased=False) for one in (old, new))
    return old != new


def _without(problems: tuple[Problem, ...], others: tuple[Problem, ...]) -> tuple[Problem, ...]:
    known = set(others)
    return tuple(problem for problem in problems if problem not in known)


def _told(problems: tuple[Problem, ...]) -> tuple[str, ...]:
    lines = tuple(f"{problem.where}: {problem.message}" for problem in problems[:MOST_TOLD])
    return (*lines, f"and {len(problems) - MOST_TOLD} more") if len(problems) > MOST_TOLD else lines


async def _nothing() -> None:
    pass


class Reloader:
    """Follows the registry's files, and those of `besides`, which are somebody else's to read. `registry` is what the
    last load gave."""

    def __init__(self, loader: Loader, besides: Iterable[Path] = ()):
        self._loader = loader
        self._besides = tuple(besides)
        self._turn = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._of_running: dict[str, tuple[Problem, ...]] = {}  # by who has met them
        self.registry = Registry()

    async def load(self, own_ports: tuple[int, ...] = (), *, without_https: bool = False) -> Registry:
        """Load now; `own_ports` are those that the proxy has by now, which no service may have, and `without_https`
        says that there is none for https among them."""
        self._loader.own_ports = own_ports
        self._loader.without_https = without_https
        self.registry = await asyncio.to_thread(self._loader.load)
        return self.registry

    def request(self) -> None:
        """Look at the files again, whatever the watcher thinks."""
        self._wanted.set()

    async def follow(self, stop: asyncio.Event, changed: Changed, looked: Looked = _nothing) -> None:
        """Await `changed` with every change from now on, in order, and `looked` whenever any of the files may be
        another one, until `stop` is set."""
        asked = asyncio.create_task(self._on_request(changed, looked))
        try:
            # What was read may lead to other files: the watcher looks for them once its turn is over, so the load is
            # part of the turn.
            async for _ in watched_changes(self._watched, stop, self._set_polled):
                await self._load(changed, looked)
        except Exception:
            _log.exception("the registry's files are no longer watched: send SIGHUP, or restart, after a change")
            await stop.wait()
        finally:
            self._plan(None)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

    def _watched(self) -> tuple[Path, ...]:
        return (*self._loader.watched, *self._besides)

    async def _on_request(self, changed: Changed, looked: Looked) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._load(changed, looked)

    async def _load(self, changed: Changed, looked: Looked) -> None:
        async with self._turn:
            try:
                change = await asyncio.to_thread(self._load_now)
                self._plan(self._loader.again_in)
                if change is not None:
                    await changed(change)
                await looked()
            except Exception:
                # A bug, or a system that is out of something: what is in force stays in force.
                _log.exception("the registry could not be loaded; the last one stays in force")

    def _load_now(self) -> RegistryChange | None:
        old, new = self.registry, self._loader.load()
        more = [problem for found in self._of_running.values() for problem in found]
        if more:
            new = msgspec.structs.replace(new, problems=(*new.problems, *more))
        if new is old or new == old:
            return None
        change = RegistryChange.between(old, new)
        self.registry = new
        return change

    def _set_polled(self, problems: tuple[Problem, ...]) -> None:
        """The next load tells of folders whose changes are not told, as of any problem."""
        self._of_running[POLLED] = problems

    def set_problems(self, code: ProblemCode, problems: tuple[Problem, ...]) -> None:
        """Tell of what has been met while running, as of any problem of the files."""
        self._of_running[code] = problems
        self.request()

    def _plan(self, again_in: float | None) -> None:
        """Load once more in so many seconds: a file may be gone, or empty, for a moment only."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if again_in is None else loop.call_later(again_in, self.request)
