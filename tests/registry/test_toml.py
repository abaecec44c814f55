"""`registry/toml.py`: every key that tomllib sees is located, and the text at that place is that key."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.registry.toml import DEEPEST, Path, Places, TooDeep
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
