"""What is said about a value of the wrong type, and about a key that does not exist.

How it works: sentences are made of what the types say (`keys.py`) and of the value.
Not here: finding the fault (`validate.py`), the sentences of the parsers (they raise `Wrong`).
"""

import re
from collections.abc import Iterable
from typing import Any, Literal, get_origin

from devproxy.problems import ProblemCode, Wrong
from devproxy.registry.keys import Key, choices, options
from devproxy.text import nearest_word, shown

# what other programs call it
_ALIASES = {
    "cmd": "command",
    "depends": "depends_on",
    "dir": "cwd",
    "domain": "hosts",
    "domains": "hosts",
    "dotenv": "env_file",
    "environment": "env",
    "envfile": "env_file",
    "host": "hosts",
    "hostname": "hosts",
    "hostnames": "hosts",
    "mounts": "mount",
    "script": "command",
    "target": "upstream",
    "timeout": "response_timeout",
    "url": "upstream",
    "workdir": "cwd",
}


def near(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that was probably meant, or None."""
    names = list(known)
    if _ALIASES.get(word) in names:
        return _ALIASES[word]
    return nearest_word(word.replace("-", "_"), names)


def unknown_key(name: str, known: Iterable[str]) -> Wrong:
    """`name` is no key of a table whose keys are `known`."""
    names = list(known)
    meant = near(name, names)
    if meant is not None:
        return Wrong(
            f"unknown key `{shown(name)}`, did you mean `{meant}`?",
            fix=f"rename `{shown(name)}` to `{meant}`",
            code="unknown-key",
        )
    fix = f"remove it; the keys here are {', '.join(names)}"
    return Wrong(f"unknown key `{shown(name)}`", fix=fix, code="unknown-key")


def misfit(label: str, value: Any, key: Key) -> Wrong:
    """`value` is not what `key` wants; `label` is its path in its table, such as `mount[0].path`."""
    kinds, listed = _kinds(key.type), choices(key.type)
    meant = _choice(value, listed) if isinstance(value, str) else None
    why, fix = "", _fix(key, f'"{meant}"' if meant else _right(value, key))
    if value == 0 and key.wants == "a whole number from 1 to 65535":
        why = "port 0 means any free port, and only to a program that listens"
        fix = "leave `port` out, and `devproxy run` allocates one" if key.name == "port" else fix
    code: ProblemCode = "wrong-type"
    if type(value) in kinds:
        code = "out-of-range" if isinstance(value, int) else "bad-value"
    return Wrong(
        f"`{label}` is {_noun(value)}, but must be {key.wants}" + (f"; did you mean `{meant}`?" if meant else ""),
        why=why,
        fix=fix,
        code=code,
    )


def _choice(value: str, listed: Iterable[str]) -> str | None:
    """The one that was probably meant of those that there are: `term` is `SIGTERM`."""
    names = {name.lower(): name for name in listed}
    ends = [name for lower, name in names.items() if len(value) > 2 and lower.endswith(value.lower())]
    meant = near(value.lower(), names)
    return ends[0] if len(ends) == 1 else None if meant is None else names[meant]


def missing(label: str, key: Key) -> Wrong:
    """A key that a table cannot do without is not there."""
    why = key.text[:1].lower() + key.text[1:].removesuffix(".")
    return Wrong(f"`{label}` is missing", why=why, fix=f"add `{key.name} = {key.example}`", code="missing-key")


def not_a_table(label: str, value: Any) -> Wrong:
    """`value` stands where a table of its own should; `label` is its header."""
    name = label.rpartition(".")[2]
    header = f"{label}.NAME" if label == name else label
    is_port = type(value) is int and 0 < value < 65536 and label.startswith("services.")
    return Wrong(
        f"`{shown(name)}` is {_noun(value)}, but must be a table",
        fix=f"write [{shown(header)}]" + (f" and below it `port = {value}`" if is_port else ""),
        code="wrong-type",
    )


def _kinds(kind: Any) -> list[Any]:
    """The Python types that values of a type have."""
    return [str if get_origin(option) is Literal else get_origin(option) or option for option in options(kind)]


def _noun(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() if abs(value) > 10**18:
            return "a number that is far too large"
        case int() | float():
            return f"the number {shown(str(value))}"
        case str():
            return f'the string "{shown(value)}"'
        case list():
            return "a list" if value else "an empty list"
        case dict():
            return "a table" if value else "an empty table"
    return "a date or a time"


def _fix(key: Key, right: str) -> str:
    return f"write `{key.name} = {right}`" if key.name else f"write {right}"


def _right(value: Any, key: Key) -> str:
    """The value as TOML, as it would be right: the one that was given where it can be told what was meant."""
    given = value if isinstance(value, str) and shown(value) == value and not {'"', "\\"} & set(value) else ""
    if type(value) is int and value > 0:
        return _as_string(value, key)
    if given and key.example.startswith("["):
        return f'["{given}"]'
    if re.fullmatch("[1-9][0-9]{0,4}", given) and key.example.isdigit():
        return given
    if given.lower() in ("true", "false", "yes", "no", "on", "off") and key.example == "true":
        return "true" if given.lower() in ("true", "yes", "on") else "false"
    return key.example


def _as_string(value: int, key: Key) -> str:
    if key.wants.startswith("a duration") and value <= 86400:
        return f'"{value}s"'
    if key.wants.startswith("a size") and value >= 1024:
        return f'"{value // 1024}KiB"'
    return f'"{value}"' if key.wants == "a string" and value < 10**12 else key.example
