"""Which processes of a command are asked to end first: the program itself, so that it may end its own children.

How it works: SIGTERM to a whole tree takes a worker's children away while it waits for them to finish (Celery's warm
shutdown loses its tasks so). Shells, and `npm run` and its kin, do not pass the signal on: they die of it, or wait for
what they have started. So the walk begins at the command, goes through all of that sort, and stops at each program that
is none: these together are asked. All that is below them is theirs until they have ended.
Not here: signals and the time after them (`supervisor.py`).
"""

import sys
from collections.abc import Callable, Sequence

from devproxy.health.scanner import command_line
from devproxy.programs.recognize import passes_no_signal_on
from devproxy.run.supervisor import children


def asked_first(
    head: int, children_of: Callable[[int], Sequence[int]], argv: Callable[[int], Sequence[str]]
) -> list[int]:
    """`head` and what it started through shells and runners, parents first. Pure but for what it is given."""
    found = [head]
    for pid in found:  # grows while it is walked
        if passes_no_signal_on(argv(pid)):
            found += [child for child in children_of(pid) if child not in found]
    return found


def processes_to_ask(head: int) -> list[int]:
    """As `asked_first`, as the system has it now; just `head` where it cannot be seen."""
    if sys.platform == "linux":
        return asked_first(head, lambda pid: sorted(children(pid)), _argv)
    import psutil

    def children_of(pid: int) -> list[int]:
        try:
            return [child.pid for child in psutil.Process(pid).children()]
        except psutil.Error:
            return []

    def argv(pid: int) -> list[str]:
        try:
            return psutil.Process(pid).cmdline()
        except psutil.Error:
            return []

    return asked_first(head, children_of, argv)


def _argv(pid: int) -> Sequence[str]:
    """Its command line; a program that has overwritten it, as npm does, has words with blanks between them."""
    words = command_line(pid) or ()
    return words if len(words) > 1 else words[0].split() if words else ()
