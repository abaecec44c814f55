"""One line of what a program has written, as a terminal shows it in the end. Pure.

How it works: progress bars and spinners write over what they have written. Here a line is a row of cells, each a
character with its colours, and a cursor: a carriage return, a backspace and the control sequences of ECMA-48 that move
in a line (CHA, HPA, CUF, CUB) move it, those that erase (EL, ECH, DCH, and ED, which clears a screen) take cells away,
and each character is put where it stands. What drives more than a line (cursor up) is dropped: the lines above are gone
already, to whoever reads them. A character counts as one cell, however wide it is.
Not here: which characters are harmless (`logs.py`).
"""

import re
from typing import NamedTuple

WIDEST = 16_384  # cells; the cursor stops there
_MOST_COLOURS = 64  # characters of sequences that a cell's colours are made of
_MOVING = re.compile(r"[\r\b]|\x1b\[[0-9;]*[A-Za-ln-z`@]|\x1bc")
# a control sequence, another escape, or a character
_TOKEN = re.compile(
    r"\x1b\[(?P<values>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|(?P<other>\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?)|(?P<char>.)",
    re.DOTALL,
)
_HOME = re.compile(rb"\r(?!\n|$)|\x1b\[(?:1?G|2?K|1?`|H|1;1H|2J)")


class _Cell(NamedTuple):
    char: str
    colours: str


def as_shown(text: str) -> str:
    """The line that is left of `text`, which has no line feed in it, with its colours."""
    if _MOVING.search(text) is None:
        return text
    line = _TerminalLine()
    for token in _TOKEN.finditer(text):
        if token["char"] is not None:
            line.put(token["char"])
        elif token["final"] is not None:
            line.control(token["final"], token["values"], token[0])
        elif token["other"] == "\x1bc":
            line.clear()
    return line.text()


def without_overwritten(data: bytes) -> bytes:
    """What need not be kept of a line that goes on and on: all before it was last begun anew."""
    last = 0
    for found in _HOME.finditer(data):
        last = found.start()
    return data[last:]


class _TerminalLine:
    def __init__(self) -> None:
        self._cells: list[_Cell] = []
        self._at = 0
        self._colours = ""
        self._is_cleared = False  # what stands there goes with the next character

    def put(self, char: str) -> None:
        if char == "\r":
            self._at = 0
        elif char == "\b":
            self._at = max(0, self._at - 1)
        elif self._at < WIDEST:
            if self._is_cleared:
                self._cells.clear()
                self._is_cleared = False
            self._fill(self._at)
            self._cells[self._at : self._at + 1] = [_Cell(char, self._colours)]
            self._at += 1

    def control(self, final: str, values: str, sequence: str) -> None:
        first = values.partition(";")[0]
        number = min(int(first), WIDEST) if first.isascii() and first.isdecimal() else 0
        if final == "m":
            self._colours = "" if values in {"", "0"} else (self._colours + sequence)[-_MOST_COLOURS:]
        elif final in "G`":
            self._at = max(1, number) - 1
        elif final == "C":
            self._at = min(WIDEST, self._at + max(1, number))
        elif final == "D":
            self._at = max(0, self._at - max(1, number))
        elif final in "Hf":
            column = values.partition(";")[2]
            self._at = min(WIDEST, max(1, int(column) if column.isascii() and column.isdecimal() else 1)) - 1
        else:
            self._take_away(final, number)

    def _take_away(self, final: str, number: int) -> None:
        if final == "K" or (final == "J" and number == 0):
            self._erase(number)
        elif final == "J" and number != 1:
            self.clear()
        elif final == "X":
            end = min(self._at + max(1, number), len(self._cells))
            self._cells[self._at : end] = [_Cell(" ", "")] * max(0, end - self._at)
        elif final == "P":
            del self._cells[self._at : self._at + max(1, number)]

    def clear(self) -> None:
        """The whole screen: a log keeps the line, unless it goes on."""
        self._is_cleared = True
        self._at = 0

    def text(self) -> str:
        """The cells, without the blanks behind the last."""
        cells = self._cells
        end = len(cells)
        while end and cells[end - 1].char == " ":
            end -= 1
        parts, colours = [], ""
        for cell in cells[:end]:
            if cell.colours != colours:
                parts.append(("\x1b[0m" if colours else "") + cell.colours)
                colours = cell.colours
            parts.append(cell.char)
        return "".join(parts) + ("\x1b[0m" if colours else "")

    def _erase(self, part: int) -> None:
        """EL: to the end, from the beginning, or all of it; the cursor stays."""
        if part == 0:
            del self._cells[self._at :]
        elif part == 1:
            end = min(self._at + 1, len(self._cells))
            self._cells[:end] = [_Cell(" ", "")] * end
        else:
            self._cells.clear()

    def _fill(self, to: int) -> None:
        self._cells += [_Cell(" ", "")] * (to - len(self._cells))
