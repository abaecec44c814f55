"""`registry/messages.py`: sentences about keys and values, and what the types say of one. The rest is in `golden/`."""

import tomllib
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from devproxy.registry import schema
from devproxy.registry.keys import Key, choices, entry_of, is_text, item_of, keys, options, table_of
from devproxy.registry.messages import misfit, near, not_a_table, unknown_key
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


VALUES = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.text(max_size=80), st.lists(st.integers(), max_size=2), st.just({})
)


@settings(deadline=None, max_examples=300)
@given(VALUES, st.sampled_from(ALL))
@example("\\", next(key for key in ALL if key.example.startswith("[")))
def test_any_misfit_is_told_in_printable_words_with_a_fix(value: Any, key: Key) -> None:
    wrong = misfit(key.name, value, key)
    assert (wrong.what + wrong.why + wrong.fix).isprintable()
    assert wrong.what.startswith(f"`{key.name}` is ")
    assert wrong.code in ("wrong-type", "out-of-range", "bad-value")
    if wrong.fix.startswith("write `"):
        tomllib.loads(wrong.fix.removeprefix("write `").removesuffix("`"))


@given(st.text(max_size=80), VALUES)
def test_hostile_names_are_told_in_printable_words(name: str, value: Any) -> None:
    for wrong in (unknown_key(name, SERVICE), not_a_table(f"services.{name}", value)):
        assert (wrong.what + wrong.why + wrong.fix).isprintable()


# What the types say about a key


def test_a_key_says_everything_about_itself() -> None:
    key = keys(schema.ProxyTable)["hold"]
    assert (key.name, key.required, key.default) == ("hold", False, "3s")
    assert key.text == "How long requests wait for a service that restarts."
    assert (key.wants, key.example) == ("a duration such as 500ms, 3s or 2m", '"3s"')
    assert keys(schema.ProxyTable)["http"].default is UNSET
    assert keys(schema.MountTable)["host"].required


def test_an_example_of_its_own_stands_before_that_of_its_kind() -> None:
    assert keys(schema.ProxyTable)["http"].example == "7080"
    assert keys(schema.ServiceTable)["port"].example == "5173"


def test_tables_and_lists_of_tables_are_shown_by_what_they_must_have() -> None:
    service = keys(schema.ServiceTable)
    assert service["health"].example == '{ path = "/healthz" }'
    assert service["mount"].example == '[{ host = "shop.localhost", path = "/api" }]'
    assert (service["health"].wants, service["mount"].wants) == ("a table", "a list of tables")


def test_what_a_type_is_made_of() -> None:
    service = {name: key.type for name, key in keys(schema.ServiceTable).items()}
    assert table_of(service["health"]) is schema.HealthTable
    assert table_of(service["port"]) is None
    item, entry = item_of(service["mount"]), entry_of(service["env"])
    assert item is not None
    assert table_of(item.type) is schema.MountTable
    assert entry is not None
    assert entry.wants == "a string"
    assert item_of(service["cwd"]) is None
    assert is_text(service["cwd"])
    assert is_text(service["command"])
    assert not is_text(service["protocol"])
    assert choices(service["cross_site"]) == ["refuse", "allow"]
    assert options(Literal["a"] | msgspec.UnsetType) == [Literal["a"]]
