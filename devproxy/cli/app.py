"""The command line's entry: the table of commands, each imported only when it runs.

Lives here: which commands there are, what each does in one line, and `run`.
Not here: the commands (one file each, every one with a `command`), how errors read (`errors.py`).
How: `--help`, a misspelt command and shell completion need the table alone. Start-up time is a feature (`devproxy ls`
is to take no more than six times what `python -c pass` does), so nothing heavy may be imported at the top of any file
in this package, and what a command seldom needs is imported where it is needed (`tests/cli/test_imports.py`).
"""

import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from devproxy.errors import Exit

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: dict[str, dict[str, str]] = {
    "Start here": {
        "demo": "Show it working: two services, a proxy, a request to each.",
        "add": "Give a port, or another upstream, a name.",
        "init": "Write a first devproxy.toml from what is in the folder.",
        "link": "Take a project's devproxy.toml into the registry.",
        "run": "Run one service with a port and a name.",
        "up": "Run a project's services.",
        "start": "Run the proxy in the background, or SERVICE.",
        "serve": "Run the proxy in the foreground.",
        "trust": "Have browsers and programs believe https:// names.",
    },
    "Look": {
        "ls": "List the services and where each is reached.",
        "url": "Print a service's URL.",
        "env": "Print where services are, as variables for other programs.",
        "open": "Open a service in the browser.",
        "status": "Say whether the proxy runs, and on which ports.",
        "health": "Check services now: are they up, who else can reach them.",
        "ports": "List what listens on this machine, and who can reach it.",
        "hosts": "Keep names in the system's hosts file.",
        "logs": "Show what a project's services have printed.",
        "attach": "Have a service's terminal, for a debugger or a prompt.",
        "check": "Validate registry files; for CI and pre-commit too.",
    },
    "Tidy": {
        "down": "End a project's services.",
        "stop": "End the proxy, or SERVICE.",
        "restart": "End the proxy, or SERVICE, and run it again.",
        "rm": "Take a service out of your registry.",
        "unlink": "Take a project out of your registry.",
        "untrust": "Take the local CA out of every store that trusts it.",
        "completion": "Teach your shell to complete names and commands.",
        "help": "Tell more about COMMAND.",
    },
}
SUMMARIES = {name: summary for section in COMMANDS.values() for name, summary in section.items()}
COMPLETION_VARIABLE = "_DEVPROXY_COMPLETE"


class LazyCommands(click.Group):
    """A group that knows its commands' names and summaries, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUMMARIES:
            return None
        command: click.Command = import_module(f"devproxy.cli.{cmd_name}").command
        if not gc.isenabled():  # `main` switched it off for the imports; another program that imports us has not
            gc.freeze()  # what was imported stays: the collector need not look at it again
            gc.enable()
        return command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(10), summary) for name, summary in section.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[Any]]":
        from click.shell_completion import CompletionItem

        matching = [item for item in SUMMARIES.items() if item[0].startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=summary) for name, summary in matching] + options


def _say_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from devproxy.build import own_version

        click.echo(f"devproxy {own_version()}")
        ctx.exit()


@click.group(
    cls=LazyCommands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog="devproxy COMMAND --help tells more about one of them.",
)
@click.option(
    *("--version", "-V"),
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="Show the version and which build it is, and exit.",
)
def devproxy() -> None:
    """Names instead of ports for the services on this machine."""


def run(argv: list[str]) -> int:
    """Run one command line (without the program's name) and return its exit code.

    Every error is printed here, on stderr, in words; a traceback only with `DEVPROXY_DEBUG=1`.
    """
    _tolerate_any_encoding()
    try:
        code = _dispatch(argv)
        sys.stdout.flush()
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except BrokenPipeError:
        return _close_quietly()
    except (Exception, KeyboardInterrupt) as error:
        from devproxy.cli.errors import complain

        return complain(error, argv)
    return code


def _dispatch(argv: list[str]) -> int:
    if instruction := os.environ.get(COMPLETION_VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(devproxy, {}, "devproxy", COMPLETION_VARIABLE, instruction)
    with devproxy.make_context("devproxy", list(argv)) as context:
        return int(devproxy.invoke(context) or Exit.GOOD)


def _tolerate_any_encoding() -> None:
    """A terminal or pipe that cannot show a character gets an escape instead of an exception."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _close_quietly() -> int:
    """The reader of our pipe went away (`devproxy ls | head -1`): end as a program killed by SIGPIPE does."""
    # Python flushes stdout once more at exit and would report the same error there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 141
