"""`devproxy rm`: a service out of the user registry.

Not here: services of a project, which stand in the team's file: `rm` says which file that is.
"""

import click

from devproxy.cli.arguments import complete_own, find_service
from devproxy.cli.context import remark_left
from devproxy.cli.output import say
from devproxy.cli.registry_edit import change_registry
from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.text import devproxy_command


@click.command("rm")
@click.argument("name", shell_complete=complete_own)
def command(name: str) -> None:
    """Take a service out of your registry.

    A service of a project stands in the project's file: rm says where.
    """
    from devproxy.registry.edit import remove_service

    paths = Paths.from_environment()
    removed: list[str] = []

    def edit(text: str, _: object) -> str:
        key = name if name in _tables(text) else _own(name, paths)
        removed.append(key)
        return remove_service(text, key)

    change_registry(paths, edit)
    say(f"`{name}` is no longer in {paths.registry}")
    remark_left(paths, removed)


def _tables(text: str) -> list[str]:
    """Every service that the text names, usable or not: a broken one can be removed too."""
    import tomllib

    services = tomllib.loads(text).get("services")
    return list(services) if isinstance(services, dict) else []


def _own(name: str, paths: Paths) -> str:
    """The key of the service that `name` (a hostname, perhaps) means. Raises DevproxyError where it is a project's."""
    from devproxy.registry.loader import read

    service, _ = find_service(read(paths), name)
    if service.project:
        raise DevproxyError(
            f"`{service.id}` belongs to the project `{service.project}`",
            why="its table stands in the project's own file, which your team shares",
            fix=f"edit that file, or let go of the whole project: {devproxy_command('unlink', str(service.project))}",
            where=service.source.where,
        )
    return service.name
