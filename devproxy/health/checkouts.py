"""Where the checkouts of each project lie on the disk, so that a process can be told from its twin next door.

Lives here: `checkouts`, from the registry and from what git says of linked worktrees.
Not here: what git says of a folder (`registry/worktrees.py`), what follows from it all (`findings.py`). Blocks for a
few file names a project; raises nothing.

Two kinds count: checkouts that are linked beside each other (`shop`, `fix-ui.shop`), and the git worktrees of the same
repository that nobody has linked: a server that was started there by hand has the very port that the file names.
"""

import os
from pathlib import Path

from devproxy.health.findings import Checkouts
from devproxy.paths import PROJECT_FILES
from devproxy.registry import worktrees
from devproxy.registry.model import Project, Registry


def checkouts_by_project(registry: Registry) -> dict[Project, Checkouts]:
    """By project: its own folder and the others'; projects with one checkout are left out."""
    folders = {
        service.project: os.path.realpath(file.parent)
        for service in registry.services
        if service.project and (file := Path(service.source.file)).name in PROJECT_FILES
    }
    found: dict[Project, Checkouts] = {}
    for project, own in folders.items():
        others = {folder: folder for one in worktrees.siblings(Path(own)) if (folder := os.path.realpath(one)) != own}
        beside = ((other, folder) for other, folder in folders.items() if other.base == project.base)
        others |= {folder: str(other) for other, folder in beside if folder != own}
        if others:
            found[project] = Checkouts(own, tuple(sorted(others.items())))
    return found
