"""`devproxy open`: a service in the person's browser.

Not here: which name means which service (`arguments.py`). The browser is the standard library's choice (`webbrowser`,
which the environment variable BROWSER overrides).
"""

import click

from devproxy.cli.arguments import complete_service, find_service_here
from devproxy.cli.context import START, load_context
from devproxy.cli.output import say
from devproxy.cli.url import no_address
from devproxy.errors import DevproxyError, Exit
from devproxy.text import devproxy_command


@click.command("open")
@click.argument("name", shell_complete=complete_service)
def command(name: str) -> None:
    """Open a service in the browser. NAME is as in devproxy url."""
    view = load_context()
    service, host = find_service_here(view.registry, name)
    if service.protocol == "tcp":
        raise DevproxyError(
            f"`{service.id}` is nothing for a browser",
            why='its protocol is "tcp", not HTTP',
            fix=f"its address: {devproxy_command('url', service.id)}",
        )
    url = view.url(service, host)
    if not url:
        raise no_address(service)
    if view.running is None:
        raise DevproxyError(
            "the proxy is not running",
            why=f"a browser would find nothing at {url}",
            fix=START,
            exit_code=Exit.NOT_RUNNING,
        )
    _open(url)


def _open(url: str) -> None:
    import webbrowser

    say(url)
    if not webbrowser.open(url):
        raise DevproxyError(
            "no browser could be started",
            why="none was found on this machine",
            fix="open the URL above yourself, or name a browser in the environment variable BROWSER",
        )
