"""What a command really listens on, and what follows from it: another port is adopted, an exposed one is warned of.

How it works: `observe` (pure) takes the listeners of the command's process tree and the port of its lease;
`ListenerWatcher` scans the machine for them.
Not here: changing the lease (`session.py`), who listens (`health/scanner.py`), verdicts and fixes (`health/`).
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from devproxy.addresses import LOOPBACKS
from devproxy.health.exposure import judge, takes
from devproxy.health.findings import fix_in_words
from devproxy.health.model import Interface, Listener
from devproxy.health.scanner import Scanner
from devproxy.programs.fixes import propose_fix
from devproxy.programs.recognize import recognize
from devproxy.run.supervisor import descendants

INSPECTORS = frozenset({9229, 9230, 5858, 5678})  # debuggers of Node and Python, which serve nobody's browser


class ObservedListeners(NamedTuple):
    """`port` is where the service is, None while it listens nowhere; `pid` the process that does."""

    port: int | None
    pid: int | None
    warnings: tuple[str, ...] = ()


def observe(port: int, listeners: Sequence[Listener], interfaces: Sequence[Interface] = ()) -> ObservedListeners:
    """What `listeners`, all of one command, mean for a service that is to be on `port`.

    It is there if anything listens there that a loopback address leads to, whatever else does; else on the lowest such
    port that is no debugger's.
    """
    found = {one.port for one in listeners if any(takes(one, host) for host in LOOPBACKS)}
    if port not in found:
        port = min(found - INSPECTORS, default=0)
    there = [listener for listener in listeners if listener.port == port]
    warnings = tuple(dict.fromkeys(text for one in there if (text := _warning(one, interfaces))))
    pid = next((one.pid for one in there if one.pid), None)
    return ObservedListeners(port or None, pid, warnings)


def _warning(listener: Listener, interfaces: Sequence[Interface]) -> str:
    judgement = judge(listener, interfaces)
    if judgement.verdict != "exposed":
        return ""
    fix = propose_fix(recognize(listener.process.argv or (), listener.process.parents, listener.port))
    return f"others can reach it: port {listener.port} is {judgement.why}\n  fix: {fix_in_words(listener, fix)}"


class ListenerWatcher:
    """Sees what the processes below `root` listen on; not thread-safe."""

    def __init__(self, root: int):
        self._root = root
        self._scanner = Scanner()

    def observe(self, port: int) -> ObservedListeners:
        """Blocks for some milliseconds."""
        scan = self._scanner.scan()
        tree = process_tree(self._root)
        own = [one for one in scan.listeners if not tree.isdisjoint(one.process.pids)]
        return observe(port, own, scan.interfaces)

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
