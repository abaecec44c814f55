"""`devproxy down`: end what `up` and `run` have running.

Lives here: which processes are asked, and waiting for them.
Not here: the order in which an `up` ends its services (`devproxy/run/group.py`). The proxy stays: `devproxy stop`.
"""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from devproxy.cli.arguments import complete_service, services_meant
from devproxy.cli.output import remark, say
from devproxy.errors import Exit
from devproxy.paths import Paths
from devproxy.registry.loader import read

MARGIN = 10.0  # seconds beyond the grace of each service


@click.command("down")
@click.argument("names", nargs=-1, metavar="[SERVICE...]", shell_complete=complete_service)
def command(names: tuple[str, ...]) -> int:
    """End a project's services.

    All of them, or SERVICE alone; those that depend on others first, each with time to finish. The proxy goes on.
    """
    return end_services(Paths.from_environment(), names)


def end_services(paths: Paths, names: Sequence[str]) -> int:
    """End those of `names`, or a project's, and say so; the exit code."""
    from devproxy.registry.leases import settle
    from devproxy.run.group_state import OVER, ask_to_end, read_groups, start_lock

    with start_lock(paths):  # whoever is about to start something has said so then
        pass
    registry = read(paths)
    meant = [service.id for service in services_meant(registry, names, Path.cwd())]
    running = _running(paths, meant)
    for name in meant:  # what a killed `up` left
        settle(paths, name)
    if not running:
        say("none of them was running")
        return Exit.GOOD
    groups = read_groups(paths)
    of_groups = {name for group in groups for name, part in group.services.items() if part.state not in OVER}
    for group in reversed(groups):
        if own := [name for name in group.services if name in meant]:
            ask_to_end(paths, group, own)
    _end_others(paths, set(meant) - of_groups)
    grace = sum(service.stop_grace for service in registry.services if service.id in running)
    left = _wait(paths, running, grace + MARGIN * max(1, len(running)))
    for name in left:
        remark(f"`{name}` has not ended yet; it is still asked to", fg="yellow")
    return Exit.BAD_NEWS if left else Exit.GOOD


def _running(paths: Paths, meant: list[str]) -> list[str]:
    """The services of `meant` that run, or that an `up` is about to start."""
    from devproxy.registry.leases import read_leases
    from devproxy.run.group_state import OVER, read_groups

    found = {lease.service for lease in read_leases(paths)}
    for group in read_groups(paths):
        found |= {name for name, part in group.services.items() if part.state not in OVER}
    return [name for name in meant if name in found]


def _end_others(paths: Paths, names: set[str]) -> None:
    """What `devproxy run` has running passes the signal on to its command."""
    from devproxy.registry.leases import read_leases

    for lease in read_leases(paths):
        if lease.service in names:
            with suppress(ProcessLookupError):
                os.kill(lease.pid, signal.SIGTERM)


def _wait(paths: Paths, running: list[str], seconds: float) -> list[str]:
    """Tell of each as it ends; those that have not within `seconds`."""
    deadline = time.monotonic() + seconds
    left = running
    while True:
        before, left = left, _running(paths, running)
        for name in before:
            if name not in left:
                say(f"`{name}` has ended")
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(0.05)
