"""`devproxy start`: the proxy in the background.

Not here: how it gets there (`devproxy/daemon/control.py`).
"""

from typing import TYPE_CHECKING

import click

from devproxy.cli.output import remark, say
from devproxy.cli.serve import port_number
from devproxy.text import devproxy_command

if TYPE_CHECKING:
    from devproxy.daemon.control import Launched


@click.command("start")
@click.option("--http", callback=port_number, metavar="PORT", help="Instead of the registry's [proxy] http.")
def command(http: int | None) -> None:
    """Run the proxy in the background.

    It outlives this terminal, and takes connections when the command returns. If it runs already, all is well.
    """
    from devproxy.daemon.control import start
    from devproxy.paths import Paths

    paths = Paths.from_environment()
    launched = start(paths, http=http)
    tell(launched)
    if not launched.is_new and http not in {None, 0, launched.running.http}:
        move = devproxy_command("restart", "--http", str(http))
        remark(f"it stays on port {launched.running.http}; to move it: {move}", fg="yellow")
    if launched.is_new:
        remark(f"its log: {paths.proxy_log}")


def tell(launched: "Launched") -> None:
    """One line: it runs, as which process, and where its own pages are."""
    from devproxy.cli.context import load_context
    from devproxy.urls import control_url

    state = "started" if launched.is_new else "running already"
    pages = control_url(load_context().registry.settings.tlds, launched.running.ports)
    say(f"{state} (pid {launched.running.pid}): {pages}")
