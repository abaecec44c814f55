"""`registry/validate.py`: one table, fast if it is good, key by key if it is not; the same either way."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.problems import Wrong
from devproxy.registry import schema
from devproxy.registry.toml import Places
from devproxy.registry.validate import MOST, Findings, Tables


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
