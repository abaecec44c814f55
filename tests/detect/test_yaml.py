"""The part of YAML that is read, by what compose files and pnpm workspaces look like."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.detect.yaml import Value, parse

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
                "command": "postgres -c\nlog_statement=all",
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


@pytest.mark.parametrize("text", ["a: [b,\n  c]", "\ta: b", "a: !tag b", 'a: "b', "a:\n    b: c\n  d: e\n", "a: [b] c"])
def test_what_is_not_read_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"line \d+"):
        parse(text)


def test_depth_is_bounded() -> None:
    with pytest.raises(ValueError, match="line"):
        parse("".join(" " * depth + "a:\n" for depth in range(500)))
    with pytest.raises(ValueError, match="line"):
        parse("a: " + "[" * 5000)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_anything_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except ValueError:
        return


words = st.text("abcxyz09 :#,'\"-", min_size=1, max_size=8)
values = st.recursive(words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))


@settings(deadline=None)
@given(st.dictionaries(words, values, max_size=4))
def test_flow_collections_read_as_they_were_written(value: dict[str, Value]) -> None:
    if value:
        text = "\n".join(f"{json.dumps(key)}: {json.dumps(inner)}" for key, inner in value.items())
        assert parse(text) == value


def _blocks(value: Value, indent: int) -> str:
    pad = " " * indent
    if isinstance(value, dict) and value:
        return "".join(f"\n{pad}{json.dumps(key)}:{_blocks(inner, indent + 2)}" for key, inner in value.items())
    if isinstance(value, list) and value:
        return "".join(f"\n{pad}-{_blocks(inner, indent + 2)}" for inner in value)
    return f" {json.dumps(value)}"


@settings(deadline=None)
@given(st.dictionaries(words, values, max_size=4))
def test_block_collections_read_as_they_were_written(value: dict[str, Value]) -> None:
    if value:
        assert parse(_blocks(value, 0)) == value
