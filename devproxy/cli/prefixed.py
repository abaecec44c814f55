"""Lines of several services below each other, each behind its service's name in a colour.

Not here: where the lines come from.
"""

import sys
from collections.abc import Sequence

import click

from devproxy.cli.output import coloured

COLOURS = ("cyan", "magenta", "green", "blue", "yellow", "bright_cyan", "bright_magenta", "bright_green")


class Prefixed:
    """Prints lines on stdout; without colours where no terminal is, the services' own ones neither."""

    def __init__(self, names: Sequence[str]):
        self._width = max((len(name) for name in names), default=0)
        self._colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
        self._coloured = coloured(sys.stdout)

    def line(self, name: str, text: str) -> None:
        """One line of `name`, as `Lines` gives it: nothing in it drives the terminal but colours."""
        prefix = f"{name:<{self._width}} | "
        if self._coloured:
            end = "\x1b[0m" if "\x1b[" in text else ""
            sys.stdout.write(click.style(prefix, fg=self._colours.get(name)) + text + end + "\n")
        else:
            from devproxy.run.lines import plain

            sys.stdout.write(prefix + plain(text) + "\n")
        sys.stdout.flush()
