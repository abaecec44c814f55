"""A shell's text as the simple commands in it, each word with its place, so that some of them can be changed.

How it works: the text is split at `;`, `&`, `|`, newlines, round brackets and comments, outside of quotes and `$(…)`
(POSIX sh §2.3, §2.10); a reserved word that a command may follow (§2.4) is no part of it. This is no shell:
here-documents, `case` and functions are not understood. Their parts are programs that the catalogue does not know, so
they stay as they are.
Not here: what a command is (`command_line.py`). Pure.
"""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

_QUOTED = r"""'[^']*'|"(?:[^"\\]|\\.)*\""""
_INSIDE = rf"""[^()'"\\]|\\.|{_QUOTED}"""
# a parameter, or a command or arithmetic substitution with brackets in brackets in it
_SUBSTITUTED = rf"""\$\{{[^{{}}]*\}}|\$\((?:{_INSIDE}|\((?:{_INSIDE}|\([^()]*\))*+\))*+\)|`[^`]*`"""
# an escaped character, what is quoted or substituted, a redirection with an ampersand, or a separator or a comment
_PIECE = re.compile(
    rf"""\\.|{_QUOTED}|{_SUBSTITUTED}|[<>]&|&>|([;&|\n()]|(?<![^\s;&|()])\#[^\n]*)|[^\\'"<>;&|\n()$`#]+|.""",
    re.DOTALL,
)
_WORD = re.compile(rf"""(?:\\[^\n]|{_QUOTED}|{_SUBSTITUTED}|[^\s\\'"])+""", re.DOTALL)
_BLANK = re.compile(r"(?:\s|\\\n)+")
_RESERVED = frozenset({"{", "!", "if", "then", "elif", "else", "while", "until", "do"})
_PLAIN = re.compile(r"[\w\s@%+=:,./-]*")


class SimpleCommand(NamedTuple):
    """One (POSIX sh §2.9.1), at `text[start:end]` without blanks around it, each of its words at one of `places`."""

    start: int
    end: int
    words: tuple[str, ...]
    places: tuple[tuple[int, int], ...]


def simple_commands(text: str) -> Iterator[SimpleCommand]:
    """The simple commands of a shell's text, in order; those with an open quote are left out."""
    start = 0
    for piece in _PIECE.finditer(text):
        if piece[1]:
            yield from _words_between(text, start, piece.start())
            start = piece.end()
    yield from _words_between(text, start, len(text))


def replace_words(text: str, command: SimpleCommand, words: tuple[str, ...]) -> str | None:
    """The text with other words in place of the command's; None where that could change what the rest means.

    What stays is not written anew: only the shell knows what its quotes and variables come to.
    """
    old = command.words
    head = _common(old, words)
    tail = _common(old[head:][::-1], words[head:][::-1])
    new = shlex.join(words[head : len(words) - tail])
    gone = command.places[head : len(old) - tail]
    if not all(_PLAIN.fullmatch(text[start:end]) for start, end in gone):
        return None
    if gone:
        return text[: gone[0][0]] + new + text[gone[-1][1] :]
    if not new:
        return text
    if head:
        place = command.places[head - 1][1]
        return f"{text[:place]} {new}{text[place:]}"
    return f"{text[: command.start]}{new} {text[command.start :]}"


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many words both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (mine, yours) in pairs if mine != yours), min(len(one), len(other)))


def _words_between(text: str, start: int, end: int) -> Iterator[SimpleCommand]:
    places: list[tuple[int, int]] = []
    words: list[str] = []
    while start < end:
        if blank := _BLANK.match(text, start, end):
            start = blank.end()
            continue
        found = _WORD.match(text, start, end)
        if found is None:
            return
        if words or found[0] not in _RESERVED:
            places.append(found.span())
            words.append(_value(found[0]))
        start = found.end()
    if words:
        yield SimpleCommand(places[0][0], places[-1][1], tuple(words), tuple(places))


def _value(word: str) -> str:
    """A word without its quotes; one with a substitution in it, which only the shell can read, as it is written."""
    try:
        parts = shlex.split(word)
    except ValueError:
        return word
    return parts[0] if len(parts) == 1 else word
