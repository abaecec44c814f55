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
from bisect import bisect_left

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
