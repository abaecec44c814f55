"""Whether a folder is in a linked git worktree, and what its checkout is called.

Lives here: reading what git writes (gitrepository-layout(5), git-worktree(1)), the other checkouts too; no git is run.
Not here: what a label does (`model.py`: Project), which checkouts of a project count (`health/checkouts.py`).

The top of a linked worktree has a file `.git` that names a folder of the main repository, in which `commondir` leads
back to it and `HEAD` says what is checked out. A submodule has such a file too, and no `commondir`: what it lies in
decides.
"""

import contextlib
import os
from itertools import islice
from pathlib import Path

from devproxy.registry.hostnames import RESERVED, slug
from devproxy.storage.files import first_line, manifest_text

LARGEST = 4096  # bytes of a file of git's that are read
MOST = 100  # worktrees that are looked for
_BRANCH = "ref: refs/heads/"


def label(folder: Path) -> str:
    """The branch of the linked worktree that `folder` is in, as one label of a hostname; "" anywhere else.

    Without a branch (a detached HEAD) it is the name of the worktree's folder. Reads files; raises nothing.
    """
    top, own, common = _repository(folder)
    return _label(_line(own / "HEAD"), top) if own != common else ""


def is_without_main(folder: Path) -> bool:
    """Whether `folder` is in a worktree of a bare repository, which has no main checkout beside it. Reads files; raises
    nothing."""
    _, own, common = _repository(folder)
    return own != common and any(_says_bare(common / name) for name in ("config", "config.worktree"))


def siblings(folder: Path) -> list[Path]:
    """What corresponds to `folder` in every other checkout of its git repository. Reads files; raises nothing."""
    top, _, common = _repository(folder)
    tops = [common.parent] if common.name == ".git" else []
    with contextlib.suppress(OSError), os.scandir(common / "worktrees") as marks:
        places = [_line(Path(mark.path, "gitdir")) for mark in islice(marks, MOST)]
        tops += [Path(place).parent for place in places if place]
    here = os.path.realpath(top)
    return [other / folder.relative_to(top) for other in tops if os.path.realpath(other) != here]


def _repository(folder: Path) -> tuple[Path, Path, Path]:
    """The top of the checkout that `folder` is in, git's folder for it, and git's folder that all checkouts share."""
    for top in (folder, *folder.parents):
        mark = top / ".git"
        if os.path.isdir(mark):  # noqa: PTH112  (pathlib raises where a name is too long)
            return top, mark, mark
        kind, _, place = _line(mark).partition(": ")
        if kind == "gitdir" and (shared := _line(top / place / "commondir")):
            return top, top / place, Path(os.path.realpath(top / place / shared))  # links in a circle raise nothing
    return folder, folder, folder


def _label(head: str, top: Path) -> str:
    branch = head.removeprefix(_BRANCH) if head.startswith(_BRANCH) else ""
    found = slug(branch) or slug(top.name) or "worktree"
    return f"{found}-worktree" if found == RESERVED else found


def _says_bare(config: Path) -> bool:
    """Whether a file of git's configuration (git-config(1), "Syntax") has `bare = true` in its section `core`."""
    section, found = "", False
    for line in (manifest_text(config) or "").splitlines():
        text = line.strip().lower()
        if text.startswith("["):
            section = text.partition("]")[0].lstrip("[ ").rstrip()
        elif section == "core":
            key, _, value = (part.strip() for part in text.partition("="))
            found = value in {"true", "yes", "on", "1"} if key == "bare" else found
    return found


def _line(file: Path) -> str:
    return first_line(file, LARGEST)
