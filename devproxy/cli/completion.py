"""`devproxy completion`: a script that teaches a shell to complete commands, options and service names.

Lives here: the command line, and what is said of what is written. The script itself is click's.
Not here: what is completed (`app.py` for commands, `arguments.py` for services), where it is installed
(`shell_startup.py`).
"""

import os
from pathlib import Path

import click

from devproxy.cli.output import for_person, remark, say
from devproxy.cli.shell_startup import SHELLS, StartupFile, startup_file
from devproxy.errors import DevproxyError, Exit
from devproxy.text import devproxy_command

INSTALL = "install"


@click.command("completion")
@click.argument("what", type=click.Choice([*SHELLS, INSTALL]), metavar="{bash|zsh|fish|install}")
@click.argument("shell", required=False, type=click.Choice(list(SHELLS)), metavar="[SHELL]")
@click.option("--dry-run", is_flag=True, help="With install: show what would be written, and where.")
def command(what: str, shell: str | None, dry_run: bool) -> None:
    """Teach your shell to complete names and commands.

    Prints the script for a shell, or installs it.

    \b
    devproxy completion install [SHELL]   for your login shell, or SHELL
    devproxy completion zsh               the script alone

    For bash and zsh, install adds two lines to ~/.bashrc or ~/.zshrc; for fish it writes
    ~/.config/fish/completions/devproxy.fish. It says what it wrote, and writes nothing twice.
    """
    if what == INSTALL:
        _install(shell or _login_shell(), dry_run)
        return
    if shell is not None or dry_run:
        raise click.UsageError(f"only `install` takes {'a second word' if shell is not None else '--dry-run'}")
    say(_script(what))
    if for_person():
        remark(f"to have it in every {what}: {devproxy_command('completion', INSTALL, what)}")


def _script(shell: str) -> str:
    from click.shell_completion import ShellComplete, get_completion_class

    from devproxy.cli.app import COMPLETION_VARIABLE, devproxy

    shell_class = get_completion_class(shell)
    if shell_class is None:  # click knows all three
        raise click.UsageError(f"no completion for {shell}")
    # ShellComplete's own `source`, not BashComplete's: that one runs bash to look at its version first.
    return ShellComplete.source(shell_class(devproxy, {}, "devproxy", COMPLETION_VARIABLE))


def _login_shell() -> str:
    name = Path(os.environ.get("SHELL", "")).name
    if name in SHELLS:
        return name
    raise DevproxyError(
        "this does not tell for which shell",
        why=f"SHELL is {name or 'not set'}, and completion is there for {', '.join(SHELLS)}",
        fix="\n".join(("one of:", *(devproxy_command("completion", INSTALL, shell) for shell in SHELLS))),
        exit_code=Exit.USAGE,
    )


def _install(shell: str, dry_run: bool) -> None:
    from devproxy.storage.files import manifest_text, update

    file = startup_file(shell, _script(shell) + "\n", os.environ, Path.home())
    old = manifest_text(file.path) or ""
    _refuse_foreign(file, old)
    if file.edited(old) == old:
        say(f"nothing to do: it is there already: {file.path}")
        return
    say(f"{'would write' if dry_run else 'written'}: {file.path}")
    if not file.is_whole or dry_run:
        say(file.lines.rstrip("\n"))
    if dry_run:
        return
    file.path.parent.mkdir(parents=True, exist_ok=True)
    update(file.path, file.edited, private=False)
    remark(f"the next {shell} that is opened completes devproxy; this one does after: exec {shell}")


def _refuse_foreign(file: StartupFile, old: str) -> None:
    if file.is_foreign(old):
        raise DevproxyError(
            "another file stands where the completions would, and it stays as it is",
            fix=f"move it away, then: {devproxy_command('completion', INSTALL, file.shell)}",
            where=str(file.path),
        )
