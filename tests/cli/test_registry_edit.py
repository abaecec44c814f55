"""Edits by commands: what counts as a problem that one would bring, and the schema that stands beside the file."""

import os
import sys
from pathlib import Path

import pytest

from devproxy.cli.registry_edit import change_registry, new_problems, put_schema
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import SCHEMA_FILE, Paths
from devproxy.problems import Problem
from devproxy.registry.edit import SCHEMA_LINE
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


# The schema stands beside the file, as this version has it


def test_it_is_where_the_first_line_of_a_file_says(tmp_path: Path) -> None:
    put_schema(tmp_path / "registry.toml")
    named = tmp_path / SCHEMA_LINE.removeprefix("#:schema ").strip()
    assert named.read_text("utf-8") == json_schema()


def test_one_of_another_version_is_replaced_and_the_same_is_left_alone(tmp_path: Path) -> None:
    schema = tmp_path / SCHEMA_FILE
    schema.write_text("{}", "utf-8")
    put_schema(tmp_path / "registry.toml")
    assert schema.read_text("utf-8") == json_schema()
    before = schema.stat()
    put_schema(tmp_path / "registry.toml")
    assert (schema.stat().st_ino, schema.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.skipif(sys.platform == "win32", reason="symlinks")
def test_it_stands_beside_the_link_and_not_beside_the_dotfile(tmp_path: Path) -> None:
    dotfiles, config = tmp_path / "dotfiles", tmp_path / "config"
    dotfiles.mkdir()
    config.mkdir(mode=0o700)
    (dotfiles / "registry.toml").write_text("", "utf-8")
    (config / "registry.toml").symlink_to(dotfiles / "registry.toml")
    put_schema(config / "registry.toml")
    assert (config / SCHEMA_FILE).exists()
    assert not (dotfiles / SCHEMA_FILE).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="modes and symlinks")
def test_a_project_keeps_its_mode_and_its_symlinks_are_not_followed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    put_schema(tmp_path / "devproxy.toml", private=False)
    assert (tmp_path / SCHEMA_FILE).stat().st_mode & 0o777 == 0o666 & ~_umask()
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    mine = tmp_path / "mine"
    mine.write_text("mine", "utf-8")
    (tmp_path / SCHEMA_FILE).unlink()
    (tmp_path / SCHEMA_FILE).symlink_to(mine)
    put_schema(tmp_path / "devproxy.toml", private=False)
    assert mine.read_text("utf-8") == "mine"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_the_disk_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / SCHEMA_FILE).mkdir()
    with pytest.raises(DevproxyError):
        put_schema(tmp_path / "registry.toml")
