"""A shell's text as the simple commands in it, each with its place, so that one of them can be changed.

Lives here: splitting at `;`, `&`, `|`, newlines and round brackets, outside of quotes (POSIX sh §2.10).
Not here: what a command is (`health/programs.py`). Pure.

This is no shell: here-documents, `case` and functions are not understood. Their parts are programs that no table knows,
so they stay as they are.
"""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

# an escaped character, a quoted string, a redirection with an ampersand, or a separator
_PIECE = re.compile(r"""\\.|'[^']*'|"(?:[^"\\]|\\.)*"|[<>]&|&>|([;&|\n()])|[^\\'"<>;&|\n()]+|.""", re.DOTALL)
_PLAIN = re.compile(r"[\w\s@%+=:,./-]*")


class Segment(NamedTuple):
    """A simple command, at `text[start:end]`, without blanks around it."""

    start: int
    end: int
    words: tuple[str, ...]


def segments(text: str) -> Iterator[Segment]:
    """The simple commands of a shell's text, in order; those with an open quote are left out."""
    start = 0
    for piece in _PIECE.finditer(text):
        if piece[1]:
            yield from _segment(text, start, piece.start())
            start = piece.end()
    yield from _segment(text, start, len(text))


def replaced(text: str, segment: Segment, words: tuple[str, ...]) -> str | None:
    """The text with other words in place of the segment's; None where that could change what the rest means."""
    old = text[segment.start : segment.end]
    count = len(segment.words)
    if words[:count] == segment.words:
        new = " ".join([old, *map(shlex.quote, words[count:])])
    elif _PLAIN.fullmatch(old):
        new = shlex.join(words)
    else:
        return None
    return text[: segment.start] + new + text[segment.end :]


def _segment(text: str, start: int, end: int) -> Iterator[Segment]:
    part = text[start:end]
    try:
        words = tuple(shlex.split(part))
    except ValueError:
        return
    if words:
        start += len(part) - len(part.lstrip())
        yield Segment(start, start + len(part.strip()), words)
