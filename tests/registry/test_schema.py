"""`registry/schema.py`: the types of the files agree with those of the registry, and with what an editor marks."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.problems import Wrong
from devproxy.registry import addresses, hostnames, model, schema, values
from devproxy.registry.decode import decode_user
from devproxy.registry.keys import Key, item_of, keys
from devproxy.registry.merge import merge

TABLES = (
    schema.ProxyTable,
    schema.ServiceTable,
    schema.HealthTable,
    schema.EnvNamesTable,
    schema.MountTable,
    schema.LinkTable,
)
# keys of a service that stand for another field of the registry, or for a table of their own
RENAMED = {"port": "upstream", "mount": "mounts", "address": "listen"}


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
    assert set(keys(schema.EnvNamesTable)) == set(model.EnvNames.__struct_fields__)
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
    assert {one.severity for one in shown.problems} <= {"warning"}  # what is the default does nothing
    assert shown.settings == absent.settings
    assert msgspec.structs.replace(shown.services[0], source=absent.services[0].source) == absent.services[0]


def test_a_mount_strips_nothing_unless_it_says_so() -> None:
    mount = model.Mount("a", "/b")
    assert defaults(schema.MountTable) == {"strip": mount.strip, "strip_rewrite": mount.strip_rewrite}


def test_fields_are_not_edited_unless_a_file_says_so() -> None:
    assert set(keys(schema.HeadersTable)) == set(model.HeaderEdits.__struct_fields__)
    assert {name: tuple(value) for name, value in defaults(schema.HeadersTable).items()} == {
        name: getattr(model.HeaderEdits(), name) for name in model.HeaderEdits.__struct_fields__
    }


# What an editor marks, devproxy does not take; what devproxy takes, no editor marks


PARSERS: list[tuple[Any, Callable[[str], object]]] = [
    (schema.Duration, values.duration),
    (schema.Size, values.size),
    (schema.PortRange, values.port_range),
    (schema.Name, hostnames.name),
    (schema.ServiceName, hostnames.service_name),
    (schema.Host, hostnames.host),
    (schema.HostPattern, hostnames.host_pattern),
    (schema.Template, values.host_template),
    (schema.LoopbackAddress, addresses.upstream),
    (schema.Origin, values.origin),
    (schema.MountPath, values.mount_path),
    (schema.ProbePath, values.probe_path),
    (schema.StatusSet, values.status_set),
    (schema.VariableName, values.variable_name),
    (schema.EnvFileName, values.env_file_path),
]


def pattern_of(kind: Any) -> str:
    for meta in kind.__metadata__:
        if meta.extra_json_schema and "pattern" in meta.extra_json_schema:
            return str(meta.extra_json_schema["pattern"])
    return ""


@pytest.mark.parametrize(("kind", "parse"), PARSERS, ids=[parse.__name__ for _, parse in PARSERS])
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_pattern_accepts_what_the_parser_accepts(
    kind: Any, parse: Callable[[str], object], data: st.DataObject
) -> None:
    alphabet = "aZ09.-*_/:?%{}[]tldservicehttpmsKiB2x,@~ "
    text = data.draw(st.one_of(st.text(alphabet, max_size=12), st.from_regex(pattern_of(kind) or ".+", fullmatch=True)))
    try:
        parse(text)
    except Wrong:
        return
    assert re.search(pattern_of(kind), text)


@pytest.mark.parametrize(("kind", "parse"), PARSERS, ids=[parse.__name__ for _, parse in PARSERS])
def test_the_example_of_a_kind_is_right(kind: Any, parse: Callable[[str], object]) -> None:
    import tomllib

    said = {name: value for meta in kind.__metadata__ for name, value in (meta.extra or {}).items()}
    example = tomllib.loads(f"x = {said['example']}")["x"]
    parse(example)
    assert re.search(pattern_of(kind), example)


def test_every_kind_says_what_it_wants() -> None:
    for name, kind in vars(schema).items():
        if hasattr(kind, "__metadata__"):
            said = {key for meta in kind.__metadata__ for key in (meta.extra or {})}
            assert said == {"wants", "example"}, name
    item = item_of(schema.Hosts)
    assert isinstance(item, Key)
    assert item.wants == "a hostname"
