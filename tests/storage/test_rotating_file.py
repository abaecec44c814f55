"""Log files that stay small."""

import stat
import sys
from pathlib import Path

import pytest

from devproxy.storage.rotating_file import RotatedFile


def test_lines_are_added_at_the_end_of_a_private_file(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "log" / "x.log", limit=100, kept=2)
    file.append("a\n")
    file.append("ü\n")
    assert file.path.read_text("utf-8") == "a\nü\n"
    if sys.platform != "win32":
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_past_the_limit_it_is_rotated_and_few_are_kept(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "x.log", limit=4, kept=2)
    for text in ("a\n", "b\n", "c\n", "d\n", "e\n", "f\n", "g\n"):
        file.append(text)
    contents = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert contents == {"x.log": "g\n", "x.log.1": "e\nf\n", "x.log.2": "c\nd\n"}


def test_a_text_larger_than_the_limit_is_kept_whole(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "x.log", limit=4, kept=1)
    file.append("abcdefgh\n")
    file.append("i\n")
    assert file.path.read_text() == "i\n"
    assert (tmp_path / "x.log.1").read_text() == "abcdefgh\n"


def test_a_file_that_was_removed_comes_back(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "x.log", limit=100, kept=1)
    file.append("a\n")
    file.path.unlink()
    file.append("b\n")
    assert file.path.read_text() == "b\n"


def test_a_disk_that_refuses_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "x.log").mkdir()
    with pytest.raises(OSError):
        RotatedFile(tmp_path / "x.log", limit=10**6, kept=1).append("a\n")
