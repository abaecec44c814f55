"""`devproxy stop`: end the proxy, whoever started it.

Not here: how (`devproxy/daemon/control.py`). Services are not touched: they are `devproxy down`'s.
"""

import click

from devproxy.cli.output import remark, say
from devproxy.paths import Paths


@click.command("stop")
def command() -> None:
    """End the proxy, and wait until it is gone.

    Requests in flight may finish, for as long as the registry's [proxy] grace says. If none runs, all is well.
    """
    end(Paths.from_environment())


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
