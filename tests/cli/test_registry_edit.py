"""What counts as a problem that an edit would bring."""

import pytest

from devproxy.cli.registry_edit import change_registry, new_problems
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import SCHEMA_FILE, Paths
from devproxy.problems import Problem
from devproxy.registry.json_schema import json_schema
from tests.cli.command import Home


def problem(message: str, line: int = 1) -> Problem:
    return Problem(code="syntax", message=message, file="/r.toml", line=line)


def test_a_problem_that_only_moved_is_not_new() -> None:
    assert new_problems([problem("a", 1)], [problem("a", 9)]) == []


def test_the_same_words_once_more_are_new() -> None:
    assert new_problems([problem("a", 1)], [problem("a", 1), problem("a", 9)]) == [problem("a", 9)]


def test_one_that_went_is_nothing() -> None:
    assert new_problems([problem("a")], []) == []


def test_an_edit_that_raises_writes_nothing(home: Home) -> None:
    home.write("# mine\n")

    def edit(text: str, registry: object) -> str:
        raise DevproxyError("no")

    with pytest.raises(DevproxyError, match="no"):
        change_registry(Paths(home.folder / "config", home.state), edit)
    assert home.registry.read_text() == "# mine\n"


def test_what_was_typed_wrong_is_wrong_usage(home: Home) -> None:
    with pytest.raises(DevproxyError) as raised:
        change_registry(Paths(home.folder / "config", home.state), lambda text, _: text + "[services.a]\nport = 0\n")
    assert raised.value.exit_code == Exit.USAGE
    assert not home.registry.exists()


def test_whatever_changes_the_registry_puts_its_schema_beside_it(home: Home) -> None:
    schema = home.registry.with_name(SCHEMA_FILE)
    assert home.run("ls").code == 0
    assert not schema.exists()
    assert home.run("add", "web", "5173").code == 0
    assert schema.read_text("utf-8") == json_schema()
    schema.write_text("{}", "utf-8")
    assert home.run("ls").code == 0
    assert schema.read_text("utf-8") == "{}"
    assert home.run("rm", "web").code == 0
    assert schema.read_text("utf-8") == json_schema()


def test_a_schema_that_cannot_be_written_costs_a_note_only(home: Home) -> None:
    home.write("")
    home.registry.with_name(SCHEMA_FILE).mkdir()
    done = home.run("add", "web", "5173")
    assert (done.code, done.out) == (0, "http://web.localhost\n")
    assert f"note: {home.registry.with_name(SCHEMA_FILE)}" in done.err
