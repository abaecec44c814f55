"""Real git repositories for tests: a git that knows nothing of whoever runs the tests."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests import require
from tests.waiting import DEADLINE

_ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_NAME": "a" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "a@example.com" for who in ("AUTHOR", "COMMITTER")},
}


def git(folder: Path, *argv: str) -> None:
    """Run git in a folder; fails the test with what it said."""
    done = subprocess.run(
        ["git", *argv], cwd=folder, env=_ENV, capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 0, done.stderr


def repository(folder: Path, files: Mapping[str, str]) -> Path:
    """A new repository with these files in its first commit, on branch `main`."""
    require.program("git")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def worktree(main: Path, place: Path, branch: str) -> Path:
    """A linked worktree of it, on a new branch."""
    git(main, "worktree", "add", "--quiet", "-b", branch, str(place))
    return place
