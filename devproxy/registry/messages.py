"""What is said about a value of the wrong type, and about a key that does not exist.

Lives here: sentences, made of the types and the value.
Not here: finding the fault (`decode.py`), the sentences of the parsers (they raise `Wrong`).
"""

import re
from collections.abc import Iterable
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, UnsetType

from devproxy.problems import ProblemCode, Wrong
from devproxy.text import nearest_word, shown

# What the types of `schema.py` say about a key, for people.
#
# Slow, and only needed once something is wrong or a document is made: nothing calls it on the way of a good file.


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a table. `default` and `example` as they stand in TOML or JSON (`default` UNSET: there is none)."""

    name: str
    type: Any
    required: bool
    text: str = ""
    default: Any = UNSET
    wants: str = "a table"
    example: str = "{ }"


@cache
def keys(table: type[msgspec.Struct]) -> dict[str, Key]:
    """The keys of a table, in the order of its type."""
    fields = msgspec.structs.fields(table)
    return {field.name: _key(field.name, field.type, required=field.required) for field in fields}


def table_of(kind: Any) -> type[msgspec.Struct] | None:
    """The table that a type is."""
    bare = bare_type(kind)
    return bare if isinstance(bare, type) and issubclass(bare, msgspec.Struct) else None


def item_of(kind: Any) -> Key | None:
    """What the elements are, if a type is a list or may be one."""
    for option in options(kind):
        if get_origin(option) is list:
            return _key("", get_args(option)[0], required=True)
    return None


def entry_of(kind: Any) -> Key | None:
    """What the values are, if a type is a table with keys of the writer's choice."""
    bare = bare_type(kind)
    return _key("", get_args(bare)[1], required=True) if get_origin(bare) is dict else None


def is_text(kind: Any) -> bool:
    """Whether a type is a string of any content."""
    return str in options(kind)


def options(kind: Any) -> list[Any]:
    """The types that a value may have, without annotations."""
    bare = bare_type(kind)
    is_union = get_origin(bare) is UnionType or get_origin(bare) is Union
    return [bare_type(part) for part in (get_args(bare) if is_union else (bare,))]


def choices(kind: Any) -> list[str]:
    """The strings that a type lists one by one."""
    return [choice for option in options(kind) if get_origin(option) is Literal for choice in get_args(option)]


def bare_type(kind: Any) -> Any:
    """A type without annotations, and without UnsetType."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif UnsetType in get_args(kind):
            kind = next(part for part in get_args(kind) if part is not UnsetType)
        else:
            return kind


def _key(name: str, kind: Any, *, required: bool) -> Key:
    if UnsetType in get_args(kind):
        kind = next(part for part in get_args(kind) if part is not UnsetType)
    return Key(name=name, type=kind, required=required, **_said(kind))


def _of_table(kind: Any) -> dict[str, Any]:
    """What is wanted where a table is, or a list of tables: one with the keys that it must have, or its first one."""
    table, item = table_of(kind), next((get_args(part)[0] for part in options(kind) if get_origin(part) is list), None)
    if table is not None:
        known = list(keys(table).values())
        needed = [key for key in known if key.required] or known[:1]
        return {"example": "{ " + ", ".join(f"{key.name} = {key.example}" for key in needed) + " }"}
    if item is not None and table_of(item) is not None:
        return {"wants": "a list of tables", "example": f"[{_of_table(item)['example']}]"}
    return {}


def _said(kind: Any) -> dict[str, Any]:
    said = _of_table(kind)
    for meta in getattr(kind, "__metadata__", ()):
        if isinstance(meta, Meta):
            said |= meta.extra or {}
            if "default" in (meta.extra_json_schema or {}):
                said["default"] = (meta.extra_json_schema or {})["default"]
            if meta.description is not None:
                said["text"] = meta.description
    return said


# what other programs call it
_ALIASES = {
    "address": "upstream",
    "cmd": "command",
    "depends": "depends_on",
    "dir": "cwd",
    "domain": "hosts",
    "domains": "hosts",
    "environment": "env",
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
    meant = near(value, listed) if isinstance(value, str) and listed else None
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
