"""What has happened: event types, the bounded log that keeps them, and subscriptions to it.

Lives here: the event log (one of the few places with mutable state, ARCHITECTURE.md rule 3) and the types it holds.
Not here: how events reach a browser (`control/stream.py`) or the log file (`daemon/main.py`). No clock and no event
loop: the clock is handed in, a subscriber is a plain callable.
How: every event gets the next number, so that a reader that comes back asks for what came after the last it saw.
"""

from collections import deque
from collections.abc import Callable
from typing import ClassVar, Literal

import msgspec

from devproxy.text import plural, ports_in_words

CAPACITY = 500

Tone = Literal["good", "neutral", "warning", "bad"]


class Event(msgspec.Struct, frozen=True, tag_field="kind", tag=str.lower):
    """Something worth telling once. Its JSON has `kind`, the lower-case name of its type.

    `tone` is how a person is to take it: commands give it a colour, the log a level.
    """

    tone: ClassVar[Tone] = "neutral"

    def text(self) -> str:
        """One line for a person."""
        raise NotImplementedError


class ServiceEvent(Event, frozen=True):
    """What became of one service, by its id."""

    service: str


class Started(Event, frozen=True):
    """The proxy listens; `http` is its port, `https` that of https, None without."""

    version: str
    http: int
    https: int | None = None

    def text(self) -> str:
        return f"devproxy {self.version} started on {ports_in_words(self.http, self.https)}"


class Services(Event, frozen=True):
    """The registry's services changed: their ids, sorted; `settings` where `[proxy]` changed as well."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    settings: bool = False

    def text(self) -> str:
        groups = (("added", self.added), ("removed", self.removed), ("changed", self.changed))
        parts = [f"{verb} {_enumerated(ids)}" for verb, ids in groups if ids]
        return "; ".join([*parts, *(["[proxy] settings changed"] if self.settings else [])])


class Problems(Event, frozen=True):
    """Problems of registry files that appeared and that were mended, as one line each; `open` is how many are left."""

    appeared: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()
    open: int = 0

    def text(self) -> str:
        lines = [*self.appeared, *(f"mended: {line}" for line in self.mended)]
        return "; ".join(lines) or plural(self.open, "problem")


class Checked(Event, frozen=True):
    """The first look at services, after a start or when they are new: which are up and which down, by id."""

    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()

    def text(self) -> str:
        groups = (("up", self.up), ("down", self.down))
        return "; ".join(f"{state}: {_enumerated(ids)}" for state, ids in groups if ids)


class Up(ServiceEvent, frozen=True):
    """A service that was down answers again; `why` says how that is known, `after` how many seconds it was down."""

    tone: ClassVar[Tone] = "good"
    why: str = ""
    after: float = 0.0

    def text(self) -> str:
        return f"{self.service} is up again after {duration(self.after)}: {self.why}"


class Down(ServiceEvent, frozen=True):
    """A service that was up does not answer any more."""

    tone: ClassVar[Tone] = "bad"
    why: str = ""

    def text(self) -> str:
        return f"{self.service} is down: {self.why}"


class Waking(ServiceEvent, frozen=True):
    """A request, or what else clients ask with (`by`), has a service started."""

    by: str = "request"

    def text(self) -> str:
        return f"{self.service} is started: a {self.by} came"


class Failed(ServiceEvent, frozen=True):
    """A service that a request had started did not come up."""

    tone: ClassVar[Tone] = "bad"
    why: str = ""

    def text(self) -> str:
        return f"{self.service} did not start: {self.why}"


class Idle(ServiceEvent, frozen=True):
    """A service was ended since nobody had asked for it, `by` a request, for so many seconds; the next one starts it
    again."""

    after: float = 0.0
    by: str = "request"

    def text(self) -> str:
        return f"{self.service} was ended after {duration(self.after)} without a {self.by}"


class CommandEvent(ServiceEvent, frozen=True, kw_only=True):
    """What became of a service's command; `at` is when, in seconds since 1970, as whoever runs it says."""

    at: float


class CommandWaits(CommandEvent, frozen=True):
    """A command is about to start, and waits for something."""

    why: str

    def text(self) -> str:
        return f"{self.service} {self.why}"


class CommandStarts(CommandEvent, frozen=True):
    """A command is started by `by` (`devproxy up`); `restart` counts the starts since then that nobody asked for."""

    by: str
    restart: int = 0

    def text(self) -> str:
        return f"{self.service} is started {f'again (restart {self.restart})' if self.restart else f'by {self.by}'}"


class CommandUp(CommandEvent, frozen=True):
    """A command is there for others, `after` seconds after its start."""

    tone: ClassVar[Tone] = "good"
    after: float

    def text(self) -> str:
        return f"{self.service} is up, {self.after:.1f} s after its start"


class CommandExited(CommandEvent, frozen=True):
    """A command has ended after `lasted` seconds, and is started again."""

    tone: ClassVar[Tone] = "bad"
    code: int
    lasted: float

    def text(self) -> str:
        return f"{self.service} ended with {exit_in_words(self.code)} after {duration(self.lasted)}; it starts again"


class CommandFailed(CommandEvent, frozen=True):
    """A command is over and should not be, after `starts` in a row; `code` None: it could not be started."""

    tone: ClassVar[Tone] = "bad"
    why: str
    code: int | None = None
    starts: int = 1

    def text(self) -> str:
        return f"{self.service} has failed: {self.why}{given_up_in_words(self.starts)}"


class CommandDone(CommandEvent, frozen=True):
    """A task has ended well."""

    tone: ClassVar[Tone] = "good"

    def text(self) -> str:
        return f"{self.service} is done"


class Ended(CommandEvent, frozen=True):
    """A command is over, as it should be: it was asked to end, or was done."""

    why: str

    def text(self) -> str:
        return f"{self.service} has ended: {self.why}"


class Refused(ServiceEvent, frozen=True):
    """A connection to a TCP service was closed; `fix` is one line. Told once a minute while that stays so."""

    tone: ClassVar[Tone] = "warning"
    why: str
    fix: str = ""

    def text(self) -> str:
        return f"a connection to {self.service} was closed: {self.why}"


class Exposed(ServiceEvent, frozen=True):
    """Others can reach a service; `fix` is one line."""

    tone: ClassVar[Tone] = "bad"
    message: str
    fix: str = ""

    def text(self) -> str:
        return f"{self.service} is exposed: {self.message}"


class Owner(ServiceEvent, frozen=True):
    """Another program answers for a service than before."""

    tone: ClassVar[Tone] = "warning"
    before: str
    now: str

    def text(self) -> str:
        return f"{self.service} is answered by {self.now} now, and was by {self.before}"


class Found(ServiceEvent, frozen=True):
    """Something else is wrong with a service; `code` as in its findings."""

    tone: ClassVar[Tone] = "warning"
    code: str
    message: str
    fix: str = ""

    def text(self) -> str:
        return f"{self.service}: {self.message}"


class Mended(ServiceEvent, frozen=True):
    """What an earlier event said is wrong with a service is no longer so; `message` is what was said then."""

    tone: ClassVar[Tone] = "good"
    code: str
    message: str = ""

    def text(self) -> str:
        if self.code == "exposed":
            return f"{self.service} is not exposed any more"
        return f"{self.service}: no longer so: {self.message}"


class Unanswered(ServiceEvent, frozen=True):
    """Requests wait for a service's answer: how many, and how many seconds the oldest has waited."""

    requests: int = 1
    after: float = 0.0

    def text(self) -> str:
        more = f" ({plural(self.requests, 'request')})" if self.requests > 1 else ""
        return f"waiting {duration(self.after)} for {self.service}{more}"


class Answered(ServiceEvent, frozen=True):
    """A service that requests waited for has answered, after so many seconds."""

    tone: ClassVar[Tone] = "good"
    after: float = 0.0

    def text(self) -> str:
        return f"{self.service} answered after {duration(self.after)}"


class Abandoned(ServiceEvent, frozen=True):
    """Nobody waits for a service any more, and it has not answered: the client left, or the connection ended."""

    after: float = 0.0

    def text(self) -> str:
        return f"nobody waits for {self.service} any more: no answer in {duration(self.after)}"


class Paused(ServiceEvent, frozen=True):
    """A service's process stands still, or is being debugged: its time to answer stands still as well."""

    why: str = ""

    def text(self) -> str:
        return f"{self.service} has all the time that it needs: {self.why}"


class Resumed(ServiceEvent, frozen=True):
    """A service's process goes on, `after` so many seconds, and so does its time to answer."""

    tone: ClassVar[Tone] = "good"
    after: float = 0.0

    def text(self) -> str:
        return f"{self.service} goes on after {duration(self.after)}"


class Stopped(Event, frozen=True):
    """The proxy ends, and with it the watch over services."""

    def text(self) -> str:
        return "devproxy stopped"


class Notice(Event, frozen=True):
    """Something else that a person should know of."""

    message: str

    def text(self) -> str:
        return self.message


AnyEvent = (
    Started
    | Services
    | Problems
    | Checked
    | Up
    | Down
    | Waking
    | Failed
    | Idle
    | CommandWaits
    | CommandStarts
    | CommandUp
    | CommandExited
    | CommandFailed
    | CommandDone
    | Ended
    | Refused
    | Exposed
    | Owner
    | Found
    | Mended
    | Unanswered
    | Answered
    | Abandoned
    | Paused
    | Resumed
    | Stopped
    | Notice
)


class Entry(msgspec.Struct, frozen=True):
    """One event in the log: `id` counts from 1, `time` is in seconds since 1970."""

    id: int
    time: float
    event: AnyEvent


class EventLog:
    """The last `capacity` events, and who wants to know of the next one. For one thread."""

    def __init__(self, clock: Callable[[], float], capacity: int = CAPACITY):
        self._clock = clock
        self._entries: deque[Entry] = deque(maxlen=capacity)
        self._subscribers: list[Callable[[Entry], None]] = []
        self._last = 0

    def add(self, event: AnyEvent) -> Entry:
        """Keep `event` and tell every subscriber, at once and in turn."""
        self._last += 1
        entry = Entry(self._last, event.at if isinstance(event, CommandEvent) else self._clock(), event)
        self._entries.append(entry)
        for tell in tuple(self._subscribers):
            tell(entry)
        return entry

    def since(self, last: int) -> list[Entry]:
        """What is kept of the events after number `last`, oldest first.

        A number that this log has not reached yet is from another life of the proxy: everything is newer than that.
        """
        if last > self._last:
            last = 0
        return [entry for entry in self._entries if entry.id > last]

    @property
    def last(self) -> int:
        """The number of the newest event, 0 before the first."""
        return self._last

    def subscribe(self, tell: Callable[[Entry], None]) -> Callable[[], None]:
        """Call `tell` with each new entry; it must not raise or block. Returns what ends the subscription."""
        self._subscribers.append(tell)

        def end() -> None:
            if tell in self._subscribers:
                self._subscribers.remove(tell)

        return end


_SIGNALS = {  # those whose numbers are the same everywhere (signal(7))
    1: "SIGHUP",
    2: "SIGINT",
    3: "SIGQUIT",
    4: "SIGILL",
    6: "SIGABRT",
    8: "SIGFPE",
    9: "SIGKILL",
    11: "SIGSEGV",
    13: "SIGPIPE",
    14: "SIGALRM",
    15: "SIGTERM",
}


def exit_in_words(code: int) -> str:
    """`exit code 3`, `signal 9 (SIGKILL)`: 128 + N is signal N, as shells have it."""
    name = _SIGNALS.get(code - 128)
    return f"signal {code - 128} ({name})" if name else f"exit code {code}"


def given_up_in_words(starts: int) -> str:
    """What stands behind how a command ended that was started so often in a row."""
    return f"; given up after {starts} starts in a row" if starts > 1 else ""


def duration(seconds: float) -> str:
    """As a person says it: `4 s`, `12 min`, `3 h`, `2 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _enumerated(names: tuple[str, ...], shown: int = 8) -> str:
    if len(names) <= shown:
        return ", ".join(names)
    return f"{', '.join(names[:shown])} and {len(names) - shown} more"
