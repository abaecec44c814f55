"""`registry/worktrees.py`: the checkouts of a real git repository."""

from pathlib import Path

import pytest

from devproxy.registry.worktrees import is_without_main, label
from tests.repository import git, repository, worktree


@pytest.fixture
def main(tmp_path: Path) -> Path:
    return repository(tmp_path / "shop", {"web/page": "hello"})


def test_the_main_checkout_and_no_checkout_have_none(main: Path, tmp_path: Path) -> None:
    git(main, "switch", "--quiet", "--create", "other")
    assert label(main) == label(main / "web") == label(tmp_path) == label(tmp_path / "nowhere") == ""


@pytest.mark.parametrize(
    ("branch", "expected"),
    [("fix-ui", "fix-ui"), ("feature/Fix_UI", "feature-fix-ui"), ("devproxy", "devproxy-worktree"), ("日本", "there")],
)
def test_a_linked_worktree_has_that_of_its_branch(main: Path, tmp_path: Path, branch: str, expected: str) -> None:
    worktree(main, tmp_path / "there", branch)
    assert label(tmp_path / "there") == label(tmp_path / "there" / "web") == expected


def test_it_is_a_label_however_long_the_branch(main: Path, tmp_path: Path) -> None:
    worktree(main, tmp_path / "there", "x" * 62 + "/y")
    assert label(tmp_path / "there") == "x" * 62


def test_without_a_branch_it_is_the_name_of_the_folder(main: Path, tmp_path: Path) -> None:
    git(main, "worktree", "add", "--quiet", "--detach", str(tmp_path / "Old one"))
    assert label(tmp_path / "Old one") == "old-one"


def test_inside_the_main_checkout_and_with_relative_paths(main: Path) -> None:
    worktree(main, main / ".trees" / "fix", "fix")
    mark = main / ".trees" / "fix" / ".git"
    assert label(mark.parent) == "fix"
    mark.write_text("gitdir: ../../.git/worktrees/fix\n")  # worktree.useRelativePaths
    assert label(mark.parent) == "fix"


def test_a_submodule_is_part_of_what_it_lies_in(main: Path, tmp_path: Path) -> None:
    worktree(main, tmp_path / "fix", "fix")
    for top in (main, tmp_path / "fix"):
        git(top, "-c", "protocol.file.allow=always", "submodule", "add", "--quiet", "--force", str(main), "part")
    assert label(main / "part") == ""
    assert label(tmp_path / "fix" / "part") == "fix"


@pytest.mark.parametrize("text", ["", "gitdir: \n", "gitdir: nowhere\n", "nonsense", "gitdir: /dev/zero\n", "\0"])
def test_what_git_did_not_write_is_no_worktree(tmp_path: Path, text: str) -> None:
    (tmp_path / ".git").write_text(text)
    assert label(tmp_path) == ""


def test_a_worktree_of_a_bare_repository_is_without_a_main_checkout(main: Path, tmp_path: Path) -> None:
    assert not is_without_main(worktree(main, tmp_path / "fix", "fix"))
    assert not is_without_main(main)
    for name in ("shop.git", "shop/.git"):  # a folder of its own, or `.git` in the folder that holds the worktrees
        bare = tmp_path / "clones" / name
        git(tmp_path, "clone", "--quiet", "--bare", str(main), str(bare))
        there = worktree(bare, bare.parent / f"there-{len(name)}", "there")
        assert is_without_main(there)
        assert is_without_main(there / "web")


@pytest.mark.parametrize(
    ("config", "bare"),
    [
        ("[core]\n\tbare = true\n", True),
        ("[ Core ]\nBARE=Yes", True),
        ("[core]\nbare = true\nbare = false\n", False),
        ('[core "x"]\nbare = true\n', False),
        ("[other]\nbare = true\n", False),
        ("[core]\n# bare = true\n", False),
        ("\0\xff[core", False),
    ],
)
def test_what_git_is_told_about_it(main: Path, tmp_path: Path, config: str, bare: bool) -> None:
    there = worktree(main, tmp_path / "fix", "fix")
    (main / ".git" / "config").write_text(config, "latin-1")
    assert is_without_main(there) is bare
