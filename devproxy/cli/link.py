"""`devproxy link`: a project's file into the registry.

Lives here: finding the file, refusing one that would not work, and what is said.
Not here: what becomes of the registry (`linking.py`), what a project file says (`registry/schema.py`).

Linking makes a file take effect; a file in a cloned repository does nothing before (SECURITY.md), so the command shows
what it now routes, and with `--trust` what requests may run.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devproxy.cli.context import look, remark_problems, remark_stopped
from devproxy.cli.linking import Link, Wish, linked
from devproxy.cli.output import print_table, remark
from devproxy.cli.registry_edit import change_registry
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import LOCAL_FILE, PROJECT_FILE, Paths
from devproxy.registry import hostnames, worktrees
from devproxy.registry.decode import Decoded, decode_local, decode_project
from devproxy.registry.layers import of_project, project_name
from devproxy.registry.merge import Linked
from devproxy.registry.read import UnreadableError, decode_text, read
from devproxy.registry.schema import LocalFile, ProjectFile, UserFile
from devproxy.registry.trust import digest
from devproxy.registry.wrong import Wrong

if TYPE_CHECKING:
    from devproxy.registry.model import Service


@click.command("link")
@click.argument("path", required=False, type=click.Path())
@click.option("--as", "label", metavar="LABEL", help="Link it beside another checkout: LABEL goes into its hostnames.")
@click.option("--trust/--no-trust", default=None, help="Whether requests may start its commands, as they are now.")
@click.option("--force", is_flag=True, help="Take the name from another file that has it.")
def command(path: str | None, label: str | None, trust: bool | None, force: bool) -> None:
    """Take a project's devproxy.toml into the registry.

    PATH is the file or its folder; without it, the nearest devproxy.toml from here upwards. In a git worktree the
    branch goes into the hostnames, so that two checkouts run side by side.
    """
    # abspath, unlike Path.absolute, takes `..` out
    file = find_project(Path(os.path.abspath(path)) if path else None, Path.cwd())  # noqa: PTH100
    key = take(Paths.from_environment(), file, force=force, label=_label(label), trust=trust)
    _show(key, file, trusted=trust)


def take(paths: Paths, file: Path, *, force: bool = False, label: str | None = None, trust: bool | None = None) -> str:
    """Link `file`, and return the name it is linked by. Raises DevproxyError where it would not work."""
    project, local = _project(file), _local(file)
    name = project_name(Linked("", project, local)) or ""
    wish = Wish(
        file=file,
        name=name,
        worktree=worktrees.label(file.parent),
        label=label,
        force=force,
        trust=None if trust is None else digest(str(file), of_project(Linked(name, project, local))) if trust else "",
    )
    made: list[Link] = []

    def edit(text: str, user: Decoded[UserFile]) -> str:
        made.append(linked(text, user, wish))
        return made[-1].text

    change_registry(paths, edit)
    for other in made[-1].gone:
        remark(f"`{other}` is no longer linked: its checkout is gone")
    return made[-1].key


def _label(text: str | None) -> str | None:
    try:
        return text and hostnames.name(text)
    except Wrong as wrong:
        raise DevproxyError(f"--as {text}: {wrong.what}", why=wrong.why, fix=wrong.fix, exit_code=Exit.USAGE) from None


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


def _project(file: Path) -> Decoded[ProjectFile]:
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
    return project


def _local(file: Path) -> Decoded[LocalFile] | None:
    """The local file beside it, if there is one that can be read."""
    local = file.with_name(LOCAL_FILE)
    try:
        content = read(local)
        return None if content is None else decode_local(decode_text(content, local), str(local))
    except UnreadableError:
        return None


def _show(key: str, file: Path, *, trusted: bool | None) -> None:
    view = look()
    services = [service for service in view.registry.services if service.project == key]
    if services:
        print_table(("NAME", "URL"), [(service.id, view.url(service)) for service in services])
    remark(f"`{key}` is linked: {file}")
    if not services:
        remark("it has no services yet", fg="yellow")
    if trusted is not None:
        _show_trust(key, services, trusted=trusted)
    remark_stopped(view)


def _show_trust(key: str, services: "Sequence[Service]", *, trusted: bool) -> None:
    commands = [service for service in services if service.command is not None]
    if not trusted:
        remark(f"no request starts a command of `{key}`")
        return
    remark(f"requests may start these commands of `{key}`, until one of them changes:")
    for service in commands:
        more = "".join(f" {name}={value!r}" for name, value in service.env)
        remark(f"  {service.id}:{more} {service.command_line}  (in {service.cwd})")
    if not any(service.start == "on-request" for service in commands):
        remark('none of them starts by a request yet: that is `start = "on-request"` in its table', fg="yellow")
