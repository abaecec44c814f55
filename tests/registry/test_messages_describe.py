"""`registry/messages.py`: what the types say about a key."""

from typing import Literal

import msgspec
from msgspec import UNSET

from devproxy.registry import schema
from devproxy.registry.messages import choices, entry_of, is_text, item_of, keys, options, table_of


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
