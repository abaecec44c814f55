"""`devproxy restart`: end the proxy and start it again, with the ports that the registry asks for now.

Not here: either half (`stop.py`, `start.py`).
"""

import click

from devproxy.cli.serve import port_number
from devproxy.cli.start import tell
from devproxy.cli.stop import end


@click.command("restart")
@click.option("--http", callback=port_number, metavar="PORT", help="Instead of the registry's [proxy] http.")
def command(http: int | None) -> None:
    """End the proxy, and run it in the background again.

    Needed after an update of devproxy, and after another port in [proxy]; all else is live at once.
    """
    from devproxy.daemon.control import start
    from devproxy.paths import Paths

    paths = Paths.from_environment()
    end(paths)
    launched = start(paths, http=http)
    tell(launched)
