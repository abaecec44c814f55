"""`devproxy add`: a service into the user registry.

Lives here: what was typed → the table that is written.
Not here: whether the table is right (`registry/decode.py`), keeping the file's comments (`registry/edit.py`).
"""

import re
from pathlib import Path
from typing import Any

import click

from devproxy import urls
from devproxy.cli.arguments import find_service
from devproxy.cli.context import load_context, remark_stopped
from devproxy.cli.output import remark, say
from devproxy.cli.registry_edit import change_registry
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths
from devproxy.registry.decode import Decoded
from devproxy.registry.model import Registry
from devproxy.registry.schema import UserFile
from devproxy.text import devproxy_command, quote

_HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\]):[0-9]+")


@click.command("add")
@click.argument("name")
@click.argument("target", metavar="PORT|UPSTREAM")
@click.option("--host", "hosts", multiple=True, metavar="HOST", help="Another hostname; may be repeated.")
@click.option("--path", metavar="PATH", help="Mount the service below PATH of each --host, instead of all of it.")
@click.option("--force", is_flag=True, help="Replace a service that has this name already.")
def command(name: str, target: str, hosts: tuple[str, ...], path: str | None, force: bool) -> None:
    """Give a port, or another upstream, a name.

    \b
    devproxy add web 5173                          http://web.localhost
    devproxy add api unix:run/api.sock             a unix socket
    devproxy add old https://127.0.0.1:9443        a service that speaks TLS
    devproxy add web 5173 --host shop.localhost    one more name
    devproxy add api 8000 --host shop.localhost --path /api
    """
    if path and not hosts:
        raise click.UsageError("--path needs a --host to be below", click.get_current_context())
    paths = Paths.from_environment()
    table = service_table(target, hosts, path, Path.cwd())
    registry = change_registry(paths, lambda text, user: _added(text, user, name, table, force))
    _show(name, registry)


def service_table(target: str, hosts: tuple[str, ...], path: str | None, folder: Path) -> dict[str, Any]:
    """The service's table; a relative unix socket is one of `folder`, where the person is."""
    table: dict[str, Any] = {}
    digits = target.removeprefix(":")
    if digits.isdecimal() and digits.isascii() and len(digits) < 10:
        table["port"] = int(digits)
    else:
        table["upstream"] = _upstream(target, folder)
    if path:
        table["mount"] = [{"host": host, "path": path} for host in hosts]
    elif hosts:
        table["hosts"] = list(hosts)
    return table


def _upstream(target: str, folder: Path) -> str:
    if target.startswith("unix:") and target != "unix:":
        # The registry lies elsewhere, and a relative path in it would be relative to its folder.
        return f"unix:{folder / Path(target.removeprefix('unix:')).expanduser()}"
    return urls.url("http", target) if _HOST_AND_PORT.fullmatch(target) else target


def _added(text: str, registry: Decoded[UserFile], name: str, table: dict[str, Any], force: bool) -> str:
    from devproxy.registry.edit import add_service

    if "." in name:
        raise _dotted(name)
    there = name in registry.left_out or (registry.value is not None and name in registry.value.services)
    if there and not force:
        line = registry.places.at(("services", name))[0]
        raise DevproxyError(
            f"`{name}` is in your registry already",
            why="it would be replaced, with everything that its table says",
            fix="choose another name, or say --force",
            where=f"{registry.file}:{line}" if line else registry.file,
        )
    return add_service(text, name, table, replace=force)


def _dotted(name: str) -> DevproxyError:
    first, _, rest = name.partition(".")
    host = name if rest.endswith("localhost") else f"{name}.localhost"
    return DevproxyError(
        f"`{name}` is not a name for a service",
        why="a name has no dots: devproxy makes the hostname from it",
        fix=f"{devproxy_command('add', first)} … --host {quote(host)}",
        exit_code=Exit.USAGE,
    )


def _show(name: str, registry: Registry) -> None:
    view = load_context(registry)
    service, _ = find_service(view.registry, name)
    for url in view.mount_urls(service) or [view.url(service, host) for host in service.hosts]:
        say(url)
    remark(f"`{service.id}` is now in {view.paths.registry}")
    remark_stopped(view)
