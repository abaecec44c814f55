"""`devproxy stop`: end the proxy, whoever started it, or with names services, which are then left to others.

Not here: how (`devproxy/daemon/control.py`, `down.py`). Without names no service is touched.
"""

import click

from devproxy.cli.arguments import complete_service
from devproxy.cli.down import end_services
from devproxy.cli.output import remark, say
from devproxy.errors import Exit
from devproxy.paths import Paths


@click.command("stop")
@click.argument("names", nargs=-1, metavar="[SERVICE...]", shell_complete=complete_service)
def command(names: tuple[str, ...]) -> int:
    """End the proxy, or SERVICE.

    Without SERVICE the proxy: requests in flight may finish, for as long as the registry's [proxy] grace says. If none
    runs, all is well. SERVICE is ended as by `devproxy down`, whichever terminal it runs in.
    """
    paths = Paths.from_environment()
    if names:
        return end_services(paths, names)
    end(paths)
    return Exit.GOOD


def end(paths: Paths) -> None:
    """Stop the proxy of `paths` and say so."""
    from devproxy.daemon.control import stop
    from devproxy.registry.loader import read

    ended = stop(paths, grace=read(paths).settings.grace)
    if ended is None:
        say("the proxy was not running")
    elif ended.was_killed:
        remark(f"the proxy (pid {ended.running.pid}) did not end by itself and was killed", fg="yellow")
    else:
        say(f"stopped (pid {ended.running.pid})")
