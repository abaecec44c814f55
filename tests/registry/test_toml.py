"""`registry/toml.py`: every key that tomllib sees is located, and the text at that place is that key."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.registry.toml import DEEPEST, Path, Places, TooDeep

BARE = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def as_key(text: str) -> st.SearchStrategy[str]:
    """The spellings of a key."""
    spellings = [quoted(text), '"' + "".join(f"\\U{ord(char):08x}" for char in text) + '"']
    if "'" not in text:
        spellings.append(f"'{text}'")
    if text and all(char.isascii() and (char.isalnum() or char in "_-") for char in text):
        spellings.append(text)
    return st.sampled_from(spellings)


SCALARS = st.one_of(
    st.integers().filter(lambda number: abs(number) < 10**18).map(str),
    st.sampled_from(["true", "1.5e3", "0xff", "1979-05-27 07:32:00", "07:32:00", "-inf", "'a # b'", "'''\n[x]\n'''"]),
    TEXT.map(quoted),
    TEXT.map(lambda text: '"""\n' + quoted(text)[1:-1] + '\\\n  = "" \'\n"""'),
    st.just('""""two quotes at each end"""""'),
    st.just("''''two more''''''"[:-1]),
)
BLANKS = st.sampled_from(["", " ", "\t", "  "])
LINES = st.sampled_from(["\n", "\r\n", "\n\n", " # [not.a] = 'table'\n", "\n# x = 1\n", "\t\n"])
KEYS = st.one_of(BARE, TEXT)


@st.composite
def values(draw: st.DrawFn, depth: int = 0) -> str:
    kind = draw(st.integers(0, 5 if depth < 3 else 3))
    if kind < 4:
        scalar: str = draw(SCALARS)
        return scalar
    if kind == 4:
        items = draw(st.lists(values(depth=depth + 1), max_size=3))
        gap = draw(st.sampled_from([", ", ",", " ,\n  # ] comment\n", ","]))
        tail = draw(st.sampled_from(["", ",", "\n"])) if items else draw(st.sampled_from(["", "\n#]\n"]))
        return "[" + draw(st.sampled_from(["", " ", "\n"])) + gap.join(items) + tail + "]"
    names = draw(st.lists(KEYS, unique=True, max_size=3))
    pairs = [f"{draw(as_key(name))} = {draw(values(depth=depth + 1))}" for name in names]
    return "{" + ", ".join(pairs) + "}"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """TOML texts of every layout; some are refused by tomllib because a key is there twice."""
    text = draw(st.sampled_from(["", "\n", "# comment\n"]))
    for _ in range(draw(st.integers(0, 8))):
        parts = [
            draw(as_key(part))
            for part in draw(st.lists(st.one_of(st.sampled_from("abc"), KEYS), min_size=1, max_size=3))
        ]
        blank = draw(BLANKS)
        key = f"{blank}.{blank}".join(parts)
        kind = draw(st.integers(0, 4))
        if kind == 0:
            text += f"[{blank}{key}{blank}]"
        elif kind == 1:
            text += f"[[{key}]]"
        else:
            text += f"{blank}{key}{blank}={blank}{draw(values())}"
        text += draw(LINES)
    return text


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
    plain = text.replace("\r\n", "\n")
    lines = plain.split("\n")
    for path, value in paths(data):
        assert path in places.offsets, path
        line, column = places.at(path)
        rest = "\n".join(lines[line - 1 :])[column - 1 :]
        assert plain[places.offsets[path] :] == rest
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
