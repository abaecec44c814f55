"""`devproxy logs`: what the services of `devproxy up` have printed.

Lives here: the last lines of several logs in the order of their times, and following them.
Not here: the files (`devproxy/run/logs.py`).
"""

import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devproxy.cli.arguments import complete_service, services_meant
from devproxy.cli.output import Prefixed, remark, say
from devproxy.paths import Paths
from devproxy.registry.loader import read
from devproxy.text import safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from devproxy.run.logs import Follower, LogEntry

_LOOK = 0.1  # seconds between two looks at the files


PROXY = "proxy"
LINES, EVERY_LINE = 100, sys.maxsize  # to begin with
_IN_TERMINAL = "what devproxy run starts prints in its own terminal"


def since(_ctx: click.Context, _param: click.Parameter, text: str | None) -> float | None:
    """Seconds. Raises BadParameter."""
    from devproxy.problems import Wrong
    from devproxy.registry.values import duration

    try:
        return None if text is None else duration(text)
    except Wrong as wrong:
        raise click.BadParameter(f"{wrong.what}; {wrong.fix}") from None


def _show_proxy_log(paths: Paths, count: int, earliest: str, *, follow: bool) -> None:
    """Whole lines, with their times; a line that is indented goes on from the one before."""
    from devproxy.run.logs import Follower, last_lines

    follower = Follower(paths.proxy_log)
    found, is_recent = last_lines(paths.proxy_log, count), False
    for line in found:
        is_recent = line >= earliest if line[:1].isdigit() else is_recent
        if is_recent:
            say(safe(line))
    if follow:
        for _, entry in _followed({PROXY: follower}):
            say(safe(f"{entry.time} {entry.text}"))
    elif not found:
        remark("the proxy has logged nothing yet; devproxy start starts it")


def _followed(followers: "Mapping[str, Follower]") -> "Iterator[tuple[str, LogEntry]]":
    """Each new line and whose it is, until Ctrl-C."""
    with suppress(KeyboardInterrupt):
        while True:
            for name, follower in followers.items():
                for entry in follower.read():
                    yield name, entry
            time.sleep(_LOOK)


@click.command("logs")
@click.argument("names", nargs=-1, metavar="[NAME...]", shell_complete=complete_service)
@click.option("--follow", "-f", is_flag=True, help="Go on with what they print, until Ctrl-C.")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(0),
    help=f"Lines of each to begin with: {LINES}, or with --since all there are.",
)
@click.option("--since", callback=since, metavar="TIME", help="Only of the last so much time, as in 10m.")
def command(names: tuple[str, ...], follow: bool, lines: int | None, since: float | None) -> None:
    """Show what a project's services have printed.

    All of them, or those called NAME, in the order of time. `proxy` is the proxy's own log, if no service is called so.
    """
    from devproxy.run.logs import Follower, last

    paths = Paths.from_environment()
    registry = read(paths)
    earliest = (
        ""
        if since is None
        else datetime.fromtimestamp(time.time() - since).astimezone().isoformat(timespec="milliseconds")
    )
    count = lines if lines is not None else LINES if since is None else EVERY_LINE
    if names == (PROXY,) and not any(PROXY in {service.name, service.id} for service in registry.services):
        _show_proxy_log(paths, count, earliest, follow=follow)
        return
    meant = services_meant(registry, names, Path.cwd())
    ids = [service.id for service in meant]
    prefixed = Prefixed(ids)
    followers = {name: Follower(paths.service_log(name)) for name in ids}
    entries = sorted(
        (entry.time, at, name, entry.text)
        for name in ids
        for at, entry in enumerate(last(paths, name, count))
        if entry.time >= earliest
    )
    for _, _, name, text in entries:
        prefixed.line(name, text)
    if not follow:
        if not any(paths.service_log(name).exists() for name in ids):
            in_terminal = any(service.leased for service in meant)
            remark(f"nothing was logged yet; {_IN_TERMINAL if in_terminal else 'devproxy up starts the services'}")
        return
    for name, entry in _followed(followers):
        prefixed.line(name, entry.text)
