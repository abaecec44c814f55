"""`cli/registry_edit.py`: the schema stands beside the file, as this version has it."""

import os
import sys
from pathlib import Path

import pytest

from devproxy.cli.registry_edit import put_schema
from devproxy.errors import DevproxyError
from devproxy.paths import SCHEMA_FILE
from devproxy.registry.edit import SCHEMA_LINE
from devproxy.registry.json_schema import json_schema


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
