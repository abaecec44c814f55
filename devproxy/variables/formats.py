"""Variables as text that another program reads: a shell, a `.env` file, JSON, GitHub Actions. Pure.

How it works: one function a format, which makes the lines of one variable; each quotes so that the reader has exactly
the value again, whatever is in it. Names are those of `names.py`, and need no quotes anywhere.

- `shell`: single quotes keep everything (POSIX.1-2017 XCU §2.2.2); one itself is written between them as `'\\''`.
- `fish`: in single quotes a backslash and a quote are escaped by a backslash.
- `powershell`: a quote is doubled, and four characters of Unicode count as one.
- `dotenv`: bare where every reader takes the value as it is written, shells among them; else in single quotes, in which
  readers expand nothing; in double quotes with escapes where there are quotes or line ends in it.
- `github`: `NAME=value`; a value of several lines stands between two lines that are not in it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from devproxy.text import json_text

FORMATS: Final = ("shell", "dotenv", "json", "fish", "powershell", "github")
SHELLS: Final = ("shell", "fish", "powershell")
_SHELL_BARE = "[A-Za-z0-9_./:@%+,-]*"
_POWERSHELL_QUOTES = "(['\u2018\u2019\u201a\u201b])"
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}


def formatted(values: Mapping[str, str], kind: str) -> str:
    """The text of all of `values` in one of FORMATS; each line has its end."""
    if kind == "json":
        return json_text(dict(values)) + "\n"
    return "".join(f"{line}\n" for name, value in values.items() for line in _LINES[kind](name, value))


def dotenv_lines(values: Mapping[str, str]) -> list[str]:
    """The lines of a `.env` file, one a variable."""
    return [line for name, value in values.items() for line in _dotenv(name, value)]


def _shell(name: str, value: str) -> Iterator[str]:
    quoted = value.replace("'", "'\\''")
    yield f"export {name}='{quoted}'"


def _fish(name: str, value: str) -> Iterator[str]:
    quoted = re.sub(r"([\\'])", r"\\\1", value)
    yield f"set -gx {name} '{quoted}'"


def _powershell(name: str, value: str) -> Iterator[str]:
    quoted = re.sub(_POWERSHELL_QUOTES, r"\1\1", value)
    yield f"$env:{name} = '{quoted}'"


def _dotenv(name: str, value: str) -> Iterator[str]:
    if re.fullmatch(_SHELL_BARE, value):
        yield f"{name}={value}"
    elif re.search(r"['\\\r\n]", value):
        quoted = "".join(_ESCAPES.get(char, char) for char in value)
        yield f'{name}="{quoted}"'
    else:
        yield f"{name}='{value}'"


def _github(name: str, value: str) -> Iterator[str]:
    if not re.search(r"[\r\n]", value):
        yield f"{name}={value}"
        return
    end = "DEVPROXY_END"
    while end in value:
        end += "_"
    yield from (f"{name}<<{end}", value, end)


_LINES: Final[dict[str, Callable[[str, str], Iterator[str]]]] = {
    "shell": _shell,
    "dotenv": _dotenv,
    "fish": _fish,
    "powershell": _powershell,
    "github": _github,
}
