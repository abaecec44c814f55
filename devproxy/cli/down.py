"""`devproxy down`: end what `up` and `run` have running.

Lives here: which processes are asked, and waiting for them.
Not here: the order in which one `up` ends its own services (`devproxy/run/group.py`). The proxy stays: `devproxy stop`.
"""

import os
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import click

from devproxy.cli.arguments import complete_service, services_meant
from devproxy.cli.output import remark, say
from devproxy.errors import Exit
from devproxy.paths import Paths
from devproxy.registry.loader import read
from devproxy.registry.model import Service

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
    from devproxy.run.group_state import start_lock

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
    grace = sum(service.stop_grace for service in registry.services if service.id in running)
    left = _end(paths, registry.services, running, grace + MARGIN * max(1, len(running)))
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


def _end(paths: Paths, services: Sequence[Service], running: list[str], seconds: float) -> list[str]:
    """End those that run, each once what depends on it has ended, whoever runs that; tell of each as it ends. Returns
    those that have not within `seconds`."""
    from devproxy.run.group import dependents

    known = list(services)
    above = {name: set(dependents(known, name)).intersection(running) for name in running}
    deadline = time.monotonic() + seconds
    left, asked = running, set[str]()
    while True:
        is_late = time.monotonic() >= deadline
        _ask(paths, [name for name in left if name not in asked], asked, above, left, is_late=is_late)
        before, left = left, _running(paths, running)
        for name in before:
            if name not in left:
                say(f"`{name}` has ended")
        if not left or is_late:
            return left
        time.sleep(0.05)


def _ask(
    paths: Paths,
    names: Collection[str],
    asked: set[str],
    above: Mapping[str, set[str]],
    left: Collection[str],
    *,
    is_late: bool,
) -> None:
    """Ask those of `names` to end on which nothing depends that is `left`, but for what the same `up` runs, which has
    its own order; all of them where it `is_late`."""
    from devproxy.registry.leases import read_leases
    from devproxy.run.group_state import OVER, ask_to_end, read_groups

    groups = read_groups(paths)
    of_groups = {name for group in groups for name, part in group.services.items() if part.state not in OVER}
    for group in reversed(groups):
        own = [name for name in group.services if name in names and name in of_groups]
        due = [name for name in own if is_late or above[name].isdisjoint(set(left).difference(group.services))]
        if due:
            asked.update(due)
            is_all = of_groups.intersection(group.services).issubset(due)
            ask_to_end(paths, group, list(group.services) if is_all else due)
    for lease in read_leases(paths):  # what `devproxy run` has running passes the signal on to its command
        name = lease.service
        if name in names and name not in of_groups and (is_late or above[name].isdisjoint(left)):
            asked.add(name)
            with suppress(ProcessLookupError):
                os.kill(lease.pid, signal.SIGTERM)
