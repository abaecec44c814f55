"""TOML text → its data, where each key stands, and where each statement begins and ends; or the one problem with it.

Lives here: `parse` (data and places, or why the text is no TOML), `Places` (key path → line and column), `statements`
(the spans that `edit.py` cuts), and the scanner that finds places and statements in one pass.

tomllib reads the values; no TOML library tells positions, so the scanner is our own. It goes through the text once,
linearly, knows just enough of TOML 1.0 to find every key, table header and array element, and takes more than TOML
allows: whether the text is valid is tomllib's to say. tomllib stops at the first fault, so a file with a syntax error
has one problem.

A path is a tuple of keys, and of indices from 0 for the elements of arrays: ("services", "api", "mount", 0, "path"). A
table stands where the last part of its own header stands, or, without one, where it is first mentioned.

Nesting is limited, since tomllib's time grows with the square of the length of a dotted key, and it recurses into
brackets: the scanner raises TooDeep before a hostile file gets that far, and tomllib must not be given such a text.
"""

import re
import tomllib
from bisect import bisect_left
from typing import Any

import msgspec

from devproxy.problems import Problem

Path = tuple[str | int, ...]

DEEPEST = 64  # keys and indices in a path

_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_SPACE = re.compile(r"[ \t]*+")
_PART = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]++|\\[^\n])*+"|'[^'\n]*+'""")
_PLAIN = re.compile(  # nearly every line of a registry, in one match: [a.b], or key = a short value
    r"""[ \t\r\n]*+(?:\[([A-Za-z0-9_-]++)\.([A-Za-z0-9_-]++)\]"""
    r"""|([A-Za-z0-9_-]++)[ ]*+=[ ]*+(?:"[^"\\\n]*+"|[a-z0-9]++))[ \r]*+(?=\n|\Z)"""
)
_BARE = re.compile(r"[^,\]}#\n]++")

# Compiled once a text has one: every command that reads a registry would wait for it.
_REST = r"[ \t\r]*+(?:#[^\n]*+)?+\n?+"  # what may follow a statement in its line
_STRING = (
    r'''(?s:"""(?:[^"\\]++|\\.|"{1,2}+(?!"))*+""""{0,2}+'''
    r"""|\'\'\'(?:[^']++|'{1,2}+(?!'))*+\'\'\''{0,2}+"""
    r"""|"(?:[^"\\\n]++|\\[^\n])*+"|'[^'\n]*+')"""
)


class TooDeep(ValueError):  # noqa: N818 - says what the text is
    """The text nests deeper than `DEEPEST`, from `offset` on."""

    def __init__(self, offset: int):
        super().__init__(f"nested deeper than {DEEPEST} levels")
        self.offset = offset


class Statement(msgspec.Struct, frozen=True):
    """A header or a key with its value: `text[start:end]`, whole lines with their line ends.

    `keys` is the path from the root, through the header that it stands under, without indices; `header` tells the two
    kinds apart.
    """

    keys: tuple[str, ...]
    start: int
    end: int
    header: bool


class Places:
    """The places of one text. Raises TooDeep when made; never anything else, whatever the text."""

    def __init__(self, text: str):
        self.offsets = _KeyScanner(text).scan().offsets
        self._lines = _LineIndex(text)

    def at(self, path: Path) -> tuple[int, int]:
        """Line and column, from 1, in characters; of the nearest table around it where `path` itself is nowhere."""
        while path:
            offset = self.offsets.get(path)
            if offset is not None:
                return self._lines.place(offset)
            path = path[:-1]
        return 1, 1


def statements(text: str) -> list[Statement]:
    """The statements of `text`, which tomllib accepts, in order; only comments and blank lines lie between them.

    Raises TooDeep.
    """
    found: list[Statement] = []
    _KeyScanner(text, found).scan()
    return found


class _LineIndex:
    """The lines of a text, counted once somebody asks for a place."""

    def __init__(self, text: str):
        self._text = text
        self._ends: list[int] | None = None

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of a character, both from 1."""
        if self._ends is None:
            self._ends = [match.start() for match in re.finditer("\n", self._text)]
        line = bisect_left(self._ends, offset)
        return line + 1, offset - (self._ends[line - 1] if line else -1)


# One pass over the text


class _Stop(Exception):  # noqa: N818 - not an error of ours
    """This is not TOML; what was found until here stands."""


class _KeyScanner:
    """One pass over a text; `offsets` fills up with the place of each path, and `statements`, if given, with spans."""

    def __init__(self, text: str, statements: list[Statement] | None = None):
        self.text = text
        self.position = 0
        self.offsets: dict[Path, int] = {}
        self.tables: dict[Path, int] = {}  # arrays of tables: how many elements so far
        self.statements = statements

    def scan(self) -> "_KeyScanner":
        prefix: Path = ()
        try:
            while True:
                prefix = self.plain(prefix)
                if self.skip(_BLANK) == len(self.text):
                    break
                start = self.position
                if is_header := self.text[start] == "[":
                    path = prefix = self.header()
                else:
                    path = self.pair(prefix)
                if self.statements is not None:
                    self.end_statement(path, start, header=is_header)
        except _Stop:
            pass
        return self

    def plain(self, prefix: Path) -> Path:
        """The plain lines from here on, and the path that the first other line is below."""
        offsets, match_at, text, spans = self.offsets, _PLAIN.match, self.text, self.statements
        while (match := match_at(text, self.position)) is not None:
            table, last, name = match.groups()
            if name is not None:
                path, start = (*prefix, name), match.start(3)
                offsets.setdefault(path, start)
            elif (table,) in self.tables:
                break
            else:
                path = prefix = (table, last)
                start = match.start(1)
                offsets.setdefault((table,), start)
                offsets[prefix] = match.start(2)
            self.position = match.end()
            if spans is not None:
                self.end_statement(path, start, header=name is None)
        return prefix

    def end_statement(self, path: Path, start: int, *, header: bool) -> None:
        """Go to the end of the line, which ends the statement that has something of its first line at `start`."""
        assert self.statements is not None
        keys = tuple(part for part in path if isinstance(part, str))
        begin, end = self.text.rfind("\n", 0, start) + 1, self.skip(re.compile(_REST))
        self.statements.append(Statement(keys, begin, end, header))

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

    def pair(self, prefix: Path) -> Path:
        """`key = value`, the key dotted or not; its path."""
        path = prefix
        for part, offset in self.key():
            path = (*path, part)
            self.offsets.setdefault(path, offset)
            if len(path) > DEEPEST:
                raise TooDeep(offset)
        self.expect("=")
        self.skip(_SPACE)
        self.value(path)
        return path

    def value(self, path: Path) -> None:
        if len(path) > DEEPEST:
            raise TooDeep(self.position)
        if self.text.startswith(('"', "'"), self.position):
            self.skip(re.compile(_STRING))
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
    try:  # escapes in keys are rare, and TOML's own
        return next(iter(tomllib.loads(f"{part} = 0")))
    except ValueError:
        raise _Stop from None


# Syntax: what tomllib says, and the fix

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
        return _too_deep(error.offset, text, file)
    except ValueError as error:  # TOMLDecodeError, and int() of more digits than it takes
        return _syntax(str(error), text, file)


def _syntax(said: str, text: str, file: str) -> Problem:
    match = re.search(_PLACE, said)
    line, column = 1, 1
    if match is None:
        said = "A number has too many digits"
    elif match[1]:
        line, column = int(match[1]), int(match[2])
    else:
        text = text.rstrip("\r\n")
        line, column = _LineIndex(text).place(len(text))
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
    line, column = _LineIndex(text).place(offset)
    return Problem(
        code="too-deep",
        message=f"nested deeper than {DEEPEST} levels",
        file=file,
        line=line,
        column=column,
        why="a registry needs five",
        fix="is it the right file?",
    )
