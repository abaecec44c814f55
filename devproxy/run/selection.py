"""Which service a person means by `devproxy run` in a folder, with a name or without.

How it works: the first of these that gives a name: the argument, the project file, `package.json`, `pyproject.toml`,
the folder. A project file counts from the folder it stands in downwards, linked or not: it only tells names here.
Not here: what is then started (`launch.py`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from devproxy.detect.files import json_table, toml_table
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import PROJECT_FILE, PROJECT_FILES, local_file, nearest_project
from devproxy.problems import Wrong
from devproxy.registry import hostnames, worktrees
from devproxy.registry.decode import decode_local, decode_project
from devproxy.registry.layers import beside, own_name
from devproxy.registry.model import Project, Registry, Service, parse_id, service_id
from devproxy.storage.files import manifest_text
from devproxy.text import devproxy_command


class SelectedService(msgspec.Struct, frozen=True, kw_only=True):
    """A service's name and project; `service` where the registry has it; `origin` says where the name comes from.

    `project_file` is the `devproxy.toml` that was found in or above the folder, whether it is linked or not.
    """

    name: str
    project: Project | None = None
    service: Service | None = None
    project_file: Path | None = None
    origin: str

    @property
    def id(self) -> str:
        return service_id(self.name, self.project)


class _NearbyProject(msgspec.Struct, frozen=True):
    """What a project file says: the project, as it is linked or would be, and the folder (absolute) of each service."""

    file: Path
    project: Project
    folders: dict[str, Path]


def select_service(
    argument: str | None, folder: Path, registry: Registry, *, has_command: bool = True
) -> SelectedService:
    """The service that `devproxy run [argument]` in `folder` means. Reads files. Raises DevproxyError.

    Without a command of its own it can only mean one that the registry has: in a linked project those are listed.
    """
    folder = folder.resolve()
    project = _project_above(folder, registry)
    if argument is not None:
        return _by_argument(argument, project, registry)
    if project is not None and (own := _service_here(project, folder)):
        return _selected(own, project, registry, PROJECT_FILE)
    for name, origin in _suggestions(folder):
        if name and name != hostnames.RESERVED:
            found = _selected(name, project, registry, origin)
            if found.service is None and not has_command:
                _refuse_to_choose(found, registry)
            return found
    raise DevproxyError(
        "nothing here gives the service a name",
        why=f"neither {PROJECT_FILE}, package.json nor pyproject.toml does, and the folder's name cannot be used",
        fix="devproxy run NAME -- COMMAND",
        exit_code=Exit.USAGE,
    )


def _refuse_to_choose(found: SelectedService, registry: Registry) -> None:
    """List what the project has to run, if it is linked."""
    own = [one for one in registry.services if one.project == found.project and one.command]
    if found.project is None or not own:
        return
    raise DevproxyError(
        f"this is no service's folder: say which service of `{found.project}` to run",
        why="devproxy run takes the service whose folder it is called in, unless it is given a name",
        fix="\n".join(("one of:", *(devproxy_command("run", one.name) for one in own))),
        exit_code=Exit.USAGE,
    )


def _by_argument(argument: str, near: _NearbyProject | None, registry: Registry) -> SelectedService:
    """`web` is the project's own before any other's, `web.shop` says whose it is."""
    try:
        name, project = parse_id(argument.lower())
    except Wrong as wrong:
        raise DevproxyError(f"`{argument}`: {wrong.what}", why=wrong.why, fix=wrong.fix, exit_code=Exit.USAGE) from None
    if project is not None:
        file = near.file if near is not None and near.project == project else None
        service = _find(registry, service_id(name, project))
        return SelectedService(name=name, project=project, service=service, project_file=file, origin="argument")
    if near is not None:
        return _selected(name, near, registry, "argument")
    known = _find(registry, name) or _find_only(registry, name)
    return SelectedService(name=name, project=known.project if known else None, service=known, origin="argument")


def _selected(name: str, near: _NearbyProject | None, registry: Registry, origin: str) -> SelectedService:
    if near is None:
        return SelectedService(name=name, service=_find(registry, name), origin=origin)
    service = _find(registry, service_id(name, near.project))
    return SelectedService(name=name, project=near.project, service=service, project_file=near.file, origin=origin)


def _find(registry: Registry, identity: str) -> Service | None:
    return next((service for service in registry.services if service.id == identity), None)


def _find_only(registry: Registry, name: str) -> Service | None:
    found = [service for service in registry.services if service.name == name]
    return found[0] if len(found) == 1 else None


def _service_here(project: _NearbyProject, folder: Path) -> str | None:
    """The service whose folder this is, or the deepest one around it; in the project's root its only one."""
    around = [(len(where.parts), name) for name, where in project.folders.items() if folder.is_relative_to(where)]
    deepest = [name for depth, name in around if depth == max(around)[0]]
    if len(deepest) == 1:
        return deepest[0]
    if len(project.folders) == 1 and folder == project.file.parent:
        return next(iter(project.folders))
    return None


def _project_above(folder: Path, registry: Registry) -> _NearbyProject | None:
    file = nearest_project(folder)
    text = manifest_text(file) if file is not None else None
    return _read_project(file, text, registry) if file is not None and text is not None else None


def _read_project(file: Path, text: str, registry: Registry) -> _NearbyProject | None:
    decoded = decode_project(text, str(file))
    local = local_file(file)
    over = manifest_text(local)
    name = own_name(decoded, decode_local(over, str(local)) if over is not None else None)
    if decoded.value is None or not name:
        return None
    folders = {
        service: Path(beside(str(file), "." if table.cwd is UNSET else table.cwd)).resolve()
        for service, table in decoded.value.services.items()
    }
    linked = (one.project for one in registry.services if one.project and _is_beside(one.source.file, file))
    project = next(linked, None) or Project(name, worktrees.label(file.parent))
    return _NearbyProject(file, project, folders)


def _is_beside(source: str, file: Path) -> bool:
    return bool(source) and Path(source).name in PROJECT_FILES and Path(source).parent.resolve() == file.parent


def _suggestions(folder: Path) -> Iterator[tuple[str, str]]:
    yield hostnames.slug(_of_package(folder)), "package.json"
    yield hostnames.slug(_of_pyproject(folder)), "pyproject.toml"
    yield hostnames.slug(folder.name), "the folder's name"


def _of_package(folder: Path) -> str:
    """`name` without its scope: `@acme/web` is `web`."""
    table = json_table(manifest_text(folder / "package.json") or "")
    return _string(table, "name").rpartition("/")[2]


def _of_pyproject(folder: Path) -> str:
    table = toml_table(manifest_text(folder / "pyproject.toml") or "")
    return _string(table, "project", "name") or _string(table, "tool", "poetry", "name")


def _string(table: Any, *keys: str) -> str:
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, str) else ""
