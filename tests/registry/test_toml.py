"""`registry/toml.py`: TOML or the one problem that makes it none, where every key stands, and what is a statement."""

import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import tomli_w
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from devproxy.problems import Problem
from devproxy.registry.toml import DEEPEST, Path, Places, TooDeep, parse, statements
from tests.registry.toml_texts import documents, quoted


def paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every path below a value that tomllib made."""
    if path:
        yield path, value
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from paths(inner, (*path, key))


def check(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except ValueError:
        Places(text)  # says nothing, and does not fail
        return
    places = Places(text)
    lines = text.split("\n")
    for path, value in paths(data):
        assert path in places.offsets, path
        line, column = places.at(path)
        rest = "\n".join(lines[line - 1 :])[column - 1 :]
        assert text[places.offsets[path] :] == rest
        last = path[-1]
        names = [part for part in path if isinstance(part, str)]
        if isinstance(last, int) and not rest.startswith(tuple(spelled(names[-1], rest))):
            assert element(rest) == value or value != value  # noqa: PLR0124 - not a number
        elif isinstance(last, str):
            assert rest.startswith(tuple(spelled(last, rest))), (path, rest)


def spelled(key: str, rest: str) -> list[str]:
    """The ways in which `key` may be spelled at the beginning of `rest`."""
    found = [f"'{key}'", quoted(key), *([key] if key else [])]
    match = re.match(r'"(?:[^"\\\n]|\\.)*"', rest)
    if match and list(tomllib.loads(match[0] + "=0")) == [key]:
        found.append(match[0])
    return found


def element(rest: str) -> Any:
    """The value that `rest` begins with."""
    for match in re.finditer(r"(?=[,\]}\n#])|$", rest):
        try:
            return tomllib.loads("x = " + rest[: match.start()])["x"]
        except ValueError:
            continue
    return None


@settings(deadline=None, max_examples=150)
@given(documents())
def test_every_key_that_tomllib_sees_is_located(text: str) -> None:
    check(text)


@settings(deadline=None, max_examples=300)
@given(st.text("ab.=\"'[]{}#\n ,1\\-\t\r", max_size=40))
def test_any_text_is_scanned_without_an_error(text: str) -> None:
    check(text)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60))
def test_any_unicode_is_scanned_without_an_error(text: str) -> None:
    check(text)


TEXT_OF_A_REGISTRY = """\
# comment
[services.web] # the web
port = 5173
hosts = [
  "a.localhost", # one
  'b.localhost',
]
[[services.web.mount]]
host = "x.localhost"
  [[ services . "web" . mount ]]
  path = "/b"
[services.db.health]
path = "/"
[services.db]
port = 1
[services]
env.A.B = { c = 1, "d e" = [ { f = 2 } ] }
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("services",), (16, 2)),
        (("services", "web"), (2, 11)),
        (("services", "web", "port"), (3, 1)),
        (("services", "web", "hosts", 0), (5, 3)),
        (("services", "web", "hosts", 1), (6, 3)),
        (("services", "web", "mount"), (8, 16)),
        (("services", "web", "mount", 0), (8, 16)),
        (("services", "web", "mount", 0, "host"), (9, 1)),
        (("services", "web", "mount", 1), (10, 25)),
        (("services", "web", "mount", 1, "path"), (11, 3)),
        (("services", "db"), (14, 11)),
        (("services", "db", "health", "path"), (13, 1)),
        (("services", "env", "A", "B", "d e", 0, "f"), (17, 32)),
        (("services", "web", "nothing"), (2, 11)),
        (("nothing",), (1, 1)),
    ],
)
def test_places(path: Path, place: tuple[int, int]) -> None:
    assert Places(TEXT_OF_A_REGISTRY).at(path) == place


def test_carriage_returns_do_not_count_as_columns_or_lines() -> None:
    assert Places("\r\n\r\na = 1\r\n  b = 2").at(("b",)) == (4, 3)


@pytest.mark.parametrize(
    "text",
    ["a." * 3_000_00 + "a = 1", "a = " + "[" * 300_000, "a = " + "{a=" * 300_000, "[a" + ".a" * 300_000 + "]"],
    ids=["dotted", "arrays", "tables", "header"],
)
def test_a_text_that_would_keep_tomllib_busy_is_refused(text: str) -> None:
    with pytest.raises(TooDeep):
        Places(text)


def test_nesting_is_allowed_as_deep_as_it_says() -> None:
    levels = DEEPEST
    assert len(Places("a = " + "[" * levels + "]" * levels).offsets) == levels
    with pytest.raises(TooDeep):
        Places("a = " + "[" * (levels + 1) + "]" * (levels + 1))


@pytest.mark.parametrize(
    "text",
    [
        "a = '''" + "'" * 1_000_000,
        'a = "' + "\\n" * 1_000_000,
        "#" * 2_000_000,
        " \n" * 1_000_000,
        '"' * 1_000_000,
        "a = " + "[," * 500_000,
        "a" * 2_000_000,
        "=" * 1_000_000,
        "[" * 1_000_000,
    ],
    ids=range(9),
)
def test_hostile_texts_take_linear_time(text: str) -> None:
    """With a quadratic step each of them would take minutes, and the suite's timeout ends it."""
    try:
        Places(text)
    except TooDeep:
        return


# Cutting TOML into statements


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


def paths_of_statements(value: Any, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if isinstance(value, dict):
        return {prefix}.union(*(paths_of_statements(part, (*prefix, key)) for key, part in value.items()))
    return {prefix}


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.booleans())
def test_whatever_a_writer_makes_of_a_document(document: dict[str, Any], multiline: bool) -> None:
    text = tomli_w.dumps(document, multiline_strings=multiline)
    found = statements(text)
    assert {statement.keys for statement in found} <= paths_of_statements(document) | set(array_paths(document))
    assert all(first.end <= second.start for first, second in pairwise(found))
    for statement in found:
        if not statement.header:
            tomllib.loads(text[statement.start : statement.end])


def array_paths(value: Any, prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths_of_statements inside arrays of tables, whose indices are no keys."""
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


# TOML, or the one problem that makes it none


def test_data_and_places() -> None:
    parsed = parse("a = 1\n", "/r.toml")
    assert not isinstance(parsed, Problem)
    assert parsed[0] == {"a": 1}
    assert parsed[1].at(("a",)) == (1, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[a]\nb = web\n",
            """\
/r.toml:2:5: error: not TOML: invalid value [syntax]
  why: nothing of a file can be used until all of it can be read
  fix: write strings in quotes, as in "web", and true and false in lower case""",
        ),
        (
            "[a.b]\n[a.b]\n",
            """\
/r.toml:2:5: error: not TOML: cannot declare `a.b` twice [syntax]
  why: nothing of a file can be used until all of it can be read
  fix: the table is there twice: put its keys together""",
        ),
        (
            "x = [1\n\n",
            """\
/r.toml:1:7: error: not TOML: unclosed array [syntax]
  why: nothing of a file can be used until all of it can be read
  fix: close it with ]""",
        ),
        (
            "x = " + "9" * 5000,
            """\
/r.toml:1:1: error: not TOML: a number has too many digits [syntax]
  why: nothing of a file can be used until all of it can be read""",
        ),
        (
            "\nx = " + "[" * 100,
            """\
/r.toml:2:69: error: nested deeper than 64 levels [too-deep]
  why: a registry needs five
  fix: is it the right file?""",
        ),
    ],
)
def test_what_is_said(text: str, said: str) -> None:
    problem = parse(text, "/r.toml")
    assert isinstance(problem, Problem)
    assert problem.text() == said


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=60), st.text("[]{}='\"a.1\n\r#,\\\x1b", max_size=40)))
def test_any_text_is_data_or_one_printable_problem_within_the_text(text: str) -> None:
    parsed = parse(text, "/r.toml")
    if isinstance(parsed, Problem):
        assert parsed.text().replace("\n", "").isprintable()
        assert 1 <= parsed.line <= text.count("\n") + 1
