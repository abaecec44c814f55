"""As much of YAML 1.2 as compose files and pnpm-workspace.yaml are written in.

Lives here: block and flow collections, plain and quoted scalars, block scalars, comments, anchors with `<<` merges.
Not here: tags, complex keys, several documents, flow collections over several lines: those raise ValueError.
Every scalar is a string, as written: whoever reads a port reads it from text. A file of a cloned repository may say
anything: what is read is bounded in depth, and an alias is a reference, so nothing grows beyond the file's own size.
"""

import re
from typing import NamedTuple

Value = str | list["Value"] | dict[str, "Value"]

DEEPEST = 50
LONGEST = 4000  # characters a line: some patterns are quadratic in it
_KEY = re.compile(
    r"""(?P<key>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'\[\]{}#&*!|>%@`,-][^#]*?|-[^\s#][^#]*?)\s*:(?:\s+|$)"""
)
_COMMENT = re.compile(r"""(?:^|\s)#.*$""")
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*\'""")
_ANCHOR = re.compile(r"&(\S+)(?:\s+|$)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


class _Line(NamedTuple):
    number: int
    indent: int
    text: str


def parse(text: str) -> Value:
    """The document as strings, lists and dicts; an empty one is "". Raises ValueError that names the line."""
    return _Document(text).value()


class _Document:
    def __init__(self, text: str):
        self._lines = list(_lines(text))
        self._at = 0
        self._anchors: dict[str, Value] = {}

    def value(self) -> Value:
        value = self._block(-1, 0)
        if self._at < len(self._lines):
            raise _unread(self._lines[self._at])
        return value

    def _peek(self) -> _Line | None:
        while self._at < len(self._lines) and not self._lines[self._at].text:
            self._at += 1
        return self._lines[self._at] if self._at < len(self._lines) else None

    def _block(self, parent: int, depth: int) -> Value:
        """The collection whose lines stand deeper than `parent`; "" if there are none."""
        line = self._peek()
        if line is None or line.indent <= parent:
            return ""
        if depth > DEEPEST:
            raise _unread(line)
        if line.text == "-" or line.text.startswith("- "):
            return self._sequence(line.indent, depth)
        if _KEY.match(line.text):
            return self._mapping(line.indent, depth)
        self._at += 1
        return self._scalar(line.text, line)

    def _sequence(self, indent: int, depth: int) -> Value:
        items: list[Value] = []
        while (line := self._peek()) and line.indent == indent and (line.text == "-" or line.text.startswith("- ")):
            rest = line.text[1:].lstrip()
            if rest and (_KEY.match(rest) or rest.startswith("- ")):
                # `- a: 1` is a mapping that begins behind the dash
                inner = indent + len(line.text) - len(rest)
                self._lines[self._at] = _Line(line.number, inner, rest)
                items.append(self._block(indent, depth + 1))
            else:
                self._at += 1
                items.append(self._after(rest, line, indent, depth))
        return items

    def _mapping(self, indent: int, depth: int) -> Value:
        found: dict[str, Value] = {}
        while (line := self._peek()) and line.indent == indent and (match := _KEY.match(line.text)):
            self._at += 1
            rest = line.text[match.end() :]
            key = str(self._scalar(match["key"], line))
            # a sequence may stand as deep as its key
            below = self._peek()
            same = not rest and below is not None and below.indent == indent and below.text.startswith("-")
            value = self._after(rest, line, indent - 1 if same else indent, depth)
            if key == "<<":
                for merged in value if isinstance(value, list) else [value]:
                    found = (merged if isinstance(merged, dict) else {}) | found
            else:
                found[key] = value
        return found

    def _after(self, rest: str, line: _Line, indent: int, depth: int) -> Value:
        """The value behind a key or a dash: on the same line, or as a block below."""
        anchor = _ANCHOR.match(rest)
        if anchor:
            rest = rest[anchor.end() :]
        if rest[:1] in {"|", ">"}:
            value: Value = self._text(indent)
        else:
            value = self._scalar(rest, line) if rest else self._block(indent, depth + 1)
        if anchor:
            self._anchors[anchor[1]] = value
        return value

    def _text(self, indent: int) -> str:
        taken = []
        while self._at < len(self._lines) and (not self._lines[self._at].text or self._lines[self._at].indent > indent):
            taken.append(self._lines[self._at].text)
            self._at += 1
        return "\n".join(taken)

    def _scalar(self, text: str, line: _Line) -> Value:
        if text.startswith("*"):
            return self._anchors.get(text[1:].strip(), "")
        if text.startswith(("[", "{")):
            return _Flow(text, line).value()
        return _plain(text, line)


class _Flow:
    """`[a, {b: c}]` on one line."""

    _TOKEN = re.compile(_QUOTED.pattern + r"|[\[\]{},]|:(?=\s|$)|[^\[\]{},:\s](?:[^\[\]{},:]|:(?!\s|$))*")

    def __init__(self, text: str, line: _Line):
        self._tokens: list[str] = [token.strip() for token in self._TOKEN.findall(text)][::-1]
        self._line = line

    def value(self) -> Value:
        value = self._next(0)
        if self._tokens:
            raise _unread(self._line)
        return value

    def _next(self, depth: int) -> Value:
        part = self._take()
        if depth > DEEPEST or part in {"]", "}", ",", ":"}:
            raise _unread(self._line)
        if part == "[":
            items: list[Value] = []
            while not self._ends("]"):
                items.append(self._next(depth + 1))
                self._comma("]")
            return items
        if part == "{":
            found: dict[str, Value] = {}
            while not self._ends("}"):
                key = str(self._next(depth + 1))
                if self._tokens[-1:] == [":"]:
                    self._tokens.pop()
                    found[key] = self._next(depth + 1) if self._tokens[-1:] not in ([","], ["}"]) else ""
                else:
                    found[key] = ""
                self._comma("}")
            return found
        return _plain(part, self._line)

    def _take(self) -> str:
        if not self._tokens:
            raise _unread(self._line)  # it goes on on the next line
        return self._tokens.pop()

    def _ends(self, bracket: str) -> bool:
        if self._tokens[-1:] == [bracket]:
            self._tokens.pop()
            return True
        return False

    def _comma(self, bracket: str) -> None:
        if self._tokens[-1:] != [bracket] and self._take() != ",":
            raise _unread(self._line)


def _lines(text: str) -> "list[_Line]":
    lines = []
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        body = raw.lstrip(" ")
        if len(raw) > LONGEST:
            raise ValueError(f"line {number} is longer than any that a person writes")
        content = _uncommented(body).rstrip()
        if content.startswith("\t"):
            raise ValueError(f"line {number}: a tab cannot indent in YAML")
        if content in {"---", "..."}:
            content = ""
        lines.append(_Line(number, len(raw) - len(body), content))
    return lines


def _uncommented(text: str) -> str:
    """`text` without a comment; a `#` in quotes is none."""
    bare = _QUOTED.sub(lambda found: "x" * len(found[0]), text)
    comment = _COMMENT.search(bare)
    return text[: comment.start()] if comment else text


def _plain(text: str, line: _Line) -> str:
    if text[:1] == '"' and text[-1:] == '"' and len(text) > 1:
        return re.sub(r"\\(.)", _unescaped, text[1:-1])
    if text[:1] == "'" and text[-1:] == "'" and len(text) > 1:
        return text[1:-1].replace("''", "'")
    if text[:1] in {'"', "'", "%", "@", "`", "!"}:
        raise _unread(line)
    return "" if text in {"~", "null"} else text


def _unescaped(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[1]) or str(found[1])


def _unread(line: _Line) -> ValueError:
    return ValueError(f"line {line.number} is more of YAML than is read here")
