"""`registry/schema.py`: the types of the files, and that they agree with the types of the registry."""

from typing import Any

import msgspec
import pytest

from devproxy.registry import model, schema
from devproxy.registry.decode import decode_user
from devproxy.registry.merge import merge
from devproxy.registry.messages import keys

TABLES = (schema.ProxyTable, schema.ServiceTable, schema.HealthTable, schema.MountTable, schema.LinkTable)
# keys of a service that stand for another field of the registry, or for a table of their own
RENAMED = {"port": "upstream", "mount": "mounts"}


@pytest.mark.parametrize("table", TABLES)
def test_every_key_says_what_it_means(table: type[msgspec.Struct]) -> None:
    assert table.__doc__
    for key in keys(table).values():
        assert key.text.endswith(".") or key.name == "health", key.name
        assert key.wants
        assert key.example


def test_every_setting_and_every_key_of_a_service_has_its_place_in_the_registry() -> None:
    assert list(keys(schema.ProxyTable)) != []
    assert set(keys(schema.ProxyTable)) == set(model.ProxySettings.__struct_fields__)
    service = {RENAMED.get(name, name) for name in keys(schema.ServiceTable)}
    assert service == set(model.Service.__struct_fields__) - {"id", "name", "project", "source", "trusted", "leased"}
    assert set(keys(schema.HealthTable)) == set(model.Health.__struct_fields__)
    assert set(keys(schema.MountTable)) == set(model.Mount.__struct_fields__)


def toml(defaults: dict[str, Any]) -> str:
    import tomli_w

    return tomli_w.dumps(defaults)


def defaults(table: type[msgspec.Struct]) -> dict[str, Any]:
    return {key.name: key.default for key in keys(table).values() if key.default is not msgspec.UNSET}


def test_the_defaults_that_are_shown_are_the_ones_in_force() -> None:
    written = {
        "proxy": defaults(schema.ProxyTable),
        "services": {"a": defaults(schema.ServiceTable) | {"health": defaults(schema.HealthTable)}},
    }
    absent = merge(decode_user("[services.a]\n", "/r.toml"))
    shown = merge(decode_user(toml(written), "/r.toml"))
    assert shown.problems == ()
    assert shown.settings == absent.settings
    assert msgspec.structs.replace(shown.services[0], source=absent.services[0].source) == absent.services[0]


def test_a_mount_strips_nothing_unless_it_says_so() -> None:
    assert defaults(schema.MountTable) == {"strip": model.Mount("a", "/b").strip}
