"""Characters that must reach nobody's terminal, log or page raw, told by what Unicode says of them."""

import unicodedata

_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# What nobody sees and Unicode counts as a letter, a mark or nothing yet.
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0\U000e0100\U000e01ef\U000e0020"
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e"
HOSTILE = "\x00\x07\x08\r\x1b\x7f\x80\x9b\u2028\u2029\ud800\udcff" + BIDI + ZERO_WIDTH + _FILLERS


def hides(char: str) -> bool:
    """Whether a character drives a terminal, breaks or turns a line, or is not seen."""
    return unicodedata.category(char) in _CATEGORIES or char in _FILLERS


def hidden(text: str, allowed: str = "") -> set[str]:
    """Those of `text`, without the ones that are `allowed`."""
    return {char for char in text if hides(char) and char not in allowed}
