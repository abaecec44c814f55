"""`devproxy url`: one service's URL, for people and scripts.

Not here: which name means which service (`arguments.py`).
"""

from typing import TYPE_CHECKING

import click

from devproxy.cli.arguments import complete_service, find_service_here
from devproxy.cli.context import load_context, remark_astray, remark_stopped, remark_taken
from devproxy.cli.output import print_json, say
from devproxy.errors import DevproxyError
from devproxy.text import devproxy_command

if TYPE_CHECKING:
    from devproxy.registry.model import Service


@click.command("url")
@click.argument("name", shell_complete=complete_service)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(name: str, as_json: bool) -> None:
    """Print a service's URL.

    NAME is a service (web.shop), its bare name where only one is called so, or in its project's folder (web), or a
    hostname. With the proxy stopped it is the URL that it will have, and stderr says so.
    """
    view = load_context()
    service, host = find_service_here(view.registry, name)
    url = view.url(service, host)
    if not url:
        raise no_address(service)
    if as_json:
        print_json({"name": service.id, "host": host, "url": url, "running": view.running is not None})
        return
    say(url)
    remark_taken(view, [service])
    remark_astray([service])
    remark_stopped(view)


def no_address(service: "Service") -> DevproxyError:
    """Why a service has no URL: it listens nowhere, nobody has given it a port, or others hold all its hostnames."""
    if not service.serves:
        from devproxy.health.state import nowhere

        return DevproxyError(
            f"`{service.id}` has no URL",
            why=f"{nowhere(service)} (`kind`)",
            fix=f"see how it does: {devproxy_command('health', service.id)}",
            where=service.source.where,
        )
    if service.protocol == "tcp":
        return DevproxyError(
            f"`{service.id}` has no address yet",
            why='it is not HTTP (protocol = "tcp"), and nothing says which port it has',
            fix='give it `listen = "auto"`, an address that stays, or `port = PORT`, in its file',
            where=service.source.where,
        )
    return DevproxyError(
        f"`{service.id}` has no hostname",
        why="other services hold all the ones it would have",
        fix="devproxy check says which",
        where=service.source.where,
    )
