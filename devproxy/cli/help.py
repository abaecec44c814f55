"""`devproxy help COMMAND`: what `devproxy COMMAND --help` says.

Not here: the table of commands (`app.py`), what each says of itself (its own file).
"""

from typing import TYPE_CHECKING, Any

import click

from devproxy.cli.output import say
from devproxy.errors import DevproxyError, Exit
from devproxy.text import did_you_mean, near_words

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def complete_command(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "list[CompletionItem[Any]]":
    """Names of commands that begin as typed so far."""
    from click.shell_completion import CompletionItem

    from devproxy.cli.app import SUMMARIES

    return [CompletionItem(name, help=about) for name, about in SUMMARIES.items() if name.startswith(incomplete)]


@click.command("help")
@click.argument("name", required=False, metavar="[COMMAND]", shell_complete=complete_command)
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """Tell more about COMMAND; without one, which there are."""
    from devproxy.cli.app import SUMMARIES, devproxy

    root = ctx.find_root()
    if name is None:
        say(devproxy.get_help(root))
        return
    if name not in SUMMARIES:
        near = near_words(name, SUMMARIES)
        fix = did_you_mean(near) if near else "devproxy --help lists the commands"
        raise DevproxyError(f"there is no command `{name}`", fix=fix, exit_code=Exit.USAGE)
    meant = devproxy.get_command(root, name)
    assert meant is not None
    say(meant.get_help(click.Context(meant, info_name=name, parent=root)))
