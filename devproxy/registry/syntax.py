"""TOML text → its data and the places of its keys, or the one problem that makes it no TOML.

Lives here: tomllib, and its errors in words for people.
Not here: what the data means (`decode.py`).

tomllib stops at the first fault, so a file with a syntax error has one problem.
"""

import re
import tomllib
from typing import Any

from devproxy.problems import Problem
from devproxy.registry.toml import DEEPEST, Places, TooDeep

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
