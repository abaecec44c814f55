"""A value that is wrong, as the parsers of single values say it.

Lives here: the exception they raise (what, why, fix, without a place: whoever knows the key adds it), and the one way
in which text from a file gets into a message.
Not here: problems (`problems.py`), which have a place.

Text from a file is hostile: it may hold terminal escapes (ECMA-48) or direction marks (Unicode UAX #9) that make a
message look like another one. `shown` prints none of them raw.
"""

import re

LONGEST = 60  # characters of a value that a message repeats

# C0 (without tab and line ends, which are told apart below), DEL, C1, line and paragraph separators, direction marks,
# zero-width characters and the byte order mark
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_BREAKS = re.compile("[\t\r\n]")


class Wrong(ValueError):  # noqa: N818 - it is the value that is wrong
    """A value that cannot be used: a stable `code`, `what` is wrong with it, why, and the fix (both may be empty)."""

    def __init__(self, what: str, *, why: str = "", fix: str = "", code: str = "bad-value"):
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.code = code


def shown(text: str) -> str:
    """`text` for a message: unprintable characters as escapes, cut after `LONGEST` characters."""
    cut = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else _escaped(char) for char in cut)


def refuse_unseen(text: str, *, breaks: bool = False) -> None:
    """Raise Wrong if `text` has a character that nobody sees; tabs and line ends are allowed where `breaks` is true."""
    found = _UNSEEN.search(text) or (None if breaks else _BREAKS.search(text))
    if found:
        raise Wrong(
            f'"{shown(text)}" has the control character {_escaped(found[0])}',
            why="characters that nobody sees can hide what a value really is, and drive the terminal that prints it",
            fix=f"remove {_escaped(found[0])}",
            code="control-character",
        )


def _escaped(char: str) -> str:
    return (
        f"\\x{ord(char):02x}"
        if ord(char) < 0x100
        else f"\\u{ord(char):04x}"
        if ord(char) < 0x10000
        else f"\\U{ord(char):08x}"
    )
