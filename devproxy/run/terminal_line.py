"""One line of what a program has written, as a terminal shows it in the end. Pure.

How it works: progress bars and spinners write over what they have written. Here a line is a row of cells, each a
character with its colours, and a cursor: a carriage return, a backspace and the control sequences of ECMA-48 that move
in a line (CHA, HPA, CUF, CUB) move it, those that erase (EL, ECH, DCH, and ED, which clears a screen) take cells away,
and each character is put where it stands. What drives more than a line (cursor up) is dropped: the lines above are gone
already, to whoever reads them. A character counts as one cell, however wide it is.
A cell's colours are those that are on, one attribute of each kind (SGR, ECMA-48 §8.3.117): a line that sets and resets
them a thousand times is no longer for it.
Not here: which characters are harmless (`logs.py`).
"""

import re
from typing import NamedTuple

WIDEST = 16_384  # cells; the cursor stops there
_MOVING = re.compile(r"[\r\b]|\x1b\[[0-9;]*[A-Za-ln-z`@]|\x1bc")
# a control sequence, another escape, or a character
_TOKEN = re.compile(
    r"\x1b\[(?P<values>[0-?]*)[ -/]*(?P<final>[@-~])"
    r"|(?P<other>\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?)|(?P<char>.)",
    re.DOTALL,
)
_HOME = re.compile(rb"\r(?!\n|$)|\x1b\[(?:1?G|2?K|1?`|H|1;1H|2J)")


# what each attribute is switched off by, which two of one kind have in common
_OFF = dict.fromkeys(("1", "2"), 22) | {"3": 23, "4": 24, "21": 24, "5": 25, "6": 25, "7": 27, "8": 28, "9": 29}
_OFF |= {str(code): 39 for code in (*range(30, 39), *range(90, 98))}
_OFF |= {str(code): 49 for code in (*range(40, 49), *range(100, 108))} | {"53": 55, "58": 59}
_LONGEST_COLOUR = 24  # characters: `38;2;255;255;255`, with room


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
            line.control(token["final"], token["values"])
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
        self._attributes: dict[int, str] = {}  # those that are on, by what each is switched off by
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

    def control(self, final: str, values: str) -> None:
        first, _, second = values.partition(";")
        number = _number(first)
        if final == "m":
            self._set_colours(values.split(";"))
        elif final in "G`":
            self._at = max(1, number) - 1
        elif final == "C":
            self._at = min(WIDEST, self._at + max(1, number))
        elif final == "D":
            self._at = max(0, self._at - max(1, number))
        elif final in "Hf":
            self._at = max(1, _number(second)) - 1
        else:
            self._take_away(final, number)

    def _set_colours(self, codes: list[str]) -> None:
        while codes and codes[0][:1] not in {"<", "=", ">", "?"}:  # those are no colours, but xterm's own
            code = codes.pop(0).lstrip("0")
            if code in {"38", "48", "58"} and codes:  # a colour by its number, or by red, green and blue
                count = {"5": 2, "2": 4}.get(codes[0].lstrip("0"), 1)
                code, codes = ";".join((code, *codes[:count])), codes[count:]
            off = _OFF.get(re.split("[;:]", code)[0])
            if not code:
                self._attributes.clear()
            elif off is not None and len(code) <= _LONGEST_COLOUR:
                self._attributes.pop(off, None)
                self._attributes[off] = code
            else:
                self._attributes.pop(_number(code), None)
        self._colours = "".join(f"\x1b[{code}m" for code in self._attributes.values())

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


def _number(text: str) -> int:
    """A parameter of a control sequence; 0 for none, no more than it takes to get to the end."""
    return min(int(text[:9]), WIDEST) if re.fullmatch("[0-9]+", text) else 0
