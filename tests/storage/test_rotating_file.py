"""Log files that stay small."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devproxy.storage.rotating_file import RotatedFile, older_file


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


def lines(folder: Path) -> list[str]:
    """What the file and its older ones hold, oldest first."""
    files = sorted(folder.glob("x.log*"), key=lambda file: len(file.name), reverse=True)
    return "".join(file.read_text() for file in files).splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be moved there")
def test_it_is_opened_once_and_again_after_a_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    really = os.open

    def counted(path: str, flags: int, mode: int) -> int:
        opened.append(path)
        return really(path, flags, mode)

    monkeypatch.setattr(os, "open", counted)
    file = RotatedFile(tmp_path / "x.log", limit=100, kept=1)
    for number in range(30):
        file.append(f"{number:03}\n")
    assert len(opened) == 2
    assert lines(tmp_path) == [f"{number:03}" for number in range(30)]


def test_a_file_that_was_moved_or_emptied_is_left_to_whoever_did_it(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "x.log", limit=1000, kept=1)
    file.append("a\n")
    file.path.replace(tmp_path / "mine")
    file.append("b\n")
    assert ((tmp_path / "mine").read_text(), file.path.read_text()) == ("a\n", "b\n")
    file.path.write_text("")
    file.append("c\n")
    assert file.path.read_text() == "c\n"
    (tmp_path / "other").write_text("theirs\n")
    (tmp_path / "other").replace(file.path)
    file.append("d\n")
    assert file.path.read_text() == "theirs\nd\n"


def test_a_folder_that_was_removed_comes_back_as_well(tmp_path: Path) -> None:
    file = RotatedFile(tmp_path / "log" / "x.log", limit=1000, kept=1)
    file.append("a\n")
    shutil.rmtree(tmp_path / "log")
    file.append("b\n")
    assert file.path.read_text() == "b\n"


def test_two_writers_of_one_file_lose_nothing_when_either_rotates_it(tmp_path: Path) -> None:
    writers = [RotatedFile(tmp_path / "x.log", limit=40, kept=20) for _ in range(2)]
    for number in range(100):
        writers[number % 2].append(f"{number:03}\n")
    found = [line for at in range(20, -1, -1) for line in _content(older_file(tmp_path / "x.log", at))]
    assert found == [f"{number:03}" for number in range(100)]
    assert not (tmp_path / "x.log.11").exists()


def _content(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_a_large_text_makes_no_empty_file(tmp_path: Path) -> None:
    RotatedFile(tmp_path / "x.log", limit=4, kept=2).append("abcdefgh\n")
    assert [file.name for file in tmp_path.iterdir()] == ["x.log"]


FULL = """
import resource, signal, sys
from pathlib import Path
from devproxy.storage.rotating_file import RotatedFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = RotatedFile(Path(sys.argv[1]), limit=10**6, kept=1)
file.append("first\\n")
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
for text in ("second\\n", "third\\n"):
    try:
        file.append(text)
    except OSError as error:
        print(error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
file.append("fourth\\n")
file.append("fifth\\n")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_disk_that_was_full_in_the_middle_of_a_line_spoils_no_later_one(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    said = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(errno.EFBIG)] * 2
    assert path.read_text() == "first\nse\nfourth\nfifth\n"


OPERATIONS = st.lists(st.sampled_from(["append", "append", "append", "move", "remove", "empty", "close"]), max_size=40)


@settings(deadline=None, max_examples=60)
@given(OPERATIONS, st.integers(1, 40))
def test_whatever_is_done_to_it_the_next_line_is_the_last_of_the_file(operations: list[str], limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = RotatedFile(Path(folder, "x.log"), limit=limit, kept=2)
        for number, operation in enumerate(operations):
            if operation == "append":
                file.append(f"{number}\n")
                assert file.path.read_text().splitlines()[-1] == str(number)
                assert file.path.stat().st_size <= max(limit, 3)
            elif operation == "close":
                file.close()
            elif file.path.exists():
                if operation == "move":
                    file.path.replace(Path(folder, f"moved{number}"))
                elif operation == "remove":
                    file.path.unlink()
                else:
                    file.path.write_text("")
        file.close()
