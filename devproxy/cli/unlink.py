"""`devproxy unlink`: a project out of the user registry. The project's own file is left alone."""

import click

from devproxy.cli.arguments import complete_project
from devproxy.cli.context import remark_left
from devproxy.cli.output import say
from devproxy.cli.registry_edit import change_registry
from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.text import did_you_mean, nearest_word


@click.command("unlink")
@click.argument("name", shell_complete=complete_project)
def command(name: str) -> None:
    """Take a project out of your registry. Its file stays as it is."""
    paths = Paths.from_environment()
    change_registry(paths, lambda text, _: _unlinked(text, name))
    say(f"`{name}` is no longer linked in {paths.registry}")
    remark_left(paths, [name])


def _unlinked(text: str, name: str) -> str:
    import tomllib

    from devproxy.registry.edit import unlink_project

    projects = tomllib.loads(text).get("projects")
    names = list(projects) if isinstance(projects, dict) else []
    if name not in names:
        raise _unknown(name, names)
    return unlink_project(text, name)


def _unknown(name: str, names: list[str]) -> DevproxyError:
    if not names:
        return DevproxyError(
            f"no project `{name}` is linked", why="no project is", fix="devproxy ls shows what there is"
        )
    near = nearest_word(name, names)
    said = did_you_mean([near]) if near else f"linked are: {', '.join(names)}"
    return DevproxyError(f"no project `{name}` is linked", fix=said)
