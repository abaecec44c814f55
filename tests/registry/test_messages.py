"""`registry/messages.py`: sentences about keys and values. The rest of them is in `golden/`."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.registry import schema
from devproxy.registry.messages import Key, keys, misfit, near, nearest, not_a_table, unknown_key
from devproxy.registry.validate import CHECKS

SERVICE = list(keys(schema.ServiceTable))
ALL = [key for table in CHECKS for key in keys(table).values()]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("prot", "port"),
        ("Port", "port"),
        ("host-header", "host_header"),
        ("hostHeader", "host_header"),
        ("host", "hosts"),
        ("url", "upstream"),
        ("environment", "env"),
        ("dependson", "depends_on"),
        ("xyz", None),
        ("", None),
        ("p" * 100_000, None),
    ],
)
def test_what_was_probably_meant(word: str, meant: str | None) -> None:
    assert near(word, SERVICE) == meant


def test_an_alias_counts_only_where_its_key_is() -> None:
    assert near("url", keys(schema.ProxyTable)) is None


def test_the_nearest_of_very_many_is_found_in_bounded_time() -> None:
    assert nearest("web", (f"service-{index}" for index in range(1_000_000))) is None


VALUES = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.text(max_size=80), st.lists(st.integers(), max_size=2), st.just({})
)


@settings(deadline=None, max_examples=300)
@given(VALUES, st.sampled_from(ALL))
def test_any_misfit_is_told_in_printable_words_with_a_fix(value: Any, key: Key) -> None:
    wrong = misfit(key.name, value, key)
    assert (wrong.what + wrong.why + wrong.fix).isprintable()
    assert wrong.what.startswith(f"`{key.name}` is ")
    assert wrong.code in ("wrong-type", "out-of-range", "bad-value")
    if wrong.fix.startswith("write `"):
        tomllib.loads(wrong.fix.removeprefix("write `").removesuffix("`"))


@settings(deadline=None)
@given(st.text(max_size=80), VALUES)
def test_hostile_names_are_told_in_printable_words(name: str, value: Any) -> None:
    for wrong in (unknown_key(name, SERVICE), not_a_table(f"services.{name}", value)):
        assert (wrong.what + wrong.why + wrong.fix).isprintable()
