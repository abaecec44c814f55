"""What the commands print: lines, tables and JSON, for a person or for a pipe.

Lives here: the one decision about who is reading (a terminal or a program), colours, and what fits a line.
Not here: what a command has to say. No rich at the top: it costs more than the rest of a command, so it is
imported only when stdout is a terminal.
How: a pipe gets aligned plain text, one record a line, never wrapped and never coloured. `NO_COLOR`
(https://no-color.org) and `TERM=dumb` switch colours off. Data goes to stdout, remarks to stderr.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any

import click

from devproxy.text import json_text, safe_lines

TableRow = Sequence[str]

_GAP = "  "
SHORTEST = 10  # characters that are left of a cell that is cut


def for_person() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def coloured(stream: IO[Any]) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(text: str = "", **style: Any) -> None:
    """A line of the answer, on stdout; `style` as click.style takes it."""
    _echo(text, sys.stdout, style)


def remark(text: str, **style: Any) -> None:
    """A line about the answer, on stderr, where no program reads it as data."""
    sys.stdout.flush()
    _echo(text, sys.stderr, style)


def complain_line(text: str) -> None:
    """An error on stderr; its first line is red on a terminal."""
    first, *rest = text.split("\n")
    remark(first, fg="red", bold=True)
    for line in rest:
        remark(line)


def print_json(value: Any) -> None:
    """`value` on stdout, indented, in UTF-8 whatever the terminal's encoding."""
    _echo_raw(json_text(value), sys.stdout)


def print_table(
    headings: TableRow,
    rows: Sequence[TableRow],
    colours: Mapping[str, str] = MappingProxyType({}),
    cut: Sequence[str] = (),
) -> None:
    """A table on stdout. A cell may have several lines on a terminal; a pipe gets its first line only.

    On a terminal that is too narrow the columns with the headings `cut` lose the ends of their longest cells; where
    that is not enough each row becomes a block: its first cell, then the others below. `colours` is the colour of cells
    with that text.
    """
    rows = [[safe_lines(cell) for cell in row] for row in rows]
    if for_person():
        _print_rich(headings, rows, colours, [headings.index(heading) for heading in cut])
        return
    for line in aligned([headings, *([cell.split("\n")[0] for cell in row] for row in rows)]):
        _echo_raw(line, sys.stdout)


def aligned(rows: Sequence[TableRow]) -> list[str]:
    """Rows of one-line cells as lines whose columns stand below each other."""
    widths = column_widths(rows)
    return [_GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def column_widths(rows: Sequence[TableRow]) -> list[int]:
    """Characters that each column needs for its longest line."""
    return [max(len(line) for cell in column for line in cell.split("\n")) for column in zip(*rows, strict=True)]


def shortened(headings: TableRow, rows: Sequence[TableRow], columns: Sequence[int], width: int) -> Sequence[TableRow]:
    """`rows`, of whose `columns` the widest are cut until all fits `width`, down to `SHORTEST` characters."""
    widths = column_widths([headings, *rows])
    surplus = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    while surplus > 0 and columns:
        widest = max(columns, key=lambda column: widths[column])
        if widths[widest] <= max(SHORTEST, len(headings[widest])):
            break
        widths[widest] -= 1
        surplus -= 1
    return [[_cut(cell, most) for cell, most in zip(row, widths, strict=True)] for row in rows]


def _cut(cell: str, most: int) -> str:
    return "\n".join(line if len(line) <= most else line[: most - 1] + "…" for line in cell.split("\n"))


def _print_rich(
    headings: TableRow, rows: Sequence[TableRow], colours: Mapping[str, str], columns: Sequence[int]
) -> None:
    import shutil

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = shutil.get_terminal_size().columns  # rich takes a dumb terminal for 80 columns wide
    whole, rows = rows, shortened(headings, rows, columns, width)
    needed = sum(column_widths([headings, *rows])) + len(_GAP) * (len(headings) - 1)
    if needed > width:
        _print_blocks(headings, whole, width)
        return
    table = Table(box=None, pad_edge=False, padding=(0, len(_GAP), 0, 0), header_style="dim")
    for index, heading in enumerate(headings):
        table.add_column(heading, no_wrap=True, style="bold" if index == 0 else "")
    for row in rows:
        table.add_row(*(Text(cell, colours[cell]) if cell in colours else cell for cell in row))
    Console(width=width, highlight=False, markup=False, no_color=not coloured(sys.stdout)).print(table)


def _print_blocks(headings: TableRow, rows: Sequence[TableRow], width: int) -> None:
    """The first cell, the second's lines (never folded: URLs get clicked and copied), then the rest in a paragraph."""
    import textwrap

    for first, second, *rest in rows:
        say(first, bold=True)
        for line in second.split("\n"):
            say(f"  {line}")
        # A no-break space keeps a heading and its cell on one line.
        facts = ", ".join(f"{heading.lower()}\xa0{cell}" for heading, cell in zip(headings[2:], rest, strict=True))
        for line in textwrap.wrap(facts, width - len(_GAP), break_long_words=False, break_on_hyphens=False):
            say(f"  {line}".replace("\xa0", " "), dim=True)


def _echo(text: str, stream: IO[Any], style: dict[str, Any]) -> None:
    text = safe_lines(text)
    if style and coloured(stream):
        text = click.style(text, **style)
    _echo_raw(text, stream)


def _echo_raw(text: str, stream: IO[Any]) -> None:
    # click.echo for the Windows console, where colours need translating; it strips them where no terminal is.
    click.echo(text, file=stream, color=coloured(stream))


# Lines of several services below each other, each behind its service's name in a colour.


COLOURS = ("cyan", "magenta", "green", "blue", "yellow", "bright_cyan", "bright_magenta", "bright_green")


class Prefixed:
    """Prints lines on stdout; without colours where no terminal is, the services' own ones neither."""

    def __init__(self, names: Sequence[str]):
        self._width = max((len(name) for name in names), default=0)
        self._colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
        self._coloured = coloured(sys.stdout)

    def line(self, name: str, text: str) -> None:
        """One line of `name`: nothing in it drives the terminal but its colours."""
        prefix = f"{name:<{self._width}} | "
        if self._coloured:
            prefix = click.style(prefix, fg=self._colours.get(name))
        print_line(text, prefix, is_coloured=self._coloured)


def print_line(text: str, prefix: str = "", *, is_coloured: bool) -> None:
    """A line that a program has printed: its colours where they may be, and nothing else that drives a terminal."""
    from devproxy.run.logs import harmless, plain

    text = harmless(text) if is_coloured else plain(text)
    end = "\x1b[0m" if is_coloured and "\x1b[" in text else ""
    sys.stdout.write(f"{prefix}{text}{end}\n")
    sys.stdout.flush()
