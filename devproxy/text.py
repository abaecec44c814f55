"""Text for people: safe on a terminal, in a log and on a page; near words; commands to type; addresses; plurals.

Whatever comes from outside (a file, a command line, a request, a process) may hold characters that drive a terminal
(C0 and C1 controls, ECMA-48), that end a line and so pass for another one, that turn the order of what is read around
(Unicode UAX #9), or that nobody sees. All of them are unsafe, by one table, and every place that shows text goes
through one of these functions:

- `safe` is one line, each unsafe character spelt out (`\\x1b`, `\\u202e`); `safe_lines` leaves line ends and tabs;
- `without_unsafe` drops them instead, for what a service prints: there a bell is noise, not news;
- `safe_html` and `safe_json` are the same for pages and for JSON, where an escape does not change the value;
- `safe_bytes` is for bytes whose encoding nobody knows: everything outside printable ASCII is spelt out;
- `shown` is a value inside a sentence: cut, and what only looks like a blank is spelt out as well.

Not here: refusing such a value (`problems.py`), colours (`cli/output.py`, and `run/logs.py` for a service's own).
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import PurePath

LONGEST: Final = 60  # characters of a value that a message repeats

# Each pair is a first and a last character. Controls (Cc), format characters (Cf), line and paragraph separators,
# surrogates (no text at all, Python's sign for a byte that is not UTF-8), and what Unicode calls default ignorable:
# fillers, the grapheme joiner, Mongolian selectors, tags. The selectors U+FE00–FE0F stay: emoji are written with them.
_UNSAFE: Final = (
    *((0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x600, 0x605), (0x61C, 0x61C), (0x6DD, 0x6DD)),
    *((0x70F, 0x70F), (0x890, 0x891), (0x8E2, 0x8E2), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xD800, 0xDFFF), (0xFEFF, 0xFEFF)),
    *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x1343F)),
    *((0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
_EDGES: Final = tuple(edge for first, last in _UNSAFE for edge in (first, last + 1))
_HTML: Final = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;", ord("'"): "&#x27;"}
_BYTES: Final = {code: f"\\x{code:02x}" for code in range(256) if not 0x20 <= code < 0x7F or code in b'"\\'}

_COMPARED: Final = 100  # words that one is compared with closely
_LOOKED_AT: Final = 20_000
_COUNTED, _CLOSE = 500, 8  # what a comparison with an index counts, and the words that it looks at closely
_LIKE_ENOUGH: Final = 0.6  # of 1, as difflib measures it: more than that two words differ


def is_unsafe(char: str) -> bool:
    """Whether a character drives a terminal, breaks or turns a line, or is not seen."""
    return bisect_right(_EDGES, ord(char)) % 2 == 1


def first_unsafe(text: str, allowed: str = "") -> str:
    """The first unsafe character of `text` that is not `allowed`; empty where there is none."""
    if _is_plain(text):
        return ""
    return next((char for char in text if is_unsafe(char) and char not in allowed), "")


def spelt_out(char: str) -> str:
    """`\\x1b`, `\\u202e` or `\\U000e0001`."""
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def safe(text: str) -> str:
    """`text` on one line, each unsafe character spelt out; line ends and tabs are unsafe, too."""
    if _is_plain(text):
        return text
    return "".join(spelt_out(char) if is_unsafe(char) else char for char in text)


def safe_lines(text: str) -> str:
    """`safe`, but for line feeds and tabs: for text that may have several lines."""
    if _is_plain(text):
        return text
    return "".join(spelt_out(char) if is_unsafe(char) and char not in "\n\t" else char for char in text)


def without_unsafe(text: str) -> str:
    """`text` without its unsafe characters; tabs stay."""
    if _is_plain(text):
        return text
    return "".join(char for char in text if char == "\t" or not is_unsafe(char))


def safe_html(text: str) -> str:
    """`text` inside a page, in an element or a quoted attribute; its line feeds and tabs stay."""
    return safe_lines(text).translate(_HTML)


def safe_json(encoded: str) -> str:
    """A JSON text with every unsafe character as JSON's own escape, which leaves its value as it is.

    Surrogates, which JSON cannot carry, become `?`; line feeds and tabs can only stand between values, and stay.
    """
    if _is_plain(encoded):
        return encoded
    return "".join(_in_json(char) if is_unsafe(char) and char not in "\n\t" else char for char in encoded)


def json_text(value: object, *, lines: bool = True) -> str:
    """`value` (anything that msgspec encodes) as JSON that is safe to show, indented or on one line."""
    import msgspec

    try:
        encoded = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # a name of a file that is not UTF-8
        import json

        encoded = json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
    return msgspec.json.format(safe_json(encoded), indent=2) if lines else safe_json(encoded)


def safe_bytes(raw: bytes) -> str:
    """Bytes as printable ASCII: all else, quotation marks and backslashes are spelt out."""
    return raw.decode("latin-1").translate(_BYTES)


def shown(text: str, longest: int = LONGEST) -> str:
    """A value inside a sentence: `safe`, cut, and every character spelt out that only looks like a blank or nothing."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    if cut.isprintable() and not any(map(is_unsafe, cut)):
        return cut
    return "".join(char if char.isprintable() and not is_unsafe(char) else spelt_out(char) for char in cut)


def shown_bytes(raw: bytes, longest: int = 120) -> str:
    """Bytes inside a sentence: in quotation marks, cut."""
    return f"'{safe_bytes(raw[:longest])}'" + ("…" if len(raw) > longest else "")


def _is_plain(text: str) -> bool:
    """Whether `text` is printable ASCII, as nearly all of it is."""
    return text.isascii() and text.isprintable()


def _in_json(char: str) -> str:
    code = ord(char)
    if 0xD800 <= code < 0xE000:
        return "?"
    if code < 0x10000:
        return f"\\u{code:04x}"
    return f"\\u{0xD7C0 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


# Words.


def near_words(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Those of `known`, which are lower-case, that are most like `word`, the nearest first.

    Costs milliseconds, however many and however long they are.
    """
    from difflib import get_close_matches  # on the way to a message only: it is slow to import
    from heapq import nsmallest

    word = word[:64].lower()
    longest = len(word) * (2 / _LIKE_ENOUGH - 1)  # what is longer than that cannot be like enough
    names = list(islice(dict.fromkeys(name for name in known if len(name) <= longest), _LOOKED_AT))
    if len(names) > _COMPARED:
        letters = set(word)
        names = nsmallest(_COMPARED, names, lambda name: len(letters ^ set(name)) + abs(len(name) - len(word)))
    return get_close_matches(word, names, most, _LIKE_ENOUGH)


class WordIndex:
    """Words that others are compared with again and again, as whoever sends requests may have it: one comparison costs
    much the same however many words there are, and however like each other they are.

    By the pairs of letters that a word has. Those that the fewest words have tell most, so they are counted first, and
    of all together no more than `_COUNTED`; only the few words with most of them are looked at closely.
    """

    def __init__(self, words: Iterable[str]):
        self._words = list(islice(dict.fromkeys(words), _LOOKED_AT))
        self._having: dict[str, list[int]] = {}
        for place, word in enumerate(self._words):
            for pair in _letter_pairs(word):
                self._having.setdefault(pair, []).append(place)

    def near(self, word: str, most: int = 3) -> list[str]:
        """As `near_words`."""
        from heapq import nlargest

        word = word[:64].lower()
        counts: dict[int, int] = {}
        left = _COUNTED
        for places in sorted((self._having.get(pair, []) for pair in _letter_pairs(word)), key=len):
            for place in places[:left]:
                counts[place] = counts.get(place, 0) + 1
            left = max(0, left - len(places))
        best = nlargest(_CLOSE, counts, counts.__getitem__)
        return near_words(word, (self._words[place] for place in best), most)


def _letter_pairs(word: str) -> set[str]:
    return {word[place : place + 2] for place in range(min(len(word), 64) - 1)}


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that is most like `word`, None if none is like enough."""
    return next(iter(near_words(word, known, 1)), None)


def did_you_mean(names: Iterable[str]) -> str:
    """``did you mean `web` or `api`?``; empty without names."""
    said = " or ".join(f"`{shown(name)}`" for name in names)
    return f"did you mean {said}?" if said else ""


def plural(count: int, noun: str) -> str:
    """`1 service`, `3 services`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def ports_in_words(http: int | None, https: int | None) -> str:
    """The ports that the proxy has."""
    return f"ports {http} and {https} (https)" if https else f"port {http}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(words) if len(words) < 3 else f"{', '.join(words[:-1])} and {words[-1]}"


# Commands that a person is told to type.


def quote(word: "str | PurePath") -> str:
    """A word as a shell takes it: nothing in it is acted upon. A path is no option, whatever it begins with.

    What is unsafe in it stays here, and is spelt out where the command is shown: that is another word then, which the
    shell acts upon as little.
    """
    import shlex  # on the way to a message only, as what else is imported further down

    text = str(word)
    return shlex.quote(f"./{text}" if text.startswith("-") and not isinstance(word, str) else text)


def devproxy_command(*words: "str | PurePath") -> str:
    """`devproxy link --trust '/my team/devproxy.toml'`: a command of ours, to be pasted into a shell."""
    return " ".join(("devproxy", *map(quote, words)))


# Addresses.


def bracketed(host: str) -> str:
    """A host as it stands before a port: an IPv6 literal in brackets (RFC 3986 §3.2.2), with its zone if it has one."""
    return f"[{host}]" if ":" in host else host


def port_number(text: str) -> int:
    """The port that a text is, 0 where it is none; `int` takes digits of all scripts, and raises for thousands."""
    return int(text) if re.fullmatch("[0-9]{1,5}", text) and int(text) < 65536 else 0


def host_port(host: str, port: int) -> str:
    """`127.0.0.1:80`, `[::1]:80`."""
    return f"{bracketed(host)}:{port}"
