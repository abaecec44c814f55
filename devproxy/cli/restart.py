"""`devproxy restart`: end the proxy, or with names services, and start them again, as the registry has them now.

Not here: either half (`stop.py`, `start.py`).
"""

from typing import TYPE_CHECKING

import click

from devproxy.cli.arguments import complete_service
from devproxy.cli.serve import port_options
from devproxy.cli.start import start_services, tell
from devproxy.cli.stop import end
from devproxy.errors import Exit

if TYPE_CHECKING:
    from devproxy.registry.model import HttpsPort


@click.command("restart")
@click.argument("names", nargs=-1, metavar="[SERVICE...]", shell_complete=complete_service)
@port_options
def command(names: tuple[str, ...], http: int | None, https: "HttpsPort") -> int:
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
    launched = start(paths, http=http, https=https)
    tell(launched)
    return Exit.GOOD
