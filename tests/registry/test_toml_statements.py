"""Cutting TOML into statements."""

import re
import tomllib
from itertools import pairwise
from typing import Any

import tomli_w
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from devproxy.registry.toml import statements
from tests.registry.toml_texts import documents

TEXT = '''\
# a comment with = and [brackets]
title = "x = [1] # no"   # a comment

"quoted.key"."b\\u00e9" = 1
[ services . "a]b" ] # a comment with ]
list = [
  1, # a ] in a comment
  "]",
]
text = """
[services.fake]
port = 1
""\\"\\
"""""
raw = \'\'\'
[fake]
\'\'\'\'\'
[[services.web.mount]]
path = '/a#b'
'''


def cut(text: str) -> list[tuple[tuple[str, ...], str]]:
    return [(statement.keys, text[statement.start : statement.end]) for statement in statements(text)]


def test_every_kind_of_statement() -> None:
    tomllib.loads(TEXT)
    assert [keys for keys, _ in cut(TEXT)] == [
        ("title",),
        ("quoted.key", "bé"),
        ("services", "a]b"),
        ("services", "a]b", "list"),
        ("services", "a]b", "text"),
        ("services", "a]b", "raw"),
        ("services", "web", "mount"),
        ("services", "web", "mount", "path"),
    ]
    assert cut(TEXT)[3][1] == 'list = [\n  1, # a ] in a comment\n  "]",\n]\n'
    assert [statement.header for statement in statements(TEXT)] == [0, 0, 1, 0, 0, 0, 1, 0]


def test_the_last_line_needs_no_end() -> None:
    assert cut("a = 1") == [(("a",), "a = 1")]
    assert cut("") == cut("\n\n# x") == []


def test_windows_line_ends() -> None:
    assert cut("[a]\r\nb = [\r\n1]\r\n\r\nc = 2\r\n") == [
        (("a",), "[a]\r\n"),
        (("a", "b"), "b = [\r\n1]\r\n"),
        (("a", "c"), "c = 2\r\n"),
    ]


KEYS = st.text(min_size=1, max_size=8).filter(lambda key: "\x00" not in key)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.integers(-(2**53), 2**53) | st.booleans() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def paths(value: Any, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if isinstance(value, dict):
        return {prefix}.union(*(paths(part, (*prefix, key)) for key, part in value.items()))
    return {prefix}


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4), st.booleans())
def test_whatever_a_writer_makes_of_a_document(document: dict[str, Any], multiline: bool) -> None:
    text = tomli_w.dumps(document, multiline_strings=multiline)
    found = statements(text)
    assert {statement.keys for statement in found} <= paths(document) | set(array_paths(document))
    assert all(first.end <= second.start for first, second in pairwise(found))
    for statement in found:
        if not statement.header:
            tomllib.loads(text[statement.start : statement.end])


def array_paths(value: Any, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths inside arrays of tables, whose indices are no keys."""
    if isinstance(value, dict):
        return [path for key, part in value.items() for path in [(*prefix, key), *array_paths(part, (*prefix, key))]]
    if isinstance(value, list):
        return [path for part in value for path in array_paths(part, prefix)]
    return []


@settings(deadline=None, max_examples=300)
@given(documents())
def test_statements_are_whole_and_nothing_but_comments_lies_between(text: str) -> None:
    try:
        tomllib.loads(text)
    except ValueError:
        assume(False)
    table: tuple[str, ...] = ()
    end = 0
    for statement in statements(text):
        assert re.fullmatch(r"(?:[ \t]*(?:#.*)?\r?\n)*", text[end : statement.start])
        own = text[statement.start : statement.end]
        value: Any = tomllib.loads(own)
        for key in statement.keys if statement.header else statement.keys[len(table) :]:
            value = value[0] if isinstance(value, list) else value
            assert list(value) == [key]
            value = value[key]
        if statement.header:
            assert value in ({}, [{}])
            table = statement.keys
        else:
            assert statement.keys[: len(table)] == table
        end = statement.end
    assert re.fullmatch(r"(?:[ \t]*(?:#.*)?\r?\n)*(?:[ \t]*(?:#.*)?)", text[end:])
