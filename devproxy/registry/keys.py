"""What the types of `schema.py` say about a key, for people: what is wanted, an example, the default, the meaning.

How it works: a type is taken apart (annotations, unions, lists, tables), and what `schema.py` has annotated is gathered
in a `Key`. Slow, and only needed once something is wrong (`messages.py`) or a document is made (`json_schema.py`):
nothing calls it on the way of a good file.
"""

from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, UnsetType


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
