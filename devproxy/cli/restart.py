"""`devproxy restart`: end the proxy, or with names services, and start them again, as the registry has them now.

Not here: either half (`stop.py`, `start.py`).
"""

import click

from devproxy.cli.arguments import complete_service
from devproxy.cli.serve import port_number
from devproxy.cli.start import start_services, tell
from devproxy.cli.stop import end
from devproxy.errors import Exit


@click.command("restart")
@click.argument("names", nargs=-1, metavar="[SERVICE...]", shell_complete=complete_service)
@click.option("--http", callback=port_number, metavar="PORT", help="Instead of the registry's [proxy] http.")
def command(names: tuple[str, ...], http: int | None) -> int:
    """End the proxy, or SERVICE, and run it again.

    Without SERVICE the proxy, in the background: needed after an update of devproxy, and after another port in [proxy];
    all else is live at once. SERVICE is started anew by the `devproxy up` that has it, whichever terminal that is in,
    with the command that its file has now.
    """
    from devproxy.daemon.control import start
    from devproxy.paths import Paths

    paths = Paths.from_environment()
    if names:
        return start_services(paths, names, "restart")
    end(paths)
    launched = start(paths, http=http)
    tell(launched)
    return Exit.GOOD
