"""What the system's errors about files are turned into."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.paths import as_root
from devproxy.storage.system_errors import why_and_fix
from tests import require

DENIED = PermissionError(errno.EACCES, "Permission denied")


@given(code=st.sampled_from(sorted(errno.errorcode)))
def test_every_error_has_a_why_and_a_fix_without_gaps(code: int) -> None:
    why, fix = why_and_fix(OSError(code, os.strerror(code)), Path("/nowhere at all/x"))
    assert why
    assert fix
    assert "{" not in why + fix


@pytest.mark.parametrize("missing", ["x", "a/b/x"])
def test_a_folder_of_ours_that_is_closed_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Root may write in it all the same, unless it has given that right away."""
    require.linux()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    assert why_and_fix(DENIED, tmp_path / missing) == ("permission denied", f"chmod u+rwx {tmp_path}")


def test_a_file_of_ours_gets_no_right_to_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require.linux()
    file = tmp_path / "x"
    file.touch()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != file)
    assert why_and_fix(DENIED, file)[1] == f"chmod u+rw {file}"


def test_what_is_another_users_is_not_just_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require.root()
    os.chown(tmp_path, 4242, -1)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != tmp_path)
    fix = why_and_fix(DENIED, tmp_path / "x")[1]
    assert fix.startswith("it belongs to user 4242: ")
    assert fix.endswith(f": {as_root(f'chown {os.geteuid()} {tmp_path}')}")


def test_where_nothing_is_missing_one_is_told_to_look(tmp_path: Path) -> None:
    assert why_and_fix(DENIED, tmp_path / "x")[1] == f"ls -ld {tmp_path} {tmp_path / 'x'}"
