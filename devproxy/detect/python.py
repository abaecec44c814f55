"""pyproject.toml with uv's workspaces, manage.py, and the web frameworks that a project depends on.

Lives here: which folder has a server to start, and with which program.
Not here: importing or running any of it.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devproxy.detect.files import members, text_of, toml_table
from devproxy.detect.model import Candidate, Seen

# by the distribution that a project depends on: the files its server looks for, and the command
_FRAMEWORKS = (
    ("fastapi", ("main.py", "app.py", "api.py", "app/main.py"), "fastapi dev {file} --port {{port}}"),
    ("flask", ("app.py", "wsgi.py"), "flask run --port {{port}}"),
    ("streamlit", ("streamlit_app.py", "app.py"), "streamlit run {file} --server.port {{port}}"),
)
_DISTRIBUTION = re.compile(r"[A-Za-z0-9._-]+")


def look(root: Path) -> Seen:
    """The servers of the project in `root` and of its workspace's members."""
    project = _pyproject(root)
    workspace = _table(_table(_table(project, "tool"), "uv"), "workspace")
    patterns = [*_strings(workspace, "members"), *("!" + glob for glob in _strings(workspace, "exclude"))]
    folders = [root, *members(root, patterns, "pyproject.toml")]
    runner = _runner(root, project)
    return Seen(project=str(_table(project, "project").get("name") or ""), services=tuple(_all(root, folders, runner)))


def _all(root: Path, folders: list[Path], runner: str) -> Iterator[Candidate]:
    for folder in folders:
        project = _pyproject(folder) if folder != root else _pyproject(root)
        found = _server(folder, project)
        if found is None:
            continue
        file, command = found
        place = folder.relative_to(root).as_posix()
        named = str(_table(project, "project").get("name") or folder.name)
        yield Candidate(
            name="web" if folder == root else named,
            origin=f"{'' if place == '.' else place + '/'}{file}",
            command=runner + command,
            cwd=place,
        )


def _server(folder: Path, project: dict[str, Any]) -> tuple[str, str] | None:
    """The file that is served, and the command that serves it."""
    if (folder / "manage.py").is_file():
        return "manage.py", "python manage.py runserver 127.0.0.1:{port}"
    needed = _dependencies(folder, project)
    for distribution, files, command in _FRAMEWORKS:
        file = next((file for file in files if (folder / file).is_file()), None)
        if distribution in needed and file is not None:
            return file, command.format(file=file)
    return None


def _dependencies(folder: Path, project: dict[str, Any]) -> set[str]:
    listed = _strings(_table(project, "project"), "dependencies")
    listed += [str(name) for name in _table(_table(_table(project, "tool"), "poetry"), "dependencies")]
    listed += text_of(folder / "requirements.txt").splitlines()
    return {match[0].lower() for line in listed if (match := _DISTRIBUTION.match(line.strip()))}


def _runner(root: Path, project: dict[str, Any]) -> str:
    """What runs a program of the project's environment."""
    tool = _table(project, "tool")
    if (root / "uv.lock").exists() or "uv" in tool:
        return "uv run "
    return "poetry run " if (root / "poetry.lock").exists() or "poetry" in tool else ""


def _pyproject(folder: Path) -> dict[str, Any]:
    return toml_table(text_of(folder / "pyproject.toml"))


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key)
    return value if isinstance(value, dict) else {}


def _strings(table: dict[str, Any], key: str) -> list[str]:
    value = table.get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
