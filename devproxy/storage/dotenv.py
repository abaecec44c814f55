"""Text of a `.env` file → variables, by python-dotenv's rules: quotes, escapes, `export`, comments, `${NAME:-default}`.

Lives here: `parse_dotenv`. Values are secrets: nothing here puts one into a message.
Not here: reading the file (`files.py`), who is given them (`run/command.py`, `detect/compose_files.py`).
"""

import io
from collections.abc import Mapping

import msgspec


class DotenvFile(msgspec.Struct, frozen=True):
    """The variables, in the order of the file, and the lines that are none."""

    values: dict[str, str]
    bad_lines: tuple[int, ...] = ()


def parse_dotenv(text: str, outer: Mapping[str, str]) -> DotenvFile:
    """The variables of a text. `${NAME}` in a value is one of `outer`, or else one that stands above it."""
    from dotenv.parser import parse_stream  # only where there is such a file
    from dotenv.variables import parse_variables

    values: dict[str, str] = {}
    bad: list[int] = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.key is None and not binding.error:
            continue  # a comment
        if binding.error or binding.key is None or "\0" in binding.key + (binding.value or ""):
            bad.append(_line(binding.original.string, binding.original.line))
        elif binding.value is not None:  # a name alone has no value here
            known = {**values, **outer}
            values[binding.key] = "".join(atom.resolve(known) for atom in parse_variables(binding.value))
    return DotenvFile(values, tuple(bad))


def _line(text: str, first: int) -> int:
    """The line on which a binding begins, past the blank ones before it."""
    return first + len(text) - len(text.lstrip("\n"))
