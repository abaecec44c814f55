"""`registry/json_schema.py`: what stands in `config/` is what the types say."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from devproxy.registry import schema
from devproxy.registry.decode import decode_user
from devproxy.registry.json_schema import annotated_toml, json_schema
from devproxy.registry.keys import item_of, keys, table_of
from devproxy.registry.merge import merge
from devproxy.registry.model import ProxySettings

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "config" / "registry.schema.json"
ANNOTATED = ROOT / "config" / "registry.toml"
# Lines that stand for a key, commented out or not; prose has a space after its `#`.
SETTING = re.compile(r"^#?(\[.*\]|[a-z_]+ = .*)$", re.MULTILINE)


def uncommented() -> str:
    """Every line of the annotated registry that stands for a key or a header, as if none were a comment."""
    return "\n".join(SETTING.findall(ANNOTATED.read_text("utf-8"))) + "\n"


def test_the_schema_in_config_is_the_one_of_the_types() -> None:
    assert SCHEMA.read_text("utf-8") == json_schema(), "python -m devproxy.registry.json_schema schema > config/…"


def test_the_annotated_registry_in_config_is_the_one_of_the_types() -> None:
    assert ANNOTATED.read_text("utf-8") == annotated_toml(), "python -m devproxy.registry.json_schema toml > config/…"


def test_the_annotated_registry_changes_nothing() -> None:
    registry = merge(decode_user(ANNOTATED.read_text("utf-8"), str(ANNOTATED)))
    assert registry.problems == ()
    assert registry.settings == ProxySettings()
    assert registry.services == ()


def test_it_shows_every_key_and_every_default() -> None:
    data = tomllib.loads(uncommented())
    shown = {
        schema.ProxyTable: data["proxy"],
        schema.ServiceTable: data["services"]["web"],
        schema.HealthTable: data["services"]["web"]["health"],
        schema.MountTable: data["services"]["web"]["mount"][0],
        schema.LinkTable: data["projects"]["shop"],
    }
    for table, values in shown.items():
        assert set(values) == set(keys(table))
        for key in keys(table).values():
            item = item_of(key.type)
            is_by_example = item is not None and table_of(item.type) is not None
            assert is_by_example or key.default is msgspec.UNSET or values[key.name] == key.default


def test_a_setting_without_a_default_is_a_comment() -> None:
    active = tomllib.loads(ANNOTATED.read_text("utf-8"))["proxy"]
    silent = {key.name for key in keys(schema.ProxyTable).values() if key.default is msgspec.UNSET}
    assert set(keys(schema.ProxyTable)) - set(active) == silent == {"http", "https", "max_connections"}


def test_the_examples_that_it_shows_are_valid() -> None:
    text = re.sub("^(?:upstream|listens) = .*\n", "", uncommented(), flags=re.MULTILINE)  # beside `port` a problem
    assert {one.severity for one in decode_user(text, "/r.toml").problems} <= {
        "warning"
    }  # one does nothing without another


def test_the_schema_knows_every_table_and_refuses_other_keys() -> None:
    document: dict[str, Any] = json.loads(json_schema())
    assert list(document["properties"]) == ["project", "write_env", "proxy", "services", "projects"]
    assert document["additionalProperties"] is False
    for table in (schema.ProxyTable, schema.ServiceTable, schema.HealthTable, schema.MountTable, schema.LinkTable):
        definition = document["definitions"][table.__name__]
        assert set(definition["properties"]) == set(keys(table))
        assert definition["additionalProperties"] is False
        for name, key in definition["properties"].items():
            assert "description" in key or "$ref" in key, name


def test_patterns_of_the_schema_are_ecmascript_too() -> None:
    """What Python's and JavaScript's regular expressions do not share is in none of them."""
    for pattern in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', json_schema()):
        assert not re.search(r"\(\?[^:]|[*+?}]\+|\\[AZzG]", json.loads(pattern))


@pytest.mark.parametrize(("what", "path"), [("schema", SCHEMA), ("toml", ANNOTATED)])
def test_the_command_that_makes_it(what: str, path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "devproxy.registry.json_schema", what],
        cwd=ROOT,
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)},
    )
    assert made.stdout.decode("utf-8").replace("\r\n", "\n") == path.read_text("utf-8")
