"""`devproxy serve`: the proxy in the foreground.

Not here: the proxy (`devproxy/daemon/main.py`). There is no option for an address to listen on: devproxy listens on
this machine's loopback addresses and nothing else.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from devproxy.registry.model import HttpsPort

P = ParamSpec("P")
R = TypeVar("R")


def port_number(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """`text` as a TCP port; 0 is any free one. Raises BadParameter."""
    if text is None:
        return None
    if not (text.isdecimal() and text.isascii() and int(text[:6]) < 65536):
        raise click.BadParameter(f"'{text}' is not a port; ports are whole numbers from 1 to 65535 (0: any free one)")
    return int(text)


def https_port(ctx: click.Context, param: click.Parameter, text: str | None) -> "HttpsPort":
    """The same, or `off`."""
    return "off" if text == "off" else port_number(ctx, param, text)


_HTTP = click.option("--http", callback=port_number, metavar="PORT", help="Instead of the registry's [proxy] http.")
_HTTPS = click.option(
    "--https", callback=https_port, metavar="PORT", help="Instead of the registry's [proxy] https; off: none."
)


def port_options(command: Callable[P, R]) -> Callable[P, R]:
    """The options `--http` and `--https`."""
    return _HTTP(_HTTPS(command))


@click.command("serve")
@port_options
@click.option("--access-log", is_flag=True, help="Log a line for every request, whatever the registry says.")
@click.option("--detached", is_flag=True, hidden=True, help="Log to the file alone: `devproxy start` says so.")
def command(http: int | None, https: "HttpsPort", access_log: bool, detached: bool) -> int:
    """Run the proxy in the foreground.

    It listens on 127.0.0.1 and ::1 only, on ports 80 and 443 (https), or 7080 and 7443 where those cannot be had.
    Ctrl-C ends it; requests in flight may finish.
    """
    from devproxy.daemon.main import Override, run
    from devproxy.paths import Paths

    return run(Paths.from_environment(), Override(http, https, access_log or None), watched=not detached)
