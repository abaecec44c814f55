"""`registry/validate.py`: one table, fast if it is good, key by key if it is not; and every key has its parser."""

from typing import Any, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.problems import Wrong
from devproxy.registry import schema
from devproxy.registry.keys import Key, is_text, item_of, keys
from devproxy.registry.toml import Places
from devproxy.registry.validate import CHECKS, EACH, EITHER, MOST, Findings, Tables, browser_port


def read(data: dict[str, Any], *, suspect: bool = False, lenient: bool = False) -> tuple[Any, list[str]]:
    findings = Findings("/r.toml", Places(""))
    table = Tables(findings, suspect=suspect).read(schema.ServiceTable, data, ("services", "a"), lenient=lenient)
    return table, [problem.code for problem in findings.in_order()]


def test_a_good_table() -> None:
    assert read({"port": 1}) == (schema.ServiceTable(port=1), [])


def test_a_table_with_an_error_is_left_out_and_leniently_only_the_key_is() -> None:
    data = {"port": 1, "hold": "x"}
    assert read(data) == (None, ["bad-value"])
    assert read(data, lenient=True) == (schema.ServiceTable(port=1), ["bad-value"])


def test_one_bad_element_costs_its_list() -> None:
    assert read({"hosts": ["a.localhost", "b c"], "port": 1}, lenient=True) == (
        schema.ServiceTable(port=1),
        ["bad-host"],
    )


def test_a_variable_with_an_escape_in_its_name_drives_no_terminal() -> None:
    findings = Findings("/r.toml", Places(""))
    Tables(findings, suspect=True).read(schema.ServiceTable, {"env": {"\x1b[2J": 0}}, ("services", "a"))
    texts = [problem.text() for problem in findings.in_order()]
    assert len(texts) == 2  # the character, and the number that should be a string
    assert all(r"\x1b[2J" in text and text.replace("\n", "").isprintable() for text in texts)


GOOD = st.fixed_dictionaries(
    {},
    optional={
        "port": st.integers(1, 65535),
        "hosts": st.lists(st.sampled_from(["a.localhost", "*.b.localhost"]), max_size=3),
        "hold": st.sampled_from(["3s", "0s"]),
        "cross_site": st.sampled_from(["refuse", ["https://a.example"], []]),
        "command": st.sampled_from(["a", ["a", "b"]]),
        "env": st.sampled_from([{}, {"A": ""}, {"A": "1", "B": "{port}"}]),
        "mount": st.lists(st.just({"host": "a.localhost", "path": "/a", "strip": True}), max_size=2),
        "health": st.sampled_from([{}, {"path": "/", "timeout": "1s"}]),
        "upstream": st.just("http://localhost:1"),
    },
)


@settings(deadline=None, max_examples=200)
@given(GOOD)
def test_the_slow_way_finds_nothing_in_a_good_table_either(data: dict[str, Any]) -> None:
    findings = Findings("/r.toml", Places(""))
    tables = Tables(findings, suspect=False)
    assert tables._examine(schema.ServiceTable, data, (), "") == data
    assert findings.in_order() == ()
    assert read(data) == (msgspec.convert(data, schema.ServiceTable), [])


def test_problems_stand_in_the_order_of_the_file_and_warnings_are_no_errors() -> None:
    findings = Findings("/r.toml", Places("a = 1\nb = 2\n"))
    findings.wrong(("b",), Wrong("second"), severity="warning")
    findings.wrong(("a",), Wrong("first"))
    assert [problem.message for problem in findings.in_order()] == ["first", "second"]
    assert findings.errors == 1


def test_further_problems_are_counted() -> None:
    findings = Findings("/r.toml", Places(""))
    for _ in range(MOST + 7):
        findings.wrong((), Wrong("x"))
    assert findings.full
    assert findings.in_order()[-1].message == "there are 7 more problems like these"


# Every key that needs a parser has one


FREE = {"command", "path"}  # texts that may be anything (the path of a link)


def is_list_of_texts(key: Key) -> bool:
    item = item_of(key.type)
    return item is not None and is_text(item.type)


@pytest.mark.parametrize("table", CHECKS)
def test_every_text_has_a_parser(table: type[msgspec.Struct]) -> None:
    for key in keys(table).values():
        if key.name not in FREE and is_text(key.type):
            check = CHECKS[table].get(key.name)
            assert callable(check) or isinstance(check, EITHER), key.name
        if key.name not in FREE and is_list_of_texts(key):
            assert isinstance(CHECKS[table].get(key.name), EACH), key.name


def test_every_table_is_in_the_list_and_no_parser_is_for_a_key_that_does_not_exist() -> None:
    tables = {table for table in vars(schema).values() if isinstance(table, type) and table.__name__.endswith("Table")}
    assert set(CHECKS) == tables
    for table, checks in CHECKS.items():
        assert set(checks) <= set(keys(table))
        assert all(get_origin(check) is None for check in checks.values())


def test_ports_that_browsers_refuse() -> None:
    for port in (1, 22, 25, 6000, 6667, 10080):
        with pytest.raises(Wrong, match="browsers refuse"):
            browser_port(port)
    for port in (80, 443, 3000, 5173, 7080, 7443, 8080, 8443):
        assert browser_port(port) == port
