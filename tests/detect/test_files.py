"""`detect/files.py`: what is found below a root, and how far the search goes."""

from pathlib import Path

import pytest

from devproxy.detect.files import members, text_of
from tests.detect.checkout import write

FILES = {
    f"{folder}/package.json": "{}"
    for folder in ("apps/web", "apps/api", "apps/api/test", "packages/ui", "tools", "node_modules/x", ".hidden")
}


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["apps/*"], ["apps/api", "apps/web"]),
        (["./apps/*", "tools/"], ["apps/api", "apps/web", "tools"]),
        (["apps/**"], ["apps/api", "apps/api/test", "apps/web"]),
        (["**", "!**/test", "!packages/*"], ["apps/api", "apps/web", "tools"]),
        (["apps/w?b"], ["apps/web"]),
        (["../*", "/etc/*", "*/../*", ""], []),
        (["*" * 30], []),
        ([], []),
    ],
)
def test_members(tmp_path: Path, patterns: list[str], found: list[str]) -> None:
    root = write(tmp_path, FILES)
    assert [str(folder.relative_to(root)) for folder in members(root, patterns, "package.json")] == found


def test_a_folder_without_the_marker_is_no_member(tmp_path: Path) -> None:
    (tmp_path / "apps" / "docs").mkdir(parents=True)
    assert members(tmp_path, ["apps/*"], "package.json") == []


def test_what_cannot_be_read_is_empty(tmp_path: Path) -> None:
    assert text_of(tmp_path) == ""
    assert text_of(tmp_path / "missing") == ""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert text_of(tmp_path / "binary") == ""
