"""`registry/schema.py`: what an editor marks, devproxy does not take; what devproxy takes, no editor marks."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.problems import Wrong
from devproxy.registry import addresses, hostnames, schema, values
from devproxy.registry.messages import Key, item_of

PARSERS: list[tuple[Any, Callable[[str], object]]] = [
    (schema.Duration, values.duration),
    (schema.Size, values.size),
    (schema.PortRange, values.port_range),
    (schema.Name, hostnames.name),
    (schema.ServiceName, hostnames.service_name),
    (schema.Host, hostnames.host),
    (schema.HostPattern, hostnames.host_pattern),
    (schema.Template, values.host_template),
    (schema.UpstreamAddress, addresses.upstream),
    (schema.Origin, values.origin),
    (schema.MountPath, values.mount_path),
    (schema.ProbePath, values.probe_path),
    (schema.StatusSet, values.status_set),
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
