"""`devproxy start`: the proxy in the background.

Not here: how it gets there (`devproxy/daemon/control.py`).
"""

import click

from devproxy.cli.output import remark, say
from devproxy.cli.serve import port_number


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
    tell(launched.running.pid, launched.running.http, is_new=launched.is_new)
    if not launched.is_new and http not in {None, 0, launched.running.http}:
        remark(f"it stays on port {launched.running.http}; to move it: devproxy restart --http {http}", fg="yellow")
    if launched.is_new:
        remark(f"its log: {paths.log / 'devproxy.log'}")


def tell(pid: int, http: int | None, *, is_new: bool) -> None:
    """One line: it runs, as which process, and where its own pages are."""
    port = "" if http in {None, 80} else f":{http}"
    state = "started" if is_new else "running already"
    say(f"{state} (pid {pid}): http://devproxy.localhost{port}")
