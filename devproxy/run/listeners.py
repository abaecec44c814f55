"""What a command really listens on, and what follows from it: which port is the service's, which is exposed.

How it works: a command may listen on several ports: its own, a debugger's, one for metrics or for reloading pages.
`observe` (pure) takes the listeners of its process tree and says where the service is. The port that it was given wins
whenever something listens there, however late; then the one where the service was found before. Any other is a
candidate, no more: `PortTracker` (pure) says when one is to be asked whether it answers as the service does, which is
once neither has been there for some seconds. Each gap begins that time anew. One that answers, but not well, is asked
again, ever more rarely: with `health.path` a service that is still starting says so itself. `ListenerWatcher` scans
the machine.
Not here: asking, and changing the lease (`session.py`), who listens (`health/scanner.py`), verdicts (`health/`).
"""

import math
import sys
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from devproxy.addresses import LOOPBACKS
from devproxy.health.exposure import judge, takes
from devproxy.health.findings import fix_in_words
from devproxy.health.model import Interface, Listener
from devproxy.health.scanner import Scanner
from devproxy.programs.debuggers import DEFAULT_PORTS, debugger_ports
from devproxy.programs.fixes import propose_fix
from devproxy.programs.recognize import recognize
from devproxy.run.supervisor import descendants

SETTLED = 2.0  # seconds that a service has to take a port of its own before another one of its is asked
SETTLED_ANYWHERE = 10.0  # the same before one that the system gave it: nobody would look for a service there
FIRST_PAUSE = 0.25  # seconds until a candidate that was not well is asked again, twice as many each time
LONGEST_PAUSE = 30.0
MOST_QUESTIONS = 25  # to one candidate, some ten minutes: whatever it is, it is not the service
FIRST_EPHEMERAL = 32768  # from here on Linux gives ports to those who ask for any


class ObservedListeners(NamedTuple):
    """`port` is where the service is, None while it listens nowhere; `pid` the process that does."""

    port: int | None
    pid: int | None
    warnings: tuple[str, ...] = ()


def observe(
    given: int,
    listeners: Sequence[Listener],
    interfaces: Sequence[Interface] = (),
    *,
    present: int = 0,
    excluded: Collection[int] = (),
    only: bool = False,
) -> ObservedListeners:
    """What `listeners`, all of one command, mean for a service that was `given` a port and found on `present` before.

    It is on the first of the two where something listens that a loopback address leads to, whatever else does. If there
    is neither, and not `only` these may be, the likeliest candidate: none of `excluded`, no debugger's, and one that
    somebody chose before one that the system gave.
    """
    found = {one.port for one in listeners if any(takes(one, host) for host in LOOPBACKS)}
    port = next((one for one in (given, present) if one in found), 0)
    if not (port or only):
        candidates = found - DEFAULT_PORTS - _debugged(listeners) - set(excluded)
        port = min(candidates, key=lambda one: (one >= FIRST_EPHEMERAL, one), default=0)
    there = [listener for listener in listeners if listener.port == port]
    warnings = tuple(dict.fromkeys(text for one in there if (text := _warning(one, interfaces))))
    pid = next((one.pid for one in there if one.pid), None)
    return ObservedListeners(port or None, pid, warnings)


def _debugged(listeners: Sequence[Listener]) -> frozenset[int]:
    lines = (line for one in listeners for line in (one.process.argv or (), *one.process.parents))
    return frozenset().union(*map(debugger_ports, lines))


class PortTracker:
    """Where one service is, as it is seen time and again: `given` and `present` as in `observe`.

    `only`: the port is known, so that no other is looked for.
    """

    def __init__(self, given: int, *, only: bool = False):
        self.given = given
        self.present = given
        self.only = only
        self._refused: dict[int, tuple[int, float]] = {}  # candidates: how often asked, and from when on they may be
        self._gap: float | None = 0.0  # since when it is nowhere; from the very start

    def begin(self, now: float) -> None:
        """The command starts: it has not been anywhere yet."""
        self._gap = now

    def see(self, port: int | None, now: float) -> Literal["there", "ask", "wait", "nowhere"]:
        """What to do about what `observe` found: it is there, ask it, it is too early to, there is nothing."""
        if port is not None and port in (self.given, self.present):
            self.take(port)
            return "there"
        if self._gap is None:
            self._gap = now
        if port is None:
            return "nowhere"
        return "ask" if now - self._gap >= (SETTLED if port < FIRST_EPHEMERAL else SETTLED_ANYWHERE) else "wait"

    def refuse(self, port: int, now: float, *, for_good: bool) -> None:
        """A candidate has not answered as the service does; whether there is any use in asking it again."""
        asked = self._refused.get(port, (0, 0.0))[0] + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (asked - 1))
        self._refused[port] = (asked, math.inf if for_good or asked >= MOST_QUESTIONS else now + pause)

    def excluded(self, now: float) -> frozenset[int]:
        """The candidates that are not to be asked now."""
        return frozenset(port for port, (_, again) in self._refused.items() if again > now)

    def is_due(self, now: float) -> bool:
        """Whether one that has refused is to be asked again."""
        return self._gap is not None and any(again <= now for _, again in self._refused.values())

    def forget(self) -> None:
        """What listens is not what has listened: any of it may be the service."""
        self._refused.clear()

    def take(self, port: int) -> None:
        """The service is there."""
        self.present, self._gap = port, None

    def learn(self, port: int) -> None:
        """The service itself has said which port is its own."""
        self.given, self.only = port, True


def _warning(listener: Listener, interfaces: Sequence[Interface]) -> str:
    judgement = judge(listener, interfaces)
    if judgement.verdict != "exposed":
        return ""
    fix = propose_fix(recognize(listener.process.argv or (), listener.process.parents, listener.port))
    return f"others can reach it: port {listener.port} is {judgement.why}\n  fix: {fix_in_words(listener, fix)}"


class ListenerWatcher:
    """Sees what the processes below `root` listen on; not thread-safe."""

    def __init__(self, root: int):
        self.found: frozenset[tuple[int, int | None]] = frozenset()  # port and process of each, when last observed
        self._root = root
        self._scanner = Scanner()

    def observe(
        self, given: int, *, present: int = 0, excluded: Collection[int] = (), only: bool = False
    ) -> ObservedListeners:
        """As the function above, of what listens now. Blocks for some milliseconds."""
        scan = self._scanner.scan()
        tree = process_tree(self._root)
        own = [one for one in scan.listeners if not tree.isdisjoint(one.process.pids)]
        self.found = frozenset((one.port, one.pid) for one in own)
        return observe(given, own, scan.interfaces, present=present, excluded=excluded, only=only)

    def changed(self) -> bool:
        """Whether something may be different since this was asked before."""
        try:
            return self._scanner.changed()
        except OSError:
            return True

    def close(self) -> None:
        self._scanner.close()


def process_tree(root: int) -> frozenset[int]:
    """Every process below `root`."""
    if sys.platform == "linux":
        return frozenset(descendants(root))
    import psutil

    try:
        return frozenset(child.pid for child in psutil.Process(root).children(recursive=True))
    except psutil.Error:
        return frozenset()
