"""deno.json, which is JSON with comments."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.detect.deno import parse_jsonc

VALUES = st.recursive(
    st.none() | st.booleans() | st.text('a"\\/*,]} \n', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a/*",', max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=4), st.sampled_from([None, 2]))
def test_json_is_read_as_it_is(value: dict[str, object], indent: int | None) -> None:
    assert parse_jsonc(json.dumps(value, indent=indent)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2, /* x */ ], // y\n}', {"a": [1, 2]}),
        ('// "x"\n{"a": "// b, ]"}', {"a": "// b, ]"}),
        ('{"a": 1 /* never ends', {}),
        ('{"a": "never ends', {}),
        ("[1]", {}),
        ("[" * 100_000, {}),
        ("/*" * 1_000_000, {}),
        ("", {}),
    ],
)
def test_with_comments(text: str, value: object) -> None:
    assert parse_jsonc(text) == value


@given(st.text('{}[]",/*\\ \na:', max_size=60))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(parse_jsonc(text), dict)
