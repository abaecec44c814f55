"""`devproxy logs`: what the services of `devproxy up` have printed.

Lives here: the last lines of several logs in the order of their times, and following them.
Not here: the files (`devproxy/run/logs.py`).
"""

import time
from pathlib import Path

import click

from devproxy.cli.arguments import complete_service, services_meant
from devproxy.cli.output import Prefixed, remark
from devproxy.paths import Paths
from devproxy.registry.loader import read

_LOOK = 0.1  # seconds between two looks at the files


@click.command("logs")
@click.argument("names", nargs=-1, metavar="[NAME...]", shell_complete=complete_service)
@click.option("--follow", "-f", is_flag=True, help="Go on with what they print, until Ctrl-C.")
@click.option(
    "--lines", "-n", default=100, show_default=True, type=click.IntRange(0), help="Lines of each to begin with."
)
def command(names: tuple[str, ...], follow: bool, lines: int) -> None:
    """Show what a project's services have printed.

    All of them, or those called NAME, in the order of time.
    """
    from devproxy.run.logs import Follower, last

    paths = Paths.from_environment()
    ids = [service.id for service in services_meant(read(paths), names, Path.cwd())]
    prefixed = Prefixed(ids)
    followers = {name: Follower(paths, name) for name in ids}
    entries = sorted(
        (entry.time, at, name, entry.text) for name in ids for at, entry in enumerate(last(paths, name, lines))
    )
    for _, _, name, text in entries:
        prefixed.line(name, text)
    if not follow:
        if not any(paths.service_log(name).exists() for name in ids):
            remark("nothing was logged yet; devproxy up starts the services")
        return
    try:
        while True:
            for name, follower in followers.items():
                for entry in follower.read():
                    prefixed.line(name, entry.text)
            time.sleep(_LOOK)
    except KeyboardInterrupt:
        return
