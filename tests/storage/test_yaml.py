"""YAML: what it is read as, with libyaml and without, and what is refused."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from devproxy.storage.yaml import DEEPEST, LARGEST, MOST_NODES, Value, YamlError, parse_document, parse_yaml

PARSERS = ["libyaml", "python"] if yaml.__with_libyaml__ else ["python"]


@pytest.fixture(params=PARSERS, autouse=True)
def parser(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything below holds for both parsers of PyYAML."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "python":
            patch.delattr(yaml, "CSafeLoader", raising=False)
        yield


def parse(text: str) -> Value:
    return parse_yaml(text, "compose.yaml")


def dumps(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False)


def refused(text: str) -> str:
    with pytest.raises(YamlError) as told:
        parse(text)
    return str(told.value)


COMPOSE = """\
# our services
x-common: &common
  restart: unless-stopped
  environment: {A: 1, "B": 'two'}

services:
  db:
    <<: *common
    image: "postgres:16"   # with a comment
    ports:
      - "127.0.0.1:5432:5432"
      - target: 80
        published: 8080
    command: >
      postgres -c
      log_statement=all
  web:
    build: .
    ports: ['3000:3000', "${PORT:-8000}:80"]
    depends_on: [db]
    environment:
    - URL=http://db:5432/#x
volumes:
  data:
"""


def test_a_compose_file() -> None:
    assert parse(COMPOSE) == {
        "x-common": {"restart": "unless-stopped", "environment": {"A": "1", "B": "two"}},
        "services": {
            "db": {
                "restart": "unless-stopped",
                "environment": {"A": "1", "B": "two"},
                "image": "postgres:16",
                "ports": ["127.0.0.1:5432:5432", {"target": "80", "published": "8080"}],
                "command": "postgres -c log_statement=all\n",
            },
            "web": {
                "build": ".",
                "ports": ["3000:3000", "${PORT:-8000}:80"],
                "depends_on": ["db"],
                "environment": ["URL=http://db:5432/#x"],
            },
        },
        "volumes": {"data": ""},
    }


def test_a_pnpm_workspace() -> None:
    assert parse("packages:\n  - 'apps/*'\n  - \"!**/test/**\"\n") == {"packages": ["apps/*", "!**/test/**"]}


@pytest.mark.parametrize(
    ("text", "value"), [("", ""), ("# nothing\n", ""), ("a:\n", {"a": ""}), ("- \n- b", ["", "b"])]
)
def test_little(text: str, value: Value) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: [b,\n  c]", {"a": ["b", "c"]}),
        ('a: "caf\\u00e9 \\x41\\t\\U0001F600"', {"a": "café A\t😀"}),
        ("a: |\n  one\n    two\n\n  three\n", {"a": "one\n  two\n\nthree\n"}),
        ("a: |-\n    one\n    two\n", {"a": "one\ntwo"}),
        ("a: >+\n  one\n  two\n\nb: c", {"a": "one two\n\n", "b": "c"}),
        ("a: !reset null\nb: !override [c]\nd: !!str 1", {"a": "null", "b": ["c"], "d": "1"}),
        ("%YAML 1.2\n---\na: b\n...\n", {"a": "b"}),
        ("22:22: 1_000\non: yes\n1.50: 0x10\n~: null\n", {"22:22": "1_000", "on": "yes", "1.50": "0x10", "": ""}),
        ("a: ~\nb: '~'\nc: \"\"\nd: Null\n", {"a": "", "b": "~", "c": "", "d": ""}),
        ("'a b': 'it''s'\n? c\n: d", {"a b": "it's", "c": "d"}),
        ("a: &x [b]\nc: *x\nd: &x e\nf: *x", {"a": ["b"], "c": ["b"], "d": "e", "f": "e"}),
        ("- a: b\n  c: d\n-\n  - e\n", [{"a": "b", "c": "d"}, ["e"]]),
    ],
)
def test_what_is_written_in_yaml(text: str, value: Value) -> None:
    assert parse(text) == value


BASE = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\n"


@pytest.mark.parametrize(
    ("merging", "value"),
    [
        ("c: {<<: *a}", {"x": "1", "y": "1"}),
        ("c: {y: 3, <<: *a}", {"x": "1", "y": "3"}),
        ("c: {<<: *a, y: 3}", {"x": "1", "y": "3"}),
        ("c: {<<: [*a, *b]}", {"x": "1", "y": "1", "z": "2"}),
        ("c: {<<: [*b, *a]}", {"x": "1", "y": "2", "z": "2"}),
        ("c: {<<: *b, <<: *a}", {"x": "1", "y": "2", "z": "2"}),
        ("c: {<<: {<<: *a, y: 4}}", {"x": "1", "y": "4"}),
        ("c: {<<: []}", {}),
        ("c: {'<<': *a}", {"<<": {"x": "1", "y": "1"}}),
    ],
)
def test_a_merge_gives_what_is_not_there(merging: str, value: Value) -> None:
    found = parse(BASE + merging)
    assert isinstance(found, dict)
    assert found["c"] == value
    assert found["a"] == {"x": "1", "y": "1"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("\ta: b", "1:1: not YAML"),
        ('a: "b', "1:4: not YAML|2:1: not YAML|1:6: not YAML"),
        ("a:\n    b: c\n  d: e\n", "3:3: not YAML"),
        ("a: [b] c", "1:8: not YAML"),
        ("x: é\na: \x07", "2:4: not YAML: a character that YAML does not allow"),
        ("a: b\nc: '\\'\nd: \"\\ud800\"", r"3:\d: not YAML"),
        ('a: "\\U00110000"', r"1:\d: not YAML"),
        ("web:\n  a: 1\n  b: 2\n  a: 3\n", "4:3: `a` is there twice"),
        ('a: 1\n"\\x61": 2', "2:1: `a` is there twice"),
        ("a: 1\n? [b]\n: c", r"2:\d: a list or a mapping is the key of a value"),
        ("a: *b", r"1:4: `\*b` stands for nothing"),
        ("a: &a [*a]", r"1:8: `\*a` stands for nothing"),
        ("a: &a {<<: *a}", r"1:12: `\*a` stands for nothing"),
        ("a: {<<: b}", "1:9: `<<` takes a mapping"),
        ("a: {<<: [b]}", r"1:\d+: `<<` takes a mapping"),
        ("---\na: b\n---\nc: d\n", "3:1: there are several documents"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(text: str, place: str) -> None:
    said = refused(text)
    assert re.match(f"compose.yaml:(?:{place})", said), said
    assert said.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "".join(" " * depth + "a:\n" for depth in range(500)),
        "a: " + "[" * 5000,
        "a: " + "{b: " * 5000,
        "- " * 5000,
        "? " * 5000,
    ],
    ids=range(5),
)
def test_depth_is_bounded(text: str) -> None:
    assert re.search("nested deeper|maximum nesting depth", refused(text))


def test_nesting_is_allowed_as_deep_as_it_says() -> None:
    parse("[" * DEEPEST + "]" * DEEPEST)
    assert refused("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)) == (
        f"compose.yaml:1:{DEEPEST + 1}: nested deeper than {DEEPEST} levels"
    )


def bomb(opened: str, between: str, closed: str, levels: int) -> str:
    lines = [f"l0: &l0 {opened}{between.format('x', 0)}{closed}"]
    for level in range(1, levels):
        inner = ", ".join(between.format(f"*l{level - 1}", number) for number in range(9))
        lines.append(f"l{level}: &l{level} {opened}{inner}{closed}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb("[", "{0}", "]", 12),
        bomb("{", "k{1}: {0}", "}", 12),
        "base: &base {" + ", ".join(f"k{number}: v" for number in range(3000)) + "}\n"
        "all: [" + ", ".join(f"{{<<: *base, a{number}: b}}" for number in range(3000)) + "]",
        "- a\n" * (MOST_NODES + 1),
        "- &a b\n" + "- *a\n" * MOST_NODES,
    ],
    ids=["lists", "mappings", "merges", "scalars", "aliases"],
)
def test_what_would_be_huge_is_refused(text: str) -> None:
    assert re.match(rf"compose.yaml:\d+:\d+: it stands for more than {MOST_NODES} values", refused(text))


def test_a_file_may_say_a_thing_many_times() -> None:
    found = parse("a: &a {b: c}\nd: [" + "*a, " * 9999 + "*a]")
    assert isinstance(found, dict)
    assert found["d"] == [{"b": "c"}] * 10_000


def test_size_is_bounded() -> None:
    assert parse("#" * LARGEST) == ""
    assert refused("#" * (LARGEST + 1)) == "compose.yaml:1:1: it is larger than any that a person writes"


PIECES = st.lists(
    st.sampled_from(["a", "b", ":", " ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "&a ", "*a", "<<", "'", '"'])
    | st.sampled_from(["!x ", "|\n", ">\n", "#", "?", "---\n", "...\n", "\t", "\\", "%", "\r", "~", "@", "é"]),
    max_size=30,
).map("".join)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.text(max_size=200) | PIECES)
def test_anything_is_read_or_refused_with_a_place_within_the_text(text: str) -> None:
    refusal = None
    try:
        only_text(parse(text))
    except YamlError as error:
        refusal = error
    if refusal is not None:
        assert str(refusal).isprintable()
        file, line, _ = refusal.where.split(":")
        assert file == "compose.yaml"
        assert (
            1 <= int(line) <= len(re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)) + 1
        )  # libyaml: the end is behind the last line


def only_text(value: Value) -> None:
    assert isinstance(value, str | list | dict)
    for part in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ():
        only_text(part)


@pytest.mark.skipif(len(PARSERS) < 2, reason="PyYAML was built without libyaml")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(PIECES)
def test_both_parsers_read_the_same(text: str) -> None:
    found = []
    for name in PARSERS:
        with pytest.MonkeyPatch.context() as patch:
            if name == "python":
                patch.delattr(yaml, "CSafeLoader", raising=False)
            try:
                found.append(parse(text))
            except YamlError:
                assume(False)
    assert found[0] == found[1]


words = st.text("abcxyzé😀09 :#,'\"-", min_size=1, max_size=8)
values = st.recursive(words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(words, values, max_size=4))
def test_flow_collections_read_as_they_were_written(value: dict[str, Value]) -> None:
    if value:
        text = "\n".join(f"{dumps(key)}: {dumps(inner)}" for key, inner in value.items())
        assert parse(text) == value


def _blocks(value: Value, indent: int) -> str:
    pad = " " * indent
    if isinstance(value, dict) and value:
        return "".join(f"\n{pad}{dumps(key)}:{_blocks(inner, indent + 2)}" for key, inner in value.items())
    if isinstance(value, list) and value:
        return "".join(f"\n{pad}-{_blocks(inner, indent + 2)}" for inner in value)
    return f" {dumps(value)}"


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(words, values, max_size=4))
def test_block_collections_read_as_they_were_written(value: dict[str, Value]) -> None:
    if value:
        assert parse(_blocks(value, 0)) == value


def test_a_document_tells_the_places_and_the_tags() -> None:
    text = "a: &x\n  - 1\n  - {b: !reset null}\nc: !override\n  <<: {d: 2}\n  e: *x\n"
    found = parse_document(text, "compose.yaml")
    assert found.value == parse_yaml(text, "compose.yaml")
    assert found.tags == {("a", 1, "b"): "!reset", ("c",): "!override"}
    assert found.place("a", 0) == (2, 5)
    assert found.place("c", "e") == found.place("c", "e", 1, "b") == (6, 6)  # where the alias stands
    assert found.place("nothing") == found.place() == (1, 1)


def test_a_document_tells_where_the_text_of_a_part_stands() -> None:
    """Behind aliases of aliases, merges, merges of merges and lists of them, and what is there itself."""
    text = """\
ports: &ports
  - one
base: &base {a: 1, ports: *ports}
more: &more
  <<: *base
  b: 2
own: {<<: [*more, *base], c: 3}
direct: *more
item: [*base]
"""
    found = parse_document(text, "compose.yaml")
    assert found.written("own", "ports", 0) == (2, 5)
    assert found.written("direct", "ports", 0) == (2, 5)
    assert found.written("item", 0, "a") == found.written("own", "a") == (3, 17)
    assert found.written("own", "b") == found.written("direct", "b") == (6, 6)
    assert found.written("own", "c") == (7, 30)
    assert found.written("own", "nothing") == found.place("own") == (7, 6)
    assert found.written("nothing") == (1, 1)


def test_merges_of_merges_are_looked_at_once() -> None:
    lines = ["l0: &l0 {a: 1}", *[f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 8)}]}}" for n in range(1, 5)]]
    found = parse_document("\n".join(lines), "compose.yaml")
    assert found.written("l4", "a") == (1, 13)
    assert found.written("l4", "b") == (5, 5)


@given(st.text(alphabet="ab:-&*! []{},\n'<", max_size=60))
def test_a_document_is_the_value_with_places_in_it(text: str) -> None:
    try:
        found = parse_document(text, "compose.yaml")
    except YamlError:
        return
    assert found.value == parse_yaml(text, "compose.yaml")
    for path in found.places:
        part: Any = found.value
        for step in path:
            part = part[step]
