"""`devproxy completion`: a script that teaches a shell to complete commands, options and service names.

Lives here: which shells, and where the script goes. The script itself is click's.
Not here: what is completed (`app.py` for commands, `arguments.py` for services).
"""

import click

from devproxy.cli.output import for_person, remark, say

INSTALL = {
    "bash": "echo 'eval \"$(devproxy completion bash)\"' >> ~/.bashrc",
    "zsh": "echo 'eval \"$(devproxy completion zsh)\"' >> ~/.zshrc   (after compinit)",
    "fish": "devproxy completion fish > ~/.config/fish/completions/devproxy.fish",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(INSTALL)))
def command(shell: str) -> None:
    """Print the completion script for your shell.

    \b
    bash:  echo 'eval "$(devproxy completion bash)"' >> ~/.bashrc
    zsh:   echo 'eval "$(devproxy completion zsh)"' >> ~/.zshrc
    fish:  devproxy completion fish > ~/.config/fish/completions/devproxy.fish
    """
    from click.shell_completion import ShellComplete, get_completion_class

    from devproxy.cli.app import COMPLETION_VARIABLE, devproxy

    shell_class = get_completion_class(shell)
    if shell_class is None:  # click knows all three
        raise click.UsageError(f"no completion for {shell}")
    # ShellComplete's own `source`, not BashComplete's: that one runs bash to look at its version first.
    say(ShellComplete.source(shell_class(devproxy, {}, "devproxy", COMPLETION_VARIABLE)))
    if for_person():
        remark(f"to have it in every {shell}: {INSTALL[shell]}")
