"""`registry/validate.py`: every key that needs a parser has one."""

from typing import get_origin

import msgspec
import pytest

from devproxy.problems import Wrong
from devproxy.registry import schema
from devproxy.registry.messages import Key, is_text, item_of, keys
from devproxy.registry.validate import BLOCKED_PORTS, CHECKS, EACH, browser_port

FREE = {"command", "path"}  # texts that may be anything (the path of a link)


def is_list_of_texts(key: Key) -> bool:
    item = item_of(key.type)
    return item is not None and is_text(item.type)


@pytest.mark.parametrize("table", CHECKS)
def test_every_text_has_a_parser(table: type[msgspec.Struct]) -> None:
    for key in keys(table).values():
        if key.name not in FREE and is_text(key.type):
            assert callable(CHECKS[table].get(key.name)), key.name
        if key.name not in FREE and is_list_of_texts(key):
            assert isinstance(CHECKS[table].get(key.name), EACH), key.name


def test_every_table_is_in_the_list_and_no_parser_is_for_a_key_that_does_not_exist() -> None:
    tables = {table for table in vars(schema).values() if isinstance(table, type) and table.__name__.endswith("Table")}
    assert set(CHECKS) == tables
    for table, checks in CHECKS.items():
        assert set(checks) <= set(keys(table))
        assert all(get_origin(check) is None for check in checks.values())


def test_ports_that_browsers_refuse() -> None:
    assert {1, 22, 25, 6000, 6667, 10080} <= BLOCKED_PORTS
    assert not {80, 443, 3000, 5173, 7080, 7443, 8080, 8443} & BLOCKED_PORTS
    assert len(BLOCKED_PORTS) == 82
    assert browser_port(8080) == 8080
    with pytest.raises(Wrong, match="browsers refuse"):
        browser_port(6000)
