"""The workspaces of npm, yarn, bun (package.json) and pnpm (pnpm-workspace.yaml): the globs of their members.

Not here: what fits a glob (`globs.py`), which folders there are (`files.py`).
"""

from typing import Any

from devproxy.storage.yaml import YamlError, parse_yaml

PNPM_FILE = "pnpm-workspace.yaml"


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
