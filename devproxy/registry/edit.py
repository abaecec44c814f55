"""Edits of the registry's text that leave everything else as it is, to the byte.

Lives here: adding, replacing and taking out a service or a link.
Not here: writing files (`storage/files.py`), where statements begin and end (`toml.py`), what may stand in a table
(`schema.py`: callers validate).

The text is edited by span, because a TOML library that rewrites the document moves comments: in tomlkit those above a
table belong to the table before it, and go with it. tomlkit writes the new tables, and edits the inline form
(`services = { … }`), which has no lines of its own. Every edit is read back with tomllib before it is handed out: it
must change exactly what was asked for, or nothing is written.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from devproxy.errors import DevproxyError
from devproxy.paths import SCHEMA_FILE
from devproxy.problems import Problem
from devproxy.registry.toml import Statement, parse, statements
from devproxy.text import did_you_mean, nearest_word

SCHEMA_LINE = f"#:schema ./{SCHEMA_FILE}\n"

EditedTable = Mapping[str, object]

_NOUNS = {"services": "service", "projects": "linked project"}


def add_service(text: str, name: str, table: EditedTable, *, replace: bool = False) -> str:
    """`text` with `[services.<name>]`; raises DevproxyError if there is one already and `replace` is not asked for."""
    return _add(text, "services", name, table, replace)


def remove_service(text: str, name: str) -> str:
    """`text` without the service; raises DevproxyError if there is none of this name."""
    return _remove(text, "services", name)


def link_project(text: str, name: str, path: str, *, replace: bool = False) -> str:
    """`text` with `[projects.<name>] path = …`; the same link again changes nothing. Raises as `add_service`."""
    link = _group(_parse(text), "projects").get(name)
    if isinstance(link, dict) and link.get("path") == path:
        return text
    return _add(text, "projects", name, {"path": path}, replace)


def trust_project(text: str, name: str, digest: str) -> str:
    """`text` with `trust = …` in the link; without it for an empty `digest`. Raises DevproxyError."""
    wanted = _parse(text)
    links = _group(wanted, "projects")
    if links[name].get("trust", "") == digest:
        return text
    table = {key: value for key, value in links[name].items() if key != "trust"} | ({"trust": digest} if digest else {})
    found = statements(text)
    own = next(iter(_runs(found, ("projects", name))), [])
    if _is_inline(found, "projects") or not own or own[0].keys != ("projects", name) or not own[0].header:
        return _add(text, "projects", name, table, replace=True)
    old = [statement for statement in own if statement.keys[-1] == "trust"]
    rest = _cut(text, [old]) if old else text
    place = own[-1].end - (len(text) - len(rest))
    line = f'trust = "{digest}"{_newline(text)}' if digest else ""
    start = "" if rest[:place].endswith("\n") or not line else _newline(text)
    wanted["projects"] = {**links, name: table}
    return _checked(rest[:place] + start + line + rest[place:], wanted)


def unlink_project(text: str, name: str) -> str:
    """`text` without the link; raises DevproxyError if there is none of this name."""
    return _remove(text, "projects", name)


def _add(text: str, group: str, name: str, table: EditedTable, replace: bool) -> str:
    wanted = _parse(text)
    members = _group(wanted, group)
    if name in members and not replace:
        raise DevproxyError(
            f"there is a {_NOUNS[group]} named {name} already",
            why=f"it is {_summary(members[name])}",
            fix="choose another name, or replace it: add --force",
        )
    found = statements(text)
    if _is_inline(found, group):
        new = _inline(text, group, name, table)
    else:
        block = _block(group, name, table).replace("\n", _newline(text))
        runs = _runs(found, (group, name))
        if runs and runs[0][0].header:
            new = _cut(text, runs, block)
        else:
            rest = _cut(text, runs)
            new = _insert(rest, _place(rest, statements(rest), group), block)
    wanted[group] = {**members, name: table}
    return _checked(new, wanted)


def _remove(text: str, group: str, name: str) -> str:
    wanted = _parse(text)
    members = dict(_group(wanted, group))
    if name not in members:
        near = nearest_word(name, members)
        raise DevproxyError(
            f"there is no {_NOUNS[group]} named {name} in the registry",
            why=f"there is {', '.join(sorted(members)[:20])}" if members else f"it has no {_NOUNS[group]}",
            fix=did_you_mean([near]) if near else "see what there is: devproxy ls",
        )
    found = statements(text)
    new = _inline(text, group, name, None) if _is_inline(found, group) else _cut(text, _runs(found, (group, name)))
    del members[name]
    wanted[group] = members
    return _checked(new, wanted)


def _parse(text: str) -> dict[str, Any]:
    parsed = parse(text, "")
    if isinstance(parsed, Problem):
        raise DevproxyError(
            "the registry is not valid TOML, so it cannot be edited safely",
            why=f"line {parsed.line}, column {parsed.column}: {parsed.message}",
            fix="mend it first: devproxy check",
        )
    return parsed[0]


def _group(data: dict[str, Any], group: str) -> dict[str, Any]:
    members = data.get(group, {})
    if not isinstance(members, dict):
        raise DevproxyError(
            f"`{group}` is not a table in the registry", why="a value stands in its place", fix="devproxy check"
        )
    return members


def _summary(table: object) -> str:
    if isinstance(table, dict):
        return ", ".join(f"{key} = {table[key]!r}" for key in ("port", "upstream", "path") if key in table) or "a table"
    return repr(table)


def _checked(new: str, wanted: EditedTable) -> str:
    """`new`, if it says what is `wanted` and nothing else (by repr: a NaN is not equal to itself)."""
    try:
        if _plain(tomllib.loads(new)) == _plain(wanted):
            return new
    except tomllib.TOMLDecodeError:
        pass
    raise DevproxyError(
        "the registry is laid out in a way that devproxy cannot edit safely",
        why="the change would have touched more than was asked for, so nothing was written",
        fix="edit the file by hand",
    )


def _plain(value: object) -> object:
    """Equal for equal documents, whatever the order of keys; empty groups are as good as none."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items() if part != {} or key not in _NOUNS}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return repr(value)


# Spans


def _is_inline(found: list[Statement], group: str) -> bool:
    """Whether the group is one value, `services = { … }`."""
    return any(statement.keys == (group,) and not statement.header for statement in found)


def _cut(text: str, runs: list[list[Statement]], block: str = "") -> str:
    """`text` without the statements of `runs`, and with `block` in the place of the first run."""
    for run in reversed(runs):
        before, after = text[: run[0].start], text[run[-1].end :]
        if block and run is runs[0]:
            return before + block + after
        if not before.strip() or before.endswith(("\n\n", "\n\r\n")):
            after = after.removeprefix("\r\n").removeprefix("\n")
        if not after and before.strip():
            before = before.rstrip("\r\n") + _newline(text)
        text = before + after
    return text


def _runs(found: list[Statement], prefix: tuple[str, str]) -> list[list[Statement]]:
    """The statements below `prefix`, as runs that nothing else interrupts."""
    runs: list[list[Statement]] = []
    inside = False
    for statement in found:
        ours = statement.keys[:2] == prefix
        if ours and inside:
            runs[-1].append(statement)
        elif ours:
            runs.append([statement])
        inside = ours
    return runs


def _place(text: str, found: list[Statement], group: str) -> int:
    """Where a new table of `group` goes: behind the last one, before what belongs to the next; else at the end."""
    table: tuple[str, ...] = ()
    place = len(text)
    for statement in found:
        if statement.header:
            table = statement.keys
        if table[:1] == (group,):
            place = statement.end
    return _behind_comments(text, place)


def _behind_comments(text: str, place: int) -> int:
    """A comment that touches what stands above it, and not a statement below, belongs to what stands above."""
    end = place
    for line in re.findall(r"[^\n]*\n|[^\n]+", text[place:]):  # splitlines() would cut at U+0085 and the like
        if not line.strip():
            return end
        if not line.lstrip().startswith("#"):
            return place
        end += len(line)
    return end


def _insert(text: str, position: int, block: str) -> str:
    newline = _newline(text)
    before, after = text[:position], text[position:]
    if not text.strip():
        before, after = SCHEMA_LINE, ""
    if before.strip():
        before += "" if before.endswith("\n") else newline
        before += "" if before.endswith(("\n\n", "\n\r\n")) else newline
    gap = newline if after and not after.startswith(("\n", "\r\n")) else ""
    return before + block + gap + after


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


# tomlkit


def _block(group: str, name: str, table: EditedTable) -> str:
    import tomlkit

    return tomlkit.dumps({group: {name: _unwrapped(table)}})


def _inline(text: str, group: str, name: str, table: EditedTable | None) -> str:
    """`text` with `services = { … }` changed in place; a `table` of None takes the member out."""
    import tomlkit

    document = tomlkit.parse(text)
    members: Any = document[group]
    if name in members:
        members.remove(name)
    if table is not None:
        members.append(name, _inline_item(table))
    return tomlkit.dumps(document)


def _inline_item(value: object) -> Any:
    """As tomlkit items, with inline tables all the way down: only those fit into an inline table."""
    import tomlkit

    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        for key, part in value.items():
            table.append(key, _inline_item(part))
        return table
    if isinstance(value, list | tuple):
        array = tomlkit.array()
        for part in value:
            array.append(_inline_item(part))
        return array
    return tomlkit.item(value)


def _unwrapped(value: object) -> Any:
    """As dicts and lists: tomlkit takes no other mapping or sequence."""
    if isinstance(value, Mapping):
        return {key: _unwrapped(part) for key, part in value.items()}
    return [_unwrapped(part) for part in value] if isinstance(value, list | tuple) else value
