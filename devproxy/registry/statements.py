"""TOML text as its statements: where each table header and each `key = value` begins and ends.

Lives here: cutting valid TOML (v1.0.0) into spans that can be taken out or put in without touching a byte
of the rest. That is why comments and layout survive an edit.
Not here: what is edited (`edit.py`), whether the text is valid (tomllib, before and after each edit).
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # a multi-line string may end in one or two quotes of its own
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|(?P<comment>\#[^\n]*)"
    r"|(?P<open>[\[{])"
    r"|(?P<close>[\]}])"
    r"|(?P<equals>=)"
    r"|(?P<newline>\n)"
    r"|[^\"'#\[\]{}=\n]+",
    re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Statement:
    """A header or a key with its value: `text[start:end]`, whole lines with their line ends.

    `keys` is the path from the root, through the header that it stands under; `header` tells the two kinds apart.
    """

    keys: tuple[str, ...]
    start: int
    end: int
    header: bool


def statements(text: str) -> Iterator[Statement]:
    """The statements of `text`, which tomllib has accepted, in order; comments and blank lines lie between them."""
    table: tuple[str, ...] = ()
    position = 0
    while position < len(text):
        end, equals = _extent(text, position)
        body = text[position : end if equals is None else equals].strip()
        if equals is not None:
            yield Statement((*table, *_keys(body)), position, end, header=False)
        elif body.startswith("["):
            table = _keys(_header(body))
            yield Statement(table, position, end, header=True)
        position = end


def _extent(text: str, position: int) -> tuple[int, int | None]:
    """Where the statement (or blank line, or comment) at `position` ends, and where its first `=` is."""
    depth = 0
    equals: int | None = None
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(f"not TOML at {position}")
        position = token.end()
        kind = token.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth -= 1
        elif kind == "equals" and depth == 0 and equals is None:
            equals = token.start()
        elif kind == "newline" and depth == 0:
            break
    return position, equals


def _header(line: str) -> str:
    """What stands between the brackets of `[a.b]` or `[[a.b]]`, whatever comment follows."""
    inner = line[2:] if line.startswith("[[") else line[1:]
    position = 0
    while (token := _TOKEN.match(inner, position)) and token.lastgroup != "close":
        position = token.end()
    return inner[:position]


def _keys(text: str) -> tuple[str, ...]:
    """The parts of a dotted key."""
    if _BARE.fullmatch(text):
        return tuple(text.split("."))
    keys = []
    value = tomllib.loads(f"{text} = 0")
    while isinstance(value, dict):
        [(key, value)] = value.items()
        keys.append(key)
    return tuple(keys)
