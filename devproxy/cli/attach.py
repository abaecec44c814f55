"""`devproxy attach`: type into a service of `devproxy up`, and see what it prints, until Ctrl-D.

Lives here: the loop between this terminal and the service. Lines go as requests to the `up` that has it, and come from
its log, where one without an end (a prompt) is shown after a moment.
Not here: the requests (`run/group_state.py`), the log (`run/logs.py`).
"""

import os
import select
import sys

import click

from devproxy.cli.arguments import complete_service, services_meant
from devproxy.cli.output import coloured, print_line, remark
from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.registry.loader import read
from devproxy.text import devproxy_command

_LOOK = 0.1  # seconds between two looks at the log
_BEFORE = 10  # lines to begin with


@click.command("attach")
@click.argument("name", shell_complete=complete_service)
def command(name: str) -> None:
    """Type into a service, for a debugger or a prompt.

    What you type goes to NAME, a service of `devproxy up` in whichever terminal, line by line. Ctrl-C interrupts it.
    Ctrl-D gives your terminal back, and leaves it running.
    """
    from pathlib import Path

    paths = Paths.from_environment()
    (service,) = services_meant(read(paths), [name], Path.cwd())
    _attach(paths, service.id)


def _attach(paths: Paths, service: str) -> None:
    from devproxy.run.group_state import OVER, ask, group_of
    from devproxy.run.logs import Follower, last

    group = group_of(paths, service)
    if group is None or group.services[service].state in OVER:
        raise DevproxyError(
            f"`{service}` is not run by `devproxy up`",
            why="what `devproxy run` has is in a terminal of its own" if group is None else "it has ended",
            fix=devproxy_command("start", service),
        )
    remark(f"attached to `{service}`: Ctrl-D gives this terminal back, Ctrl-C interrupts the service", dim=True)
    follower = Follower(paths.service_log(service))
    is_coloured = coloured(sys.stdout)
    for entry in last(paths, service, _BEFORE):
        print_line(entry.text, is_coloured=is_coloured)
    while True:
        try:
            ready, _, _ = select.select([0], [], [], _LOOK)
            for entry in follower.read():
                print_line(entry.text, is_coloured=is_coloured)
            if ready:
                typed = os.read(0, 65536)
                if not typed:
                    break
                ask(paths, group, "input", [service], typed.decode("utf-8", "replace"))
            current = group_of(paths, service)
            if current is None or current.pid != group.pid or current.services[service].state in OVER:
                remark(f"`{service}` has ended")
                return
        except KeyboardInterrupt:
            ask(paths, group, "interrupt", [service])
    remark(f"`{service}` runs on")
