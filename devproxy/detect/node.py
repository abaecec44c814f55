"""package.json, and the workspaces of npm, yarn, bun (package.json) and pnpm (pnpm-workspace.yaml).

Lives here: which package has a server to start, and with which package manager.
Not here: flags that give it a port (`programs/flags.py` adds them when it is started).
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devproxy.detect.files import json_table, members, text_of
from devproxy.detect.model import Candidate, Seen
from devproxy.storage.yaml import YamlError, parse_yaml

PNPM_FILE = "pnpm-workspace.yaml"
SCRIPTS = ("dev", "start", "serve", "develop")
_MANAGERS = (
    ("pnpm", ("pnpm-lock.yaml", PNPM_FILE)),
    ("yarn", ("yarn.lock",)),
    ("bun", ("bun.lock", "bun.lockb")),
    ("npm", ("package-lock.json",)),
)
_PORT = re.compile(r"(?:--port[= ]|(?<!\S)-p[= ]?|(?<!\S)PORT=)(\d{2,5})(?!\d)")


def look(root: Path) -> Seen:
    """The servers of the package in `root` and of its workspace's members."""
    package = _package(root)
    if package is None:
        return Seen()
    manager = _manager(root, package)
    patterns, remarks = workspace_patterns(package, text_of(root / PNPM_FILE))
    services = list(_services(root, members(root, patterns, "package.json"), manager))
    own = _candidate(root, root, package, manager)
    if own is not None and services:
        remarks.append(f"{own.origin} at the root is left out: the members of the workspace have their own")
    elif own is not None:
        services.append(own)
    name = str(package.get("name") or "")
    return Seen(project=name.rpartition("/")[2], services=tuple(services), remarks=tuple(remarks))


def _services(root: Path, folders: list[Path], manager: str) -> Iterator[Candidate]:
    for folder in folders:
        package = _package(folder)
        candidate = _candidate(root, folder, package, manager) if package is not None else None
        if candidate is not None:
            yield candidate


def _package(folder: Path) -> dict[str, Any] | None:
    return json_table(text_of(folder / "package.json"))


def _candidate(root: Path, folder: Path, package: dict[str, Any], manager: str) -> Candidate | None:
    scripts = package.get("scripts")
    script = next((name for name in SCRIPTS if isinstance(scripts, dict) and scripts.get(name)), None)
    if script is None or not isinstance(scripts, dict):
        return None
    place = folder.relative_to(root).as_posix()
    named = str(package.get("name") or "").rpartition("/")[2]
    port = _PORT.search(str(scripts[script]))
    return Candidate(
        name="web" if folder == root else named or folder.name,
        origin=f"{'' if place == '.' else place + '/'}package.json: scripts.{script}",
        command=f"{manager} run {script}",
        cwd=place,
        port=int(port[1]) if port and 0 < int(port[1]) < 65536 else None,
    )


def _manager(root: Path, package: dict[str, Any]) -> str:
    """What runs the scripts: `packageManager` (Corepack), else whose lock file there is."""
    named = str(package.get("packageManager") or "").partition("@")[0]
    if named in {manager for manager, _ in _MANAGERS}:
        return named
    locks = (manager for manager, files in _MANAGERS if any((root / file).exists() for file in files))
    return next(locks, "npm")


def workspace_patterns(package: dict[str, Any], pnpm: str) -> tuple[list[str], list[str]]:
    """The globs of a workspace's members, by its package.json and the text of its pnpm-workspace.yaml; and remarks."""
    declared = package.get("workspaces")
    listed = declared.get("packages") if isinstance(declared, dict) else declared
    found = [pattern for pattern in listed if isinstance(pattern, str)] if isinstance(listed, list) else []
    try:
        workspace = parse_yaml(pnpm, PNPM_FILE)
    except YamlError as error:
        return found, [f"{error.where}: the file is left out: {error.what}"]
    packages = workspace.get("packages") if isinstance(workspace, dict) else None
    found += [pattern for pattern in packages if isinstance(pattern, str)] if isinstance(packages, list) else []
    return found, []
