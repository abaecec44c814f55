"""Which services `up`, `down` and `logs` mean: those of the project one stands in, or the ones that are named.

Lives here: finding the project, and names that are its services or ids.
Not here: what is done with them. A project file counts here only once it is linked.
"""

from collections.abc import Sequence
from pathlib import Path

from devproxy.cli.arguments import find_service
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import PROJECT_FILE
from devproxy.registry.model import Registry, Service


def nearest(folder: Path) -> Path | None:
    """The project file of `folder` or of the nearest folder above that has one."""
    return next((at / PROJECT_FILE for at in (folder, *folder.parents) if (at / PROJECT_FILE).is_file()), None)


def declared_by(registry: Registry, file: Path) -> list[Service]:
    """The services of a project file, and of the local file beside it."""
    folder = file.parent.resolve()
    return [one for one in registry.services if one.project and Path(one.source.file).parent.resolve() == folder]


def services_meant(registry: Registry, names: Sequence[str], folder: Path) -> list[Service]:
    """The services called `names`; without names, all of the project that `folder` is in, else of the only one linked.

    A bare name is the project's own first. Raises DevproxyError.
    """
    file = nearest(folder)
    own = declared_by(registry, file) if file is not None else []
    if names:
        mine = {service.name: service for service in own}
        return list(
            {one.id: one for one in (mine.get(name) or find_service(registry, name).service for name in names)}.values()
        )
    if own:
        return own
    projects = sorted({service.project for service in registry.services if service.project})
    if file is None and len(projects) == 1:
        return [service for service in registry.services if service.project == projects[0]]
    raise _none_linked(projects) if file is None else _none_of(file, registry)


def _none_of(file: Path, registry: Registry) -> DevproxyError:
    if any(Path(problem.file).parent.resolve() == file.parent.resolve() for problem in registry.problems):
        why, fix = "every service in its file has an error, or the whole file", f"devproxy check {file}"
    else:
        why = "its file is not linked yet, or declares none"
        fix = "devproxy up links it and starts its services; devproxy link only links it"
    return DevproxyError("this project has no services that could be used", why=why, fix=fix, where=str(file))


def _none_linked(projects: Sequence[str]) -> DevproxyError:
    fix = f"go to a project's folder, or name services as in web.{projects[0]}" if projects else ""
    return DevproxyError(
        f"no {PROJECT_FILE} here or in any folder above",
        why=f"{len(projects)} projects are linked" if projects else "no project is linked either",
        fix=fix or "devproxy init writes one from what is in this folder",
        exit_code=Exit.USAGE,
    )
