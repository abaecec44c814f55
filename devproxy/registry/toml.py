"""Where a key stands in a TOML text: key path → line and column.

Lives here: a scanner of our own, because no TOML library tells positions. It goes through the text once, linearly,
knows just enough of TOML 1.0 to find every key, table header and array element, and takes more than TOML allows:
whether the text is valid is tomllib's to say.
Not here: values.

A path is a tuple of keys, and of indices from 0 for the elements of arrays: ("services", "api", "mount", 0, "path"). A
table stands where the last part of its own header stands, or, without one, where it is first mentioned.

Nesting is limited, since tomllib's time grows with the square of the length of a dotted key, and it recurses into
brackets: Places raises TooDeep before a hostile file gets that far, and tomllib must not be given such a text.
"""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from devproxy.problems import Problem

Path = tuple[str | int, ...]

DEEPEST = 64  # keys and indices in a path

_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_SPACE = re.compile(r"[ \t]*+")
_PART = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]++|\\[^\n])*+"|'[^'\n]*+'""")
_STRING = re.compile(
    r'''"""(?:[^"\\]++|\\.|"{1,2}+(?!"))*+""""{0,2}+'''
    r"""|\'\'\'(?:[^']++|'{1,2}+(?!'))*+\'\'\''{0,2}+"""
    r"""|"(?:[^"\\\n]++|\\[^\n])*+"|'[^'\n]*+'""",
    re.DOTALL,
)
_PLAIN = re.compile(  # nearly every line of a registry, in one match: [a.b], or key = a short value
    r"""[ \t\n]*+(?:\[([A-Za-z0-9_-]++)\.([A-Za-z0-9_-]++)\]|([A-Za-z0-9_-]++)[ ]*+=[ ]*+(?:"[^"\\\n]*+"|[a-z0-9]++))"""
    r"""[ ]*+(?=\n|\Z)"""
)
_BARE = re.compile(r"[^,\]}#\n]++")


class TooDeep(ValueError):  # noqa: N818 - says what the text is
    """The text nests deeper than `DEEPEST`, from `offset` on."""

    def __init__(self, offset: int):
        super().__init__(f"nested deeper than {DEEPEST} levels")
        self.offset = offset


class _Stop(Exception):  # noqa: N818 - not an error of ours
    """This is not TOML; what was found until here stands."""


class Places:
    """The places of one text. Raises TooDeep when made; never anything else, whatever the text."""

    def __init__(self, text: str):
        self._text = text.replace("\r\n", "\n")
        self._breaks: list[int] | None = None
        self.offsets = _Scanner(self._text).scan()

    def at(self, path: Path) -> tuple[int, int]:
        """Line and column, from 1, in characters; of the nearest table around it where `path` itself is nowhere."""
        while path:
            offset = self.offsets.get(path)
            if offset is not None:
                return self.of(offset)
            path = path[:-1]
        return 1, 1

    def of(self, offset: int) -> tuple[int, int]:
        """Line and column of a character."""
        if self._breaks is None:
            self._breaks = [match.start() for match in re.finditer("\n", self._text)]
        line = bisect_left(self._breaks, offset)
        return line + 1, offset - (self._breaks[line - 1] if line else -1)


class _Scanner:
    """One pass over a text; `offsets` fills up with the place of each path."""

    def __init__(self, text: str):
        self.text = text
        self.position = 0
        self.offsets: dict[Path, int] = {}
        self.tables: dict[Path, int] = {}  # arrays of tables: how many elements so far

    def scan(self) -> dict[Path, int]:
        prefix: Path = ()
        try:
            while True:
                prefix = self.plain(prefix)
                if self.skip(_BLANK) == len(self.text):
                    break
                if self.text[self.position] == "[":
                    prefix = self.header()
                else:
                    self.pair(prefix)
        except _Stop:
            pass
        return self.offsets

    def plain(self, prefix: Path) -> Path:
        """The plain lines from here on, and the path that the first other line is below."""
        offsets, match_at, text = self.offsets, _PLAIN.match, self.text
        while (match := match_at(text, self.position)) is not None:
            table, last, name = match.groups()
            if name is not None:
                offsets.setdefault((*prefix, name), match.start(3))
            elif (table,) in self.tables:
                break
            else:
                prefix = (table, last)
                offsets.setdefault((table,), match.start(1))
                offsets[prefix] = match.start(2)
            self.position = match.end()
        return prefix

    def skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.position)
        if match is None:
            raise _Stop
        self.position = match.end()
        return self.position

    def take(self, char: str) -> bool:
        if self.text.startswith(char, self.position):
            self.position += len(char)
            return True
        return False

    def expect(self, char: str) -> None:
        if not self.take(char):
            raise _Stop

    def key(self) -> list[tuple[str, int]]:
        """The parts of a dotted key, each with its offset."""
        parts: list[tuple[str, int]] = []
        while True:
            start = self.skip(_SPACE)
            end = self.skip(_PART)
            parts.append((_unquoted(self.text[start:end]), start))
            if len(parts) > DEEPEST:
                raise TooDeep(start)
            self.skip(_SPACE)
            if not self.take("."):
                return parts

    def header(self) -> Path:
        """`[a.b]` or `[[a.b]]`; the path that the keys after it are below."""
        is_array = self.take("[[")
        if not is_array:
            self.expect("[")
        *front, (last, start) = self.key()
        self.expect("]]" if is_array else "]")
        path: Path = ()
        for part, offset in front:
            path = (*path, part)
            self.offsets.setdefault(path, offset)
            if path in self.tables:
                path = (*path, self.tables[path] - 1)
        path = (*path, last)
        if not is_array:
            self.offsets[path] = start
            return path
        count = self.tables.get(path, 0)
        self.tables[path] = count + 1
        self.offsets.setdefault(path, start)
        self.offsets[(*path, count)] = start
        return (*path, count)

    def pair(self, prefix: Path) -> None:
        """`key = value`, the key dotted or not."""
        path = prefix
        for part, offset in self.key():
            path = (*path, part)
            self.offsets.setdefault(path, offset)
            if len(path) > DEEPEST:
                raise TooDeep(offset)
        self.expect("=")
        self.skip(_SPACE)
        self.value(path)

    def value(self, path: Path) -> None:
        if len(path) > DEEPEST:
            raise TooDeep(self.position)
        if self.text.startswith(('"', "'"), self.position):
            self.skip(_STRING)
        elif self.take("["):
            self.array(path)
        elif self.take("{"):
            self.inline_table(path)
        else:
            self.skip(_BARE)

    def array(self, path: Path) -> None:
        index = 0
        self.skip(_BLANK)
        while not self.take("]"):
            self.offsets[(*path, index)] = self.position
            self.value((*path, index))
            index += 1
            self.skip(_BLANK)
            if self.take(","):
                self.skip(_BLANK)
            elif not self.text.startswith("]", self.position):
                raise _Stop

    def inline_table(self, path: Path) -> None:
        self.skip(_BLANK)
        while not self.take("}"):
            self.pair(path)
            self.skip(_BLANK)
            if self.take(","):
                self.skip(_BLANK)
            elif not self.text.startswith("}", self.position):
                raise _Stop


def _unquoted(part: str) -> str:
    if part[0] == "'":
        return part[1:-1]
    if part[0] != '"':
        return part
    if "\\" not in part:
        return part[1:-1]
    import tomllib  # escapes in keys are rare, and TOML's own

    try:
        return next(iter(tomllib.loads(f"{part} = 0")))
    except ValueError:
        raise _Stop from None


# TOML text as its statements: where each table header and each `key = value` begins and ends.


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
_BARE_KEY = re.compile(r"[A-Za-z0-9_.-]+")


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
    if _BARE_KEY.fullmatch(text):
        return tuple(text.split("."))
    keys = []
    value = tomllib.loads(f"{text} = 0")
    while isinstance(value, dict):
        [(key, value)] = value.items()
        keys.append(key)
    return tuple(keys)


# TOML text → its data and the places of its keys, or the one problem that makes it no TOML.
#
# tomllib stops at the first fault, so a file with a syntax error has one problem.


_PLACE = r" \(at (?:line (\d+), column (\d+)|end of document)\)$"
_KEY = r"\('[^()]*'\)|\('[^()]*',\)"  # a key as tomllib prints it: ('a', 'b')

# what to do about what tomllib says, by how its sentence begins
_FIXES = {
    "Invalid value": 'write strings in quotes, as in "web", and true and false in lower case',
    "Invalid statement": "write `key = value`, one a line",
    "Expected '=' after a key": "write `key = value`, one a line",
    "Expected newline or end of document": "write one `key = value` a line, and strings in quotes",
    "Cannot overwrite a value": "the key is there twice: remove one of them",
    "Duplicate inline table key": "the key is there twice: remove one of them",
    "Cannot declare": "the table is there twice: put its keys together",
    "Cannot mutate": "a table in { } is complete: put the key between its braces",
    "Unclosed array": "close it with ]",
    "Unclosed inline table": "close it with }",
    "Expected ']' at the end of a table": "close it with ]",
    "Illegal character '\\n'": "close the string with a quote in the same line",
    "Unterminated string": "close the string with a quote",
    "Unescaped '\\' in a string": "write \\\\, or put the string in single quotes",
}


def parse(text: str, file: str) -> tuple[dict[str, Any], Places] | Problem:
    """The data of a text, and where its keys stand."""
    try:
        places = Places(text)  # first: it refuses what would keep tomllib busy for hours
        return tomllib.loads(text), places
    except TooDeep as error:
        return _too_deep(error.offset, text.replace("\r\n", "\n"), file)
    except ValueError as error:  # TOMLDecodeError, and int() of more digits than it takes
        return _syntax(str(error), text.replace("\r\n", "\n"), file)


def _syntax(said: str, text: str, file: str) -> Problem:
    match = re.search(_PLACE, said)
    line, column = 1, 1
    if match is None:
        said = "A number has too many digits"
    elif match[1]:
        line, column = int(match[1]), int(match[2])
    else:
        line, column = _line_and_column(text.rstrip("\n"), len(text.rstrip("\n")))
    sentence = re.sub(_KEY, _key, said[: match.start()] if match else said)
    return Problem(
        code="syntax",
        message=f"not TOML: {sentence[:1].lower()}{sentence[1:]}",
        file=file,
        line=line,
        column=column,
        why="nothing of a file can be used until all of it can be read",
        fix=next((fix for start, fix in _FIXES.items() if said.startswith(start)), ""),
    )


def _key(match: re.Match[str]) -> str:
    return "`" + ".".join(re.findall("'([^']*)'", match[0])) + "`"


def _too_deep(offset: int, text: str, file: str) -> Problem:
    line, column = _line_and_column(text, offset)
    return Problem(
        code="too-deep",
        message=f"nested deeper than {DEEPEST} levels",
        file=file,
        line=line,
        column=column,
        why="a registry needs five",
        fix="is it the right file?",
    )


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
