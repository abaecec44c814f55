"""`devproxy link`: a project's file into the registry.

Lives here: finding the file, refusing one that would not work, the name that it is linked by, and what is said.
Not here: what a project file says (`registry/schema.py`), the edit of the registry's text (`registry/edit.py`).

Linking makes a file take effect; a file in a cloned repository does nothing before (SECURITY.md), so the command shows
what it now routes, and with `--trust` what requests may run.

The first checkout of a project has its plain name. One in a git worktree gets its branch as a label, any other one
the label that `--as` gives it. A checkout keeps the label that it was linked by, unless it is in a worktree whose
branch is another one now. `--main` links a worktree without one, and it keeps that too: in a bare repository there is
no other checkout that could have the plain names.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from devproxy.cli.context import load_context, remark_left, remark_problems, remark_stopped
from devproxy.cli.output import print_table, remark
from devproxy.cli.registry_edit import change_registry
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import LOCAL_FILE, PROJECT_FILE, Paths, local_file, nearest_project, project_file
from devproxy.problems import Wrong
from devproxy.registry import hostnames, worktrees
from devproxy.registry.decode import Decoded, decode_local, decode_project, decode_user
from devproxy.registry.edit import link_project, trust_project, unlink_project
from devproxy.registry.layers import Linked, of_project, own_name
from devproxy.registry.loader import place
from devproxy.registry.model import Project, Registry
from devproxy.registry.resolve import trust_digest
from devproxy.registry.schema import LocalFile, ProjectFile, UserFile
from devproxy.storage.files import UnreadableError, decode_text, read
from devproxy.text import devproxy_command, safe

if TYPE_CHECKING:
    from devproxy.registry.model import Service


class LinkOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A project's file (absolute), its own name, the label of its git worktree ("": it is in none) and what was asked
    for: another label, `force`, and the digest to trust ("" none any more, None as it was)."""

    file: Path
    name: str
    worktree: str = ""
    label: str | None = None
    force: bool = False
    trust: str | None = None


class Link(msgspec.Struct, frozen=True):
    """The project as its file is linked, the registry's text with it, the checkouts that are gone from both, and the
    other names that the file had."""

    project: Project
    text: str
    gone: tuple[Project, ...] = ()
    old: tuple[Project, ...] = ()


def linked(text: str, user: Decoded[UserFile], wish: LinkOptions) -> Link:
    """The registry with the file in it. Raises DevproxyError where somebody else has the name."""
    links = {Project.of(key): link for key, link in user.value.projects.items()} if user.value else {}
    files = {project: place(user.file, link.path) for project, link in links.items()}
    own = [project for project, file in files.items() if file == wish.file]
    project = _project_to_link(files, own, wish)
    holder = files.get(project)
    if holder not in (None, wish.file) and not wish.force and not (project.label and not holder.exists()):
        raise _taken(project, holder)
    gone = [
        other
        for other, file in files.items()
        if other.label and other.base == wish.name and not file.exists() and other != project
    ]
    trust = next((links[one].trust for one in own), msgspec.UNSET) or ""
    for other in {*own, *gone} - {project}:  # it was renamed, or its worktree was removed
        text = unlink_project(text, str(other))
    text = link_project(text, str(project), str(wish.file), replace=True)
    text = trust_project(text, str(project), trust if wish.trust is None else wish.trust)
    return Link(project, text, tuple(gone), tuple(one for one in own if one != project))


def _project_to_link(files: dict[Project, Path], own: list[Project], wish: LinkOptions) -> Project:
    if wish.label is not None:
        return Project(wish.name, wish.label)
    known = [project for project in own if project.base == wish.name]
    if known and (not (wish.worktree and known[0].label) or _is_numbered(known[0].label, wish.worktree)):
        return known[0]
    project, number = Project(wish.name, wish.worktree), 1
    while project.label and project in files and project not in own and files[project].exists():
        number += 1  # two branches, one label
        project = Project(wish.name, f"{wish.worktree}-{number}")
    return project


def _is_numbered(label: str, worktree: str) -> bool:
    number = label.removeprefix(f"{worktree}-")
    return label == worktree or (label != number and number.isdecimal())


def _taken(project: Project, holder: Path) -> DevproxyError:
    return DevproxyError(
        f"the project `{project}` is linked already, to another file",
        why=f"it is {holder}",
        fix="devproxy link --as NAME links this one beside it, with NAME in its hostnames; --force takes the name over",
    )


@click.command("link")
@click.argument("path", required=False, type=click.Path())
@click.option("--as", "label", metavar="LABEL", help="Link it beside another checkout: LABEL goes into its hostnames.")
@click.option("--main", is_flag=True, help="Link a git worktree as the main checkout: without a label.")
@click.option("--trust/--no-trust", default=None, help="Whether requests may start its commands, as they are now.")
@click.option("--force", is_flag=True, help="Take the name from another file that has it.")
def command(path: str | None, label: str | None, main: bool, trust: bool | None, force: bool) -> None:
    """Take a project's devproxy.toml into the registry.

    PATH is the file or its folder; without it, the nearest devproxy.toml from here upwards. In a git worktree the
    branch goes into the hostnames, so that two checkouts run side by side; `--main` leaves it out for one of them.
    """
    if main and label is not None:
        raise DevproxyError(
            "--main and --as exclude each other",
            why="the main checkout is the one without a label",
            fix="leave one of them out",
            exit_code=Exit.USAGE,
        )
    # abspath, unlike Path.absolute, takes `..` out
    file = find_project(Path(os.path.abspath(path)) if path else None, Path.cwd())  # noqa: PTH100
    project, registry = take(
        Paths.from_environment(), file, force=force, label="" if main else _label(label), trust=trust
    )
    _show(project, file, registry, trusted=trust)


def take(
    paths: Paths, file: Path, *, force: bool = False, label: str | None = None, trust: bool | None = None
) -> tuple[Project, Registry]:
    """Link `file`; the project as it is linked, and the registry with it. Raises DevproxyError if it would not work."""
    shared, local = _shared(file), _local(file)
    name = own_name(shared, local) or ""
    commands = of_project(Linked(Project(name), shared, local))
    wish = LinkOptions(
        file=file,
        name=name,
        worktree=worktrees.label(file.parent),
        label=label,
        force=force,
        trust=None if trust is None else trust_digest(str(file), commands) if trust else "",
    )
    made: list[Link] = []

    def edit(text: str, user: Decoded[UserFile]) -> str:
        made.append(linked(text, user, wish))
        return made[-1].text

    registry = change_registry(paths, edit)
    for other in made[-1].gone:
        remark(f"`{other}` is no longer linked: its checkout is gone")
    remark_left(paths, map(str, (*made[-1].gone, *made[-1].old)))
    return made[-1].project, registry


def is_linked(paths: Paths, file: Path) -> bool:
    """Whether the user registry links `file`, by whatever way to it. Reads that file alone."""
    try:
        text = decode_text(read(paths.registry) or b"", paths.registry)
    except UnreadableError:
        return False
    user = decode_user(text, str(paths.registry))
    links = user.value.projects.values() if user.value else ()
    return any(place(user.file, link.path).resolve() == file.resolve() for link in links)


def _label(text: str | None) -> str | None:
    try:
        return text and hostnames.name(text)
    except Wrong as wrong:
        raise DevproxyError(f"--as {text}: {wrong.what}", why=wrong.why, fix=wrong.fix, exit_code=Exit.USAGE) from None


def find_project(path: Path | None, folder: Path) -> Path:
    """The project file that is meant. Raises DevproxyError where there is none."""
    if path is None:
        if file := nearest_project(folder):
            return file
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
            fix=devproxy_command("link", project_file(file)),
        )
    return file


def _shared(file: Path) -> Decoded[ProjectFile]:
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
    shared = decode_project(text, str(file))
    if shared.value is None or not shared.ok:
        remark_problems(shared.problems)
        raise DevproxyError("not linked", why="the file has errors", fix="mend the lines above, then link it again")
    return shared


def _local(file: Path) -> Decoded[LocalFile] | None:
    """The local file beside it, if there is one that can be read."""
    local = local_file(file)
    try:
        content = read(local)
        return None if content is None else decode_local(decode_text(content, local), str(local))
    except UnreadableError:
        return None


def _show(project: Project, file: Path, registry: Registry, *, trusted: bool | None) -> None:
    view = load_context(registry)
    services = [service for service in view.registry.services if service.project == project]
    if services:
        print_table(("NAME", "URL"), [(service.id, view.url(service)) for service in services])
    remark(safe(f"`{project}` is linked: {file}"))
    if not services:
        remark("it has no services yet", fg="yellow")
    remark_without_main(services, registry)
    if trusted is not None:
        _show_trust(project, services, trusted=trusted)
    remark_stopped(view)


def remark_without_main(services: "Sequence[Service]", registry: Registry) -> None:
    """Say why the `hosts` of a project's file lead nowhere: in a bare repository each checkout has a label, and moves
    them below it."""
    labelled = {one.project: one for one in services if one.project and one.project.label and len(one.hosts) > 1}
    for project, service in labelled.items():
        has_main = any(one.project is not None and one.project == Project(project.base) for one in registry.services)
        folder = Path(service.source.file).parent
        if not has_main and worktrees.is_without_main(folder):
            remark(
                f"every name of `{project}` has `{project.label}` in it, its `hosts` too: the repository is bare, and"
                f" no checkout is the main one; to make this one it: {devproxy_command('link', '--main', folder)}",
                fg="yellow",
            )


def _show_trust(project: Project, services: "Sequence[Service]", *, trusted: bool) -> None:
    commands = [service for service in services if service.command is not None]
    asked = sorted({service.asked_by for service in commands if service.serves} or {"request"}, reverse=True)
    if not trusted:
        remark(f"no {' or '.join(asked)} starts a command of `{project}`")
        return
    many = " and ".join(f"{word}s" for word in asked)
    remark(f"{many} may start these commands of `{project}`, until one of them changes:")
    for service in commands:
        more = "".join(f" {name}={value!r}" for name, value in service.env)
        more += "".join(f" (variables of {file})" for file in service.env_file)
        remark(safe(f"  {service.id}:{more} {service.command_line}  (in {service.cwd})"))
    if not any(service.start == "on-request" for service in commands):
        by = " or ".join(f"a {word}" for word in asked)
        remark(f'none of them starts by {by} yet: that is `start = "on-request"` in its table', fg="yellow")
