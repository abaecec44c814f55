"""`devproxy link`: a project's file into the registry.

Lives here: finding the file, and refusing one that would not work.
Not here: what a project file says (`registry/schema.py`). Linking makes a file take effect; a file in a cloned
repository does nothing before (SECURITY.md), so the command shows what it now routes.
"""

import os
from pathlib import Path

import click

from devproxy.cli.change import change_registry
from devproxy.cli.output import print_table, remark
from devproxy.cli.view import look, remark_problems, remark_stopped
from devproxy.errors import DevproxyError
from devproxy.paths import LOCAL_FILE, PROJECT_FILE, Paths
from devproxy.registry.decode import Decoded, decode_local, decode_project
from devproxy.registry.merge import beside
from devproxy.registry.read import UnreadableError, decode_text, read
from devproxy.registry.schema import ProjectFile, UserFile


@click.command("link")
@click.argument("path", required=False, type=click.Path())
@click.option("--force", is_flag=True, help="Take the name from another file that has it.")
def command(path: str | None, force: bool) -> None:
    """Take a project's devproxy.toml into the registry.

    PATH is the file or its folder; without it, the nearest devproxy.toml from here upwards.
    """
    # abspath, unlike Path.absolute, takes `..` out
    file = find_project(Path(os.path.abspath(path)) if path else None, Path.cwd())  # noqa: PTH100
    _show(take(Paths.from_environment(), file, force=force), file)


def take(paths: Paths, file: Path, *, force: bool = False) -> str:
    """Link `file`, and return the project's name. Raises DevproxyError where it would not work."""
    project = _project(file)
    name = _local_name(file) or project.project
    change_registry(paths, lambda text, user: _linked(text, user, name, file, force))
    return name


def find_project(path: Path | None, folder: Path) -> Path:
    """The project file that is meant. Raises DevproxyError where there is none."""
    if path is None:
        for candidate in (folder, *folder.parents):
            if (candidate / PROJECT_FILE).is_file():
                return candidate / PROJECT_FILE
        raise DevproxyError(
            f"no {PROJECT_FILE} here or in any folder above",
            why=f"looked from {folder} upwards",
            fix='devproxy link PATH, or write one: project = "shop" and a [services.web] with its port',
        )
    file = path / PROJECT_FILE if path.is_dir() else path
    if file.name == LOCAL_FILE:
        raise DevproxyError(
            f"{LOCAL_FILE} cannot be linked",
            why=f"it is read together with the {PROJECT_FILE} beside it",
            fix=f"devproxy link {file.with_name(PROJECT_FILE)}",
        )
    return file


def _project(file: Path) -> ProjectFile:
    """The file's content, without a single error. Raises DevproxyError, after printing the problems."""
    try:
        content = read(file)
        text = None if content is None else decode_text(content, file)
    except UnreadableError as error:
        problem = error.problem
        raise DevproxyError(problem.message, why=problem.why, fix=problem.fix, where=problem.where) from error
    if text is None:
        raise DevproxyError(
            f"there is no {file}", fix="devproxy link PATH, where PATH is a devproxy.toml or its folder"
        )
    project = decode_project(text, str(file))
    if project.value is None or not project.ok:
        remark_problems(project.problems)
        raise DevproxyError("not linked", why="the file has errors", fix="mend the lines above, then link it again")
    return project.value


def _local_name(file: Path) -> str | None:
    """The project's name on this machine, where the local file gives it one: two checkouts can be linked by that."""
    local = file.with_name(LOCAL_FILE)
    try:
        content = read(local)
        decoded = decode_local(decode_text(content or b"", local), str(local))
    except UnreadableError:
        return None
    return decoded.value.project or None if decoded.value is not None else None


def _linked(text: str, user: Decoded[UserFile], name: str, file: Path, force: bool) -> str:
    from devproxy.registry.edit import link_project, unlink_project

    links = user.value.projects if user.value else {}
    for other, link in links.items():
        same_file = beside(user.file, link.path) == str(file)
        if other == name and not same_file and not force:
            raise DevproxyError(
                f"the project `{name}` is linked already, to another file",
                why=f"it is {link.path}",
                fix="devproxy link --force takes the name for this one; or give `project` another name in one of them",
            )
        if other != name and same_file:
            text = unlink_project(text, other)  # the project was renamed in its file
    return link_project(text, name, str(file), replace=force)


def _show(name: str, file: Path) -> None:
    view = look()
    services = [service for service in view.registry.services if service.project == name]
    if services:
        print_table(("NAME", "URL"), [(service.id, view.url(service)) for service in services])
    remark(f"`{name}` is linked: {file}")
    if not services:
        remark("it has no services yet", fg="yellow")
    remark_stopped(view)
