"""The documents made from the types of `schema.py`: the JSON Schema for editors, and the annotated example.

Both documents stand in `config/`, and a test holds them equal to what this makes:

    python -m devproxy.registry.json_schema schema > config/registry.schema.json
    python -m devproxy.registry.json_schema toml > config/registry.toml

One schema is for all three files, because an editor cannot tell them apart: whether a table is in the right one is for
`decode.py` to say. JSON Schema draft 7, which taplo reads.
"""

import json
import sys
import textwrap
from typing import Any

import msgspec
from msgspec import UNSET

from devproxy.registry import schema
from devproxy.registry.keys import Key, item_of, keys, table_of

_HEAD = """\
#:schema ./registry.schema.json
# Every setting of devproxy's registry, with its default.
#
# Yours is registry.toml in devproxy's own folder; you need no more of it than you want to change. A line that begins
# with `#` right before a key is one that has no default, or an example. A project's devproxy.toml has the same
# [services.*] tables and, at its top, `project = "shop"`; devproxy.local.toml beside it overrides it key by key.
# Either may have `write_env = ".env.local"` at its top: a file of the project's in which the proxy keeps a marked block
# of variables current, which say where its services are, as `devproxy env` prints them.
# Durations are numbers with ms, s, m or h, sizes with KiB, MiB or GiB.
"""


def json_schema() -> str:
    """The JSON Schema of all three files."""
    files = (schema.UserFile, schema.ProjectFile, schema.LocalFile)
    (_, components) = msgspec.json.schema_components(files, ref_template="#/definitions/{name}")
    definitions: dict[str, Any] = dict(components)
    for table in definitions.values():
        table["description"] = " ".join(table["description"].split())  # lines of a docstring: msgspec's to break or not
    properties: dict[str, Any] = {}
    for file in files:
        properties = definitions.pop(file.__name__)["properties"] | properties
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "devproxy registry",
        "description": "registry.toml, devproxy.toml and devproxy.local.toml of devproxy, format version 1.",
        "type": "object",
        "properties": {name: properties[name] for name in ("project", "write_env", "proxy", "services", "projects")},
        "additionalProperties": False,
        "definitions": definitions,
    }
    properties["proxy"].pop("default", None)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def annotated_toml() -> str:
    """Every setting with its meaning and its default; those that have none, and all services, as comments."""
    parts = [_HEAD, _table("[proxy]", schema.ProxyTable, is_active=True)]
    parts.append(_table("[services.web]", schema.ServiceTable))
    parts.append(_table("[services.web.health]", schema.HealthTable))
    parts.append(_table("[[services.web.mount]]", schema.MountTable))
    parts.append(_table("[projects.shop]", schema.LinkTable))
    return "\n".join(parts)


def _table(header: str, kind: type[msgspec.Struct], *, is_active: bool = False) -> str:
    lines = [*_prose(kind.__doc__ or ""), header if is_active else f"#{header}"]
    for key in keys(kind).values():
        inner = item_of(key.type)
        is_inline = table_of(key.type) is None or key.text  # a table without words has a section of its own
        if is_inline and (inner is None or table_of(inner.type) is None):
            default = _default(key)
            sign = "" if is_active and default is not UNSET else "#"
            value = key.example if default is UNSET else _toml(default)
            lines += ["", *_prose(key.text), f"{sign}{key.name} = {value}"]
    return "\n".join(lines) + "\n"


def _default(key: Key) -> Any:
    """The value in force without the key; a service's is the one of [proxy] where it has none of its own."""
    if key.default is not UNSET or key.name not in keys(schema.ProxyTable):
        return key.default
    return keys(schema.ProxyTable)[key.name].default


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _toml(value: Any) -> str:
    return "{ }" if value == {} else json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write({"schema": json_schema, "toml": annotated_toml}[sys.argv[1]]())
