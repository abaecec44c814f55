"""`devproxy link`: a project's file into the registry.

Lives here: finding the file, refusing one that would not work, and what is said.
Not here: what becomes of the registry (`link.py`), what a project file says (`registry/schema.py`).

Linking makes a file take effect; a file in a cloned repository does nothing before (SECURITY.md), so the command shows
what it now routes, and with `--trust` what requests may run.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from devproxy.cli.context import load_context, remark_problems, remark_stopped
from devproxy.cli.output import print_table, remark
from devproxy.cli.registry_edit import change_registry
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import LOCAL_FILE, PROJECT_FILE, Paths
from devproxy.problems import Wrong
from devproxy.registry import hostnames, worktrees
from devproxy.registry.decode import Decoded, decode_local, decode_project
from devproxy.registry.edit import link_project, trust_project, unlink_project
from devproxy.registry.hostnames import joined, split
from devproxy.registry.layers import of_project, project_name
from devproxy.registry.loader import place
from devproxy.registry.merge import Linked
from devproxy.registry.resolve import digest
from devproxy.registry.schema import LocalFile, ProjectFile, UserFile
from devproxy.storage.files import UnreadableError, decode_text, read

if TYPE_CHECKING:
    from devproxy.registry.model import Service


# What a project's file becomes in the user registry: under which name it is linked, and whether it is trusted.
#
# The first checkout of a project has its plain name. One in a git worktree gets its branch as a label, any other one
# the label that `--as` gives it. A checkout keeps the label that it was linked by, unless it is in a worktree whose
# branch is another one now.


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
    """The name that a file is linked by, the registry's text with it, and the checkouts that are gone from both."""

    key: str
    text: str
    gone: tuple[str, ...] = ()


def linked(text: str, user: Decoded[UserFile], wish: LinkOptions) -> Link:
    """The registry with the file in it. Raises DevproxyError where somebody else has the name."""
    links = user.value.projects if user.value else {}
    files = {key: place(user.file, link.path) for key, link in links.items()}
    own = [key for key, file in files.items() if file == wish.file]
    key = _key(files, own, wish)
    holder = files.get(key)
    if holder not in (None, wish.file) and not wish.force and not (split(key)[0] and not holder.exists()):
        raise _taken(key, holder)
    gone = [other for other, file in files.items() if _is_gone_beside(other, file, wish.name) and other != key]
    trust = next((links[one].trust for one in own), msgspec.UNSET) or ""
    for other in {*own, *gone} - {key}:  # it was renamed, or its worktree was removed
        text = unlink_project(text, other)
    text = link_project(text, key, str(wish.file), replace=True)
    return Link(key, trust_project(text, key, trust if wish.trust is None else wish.trust), tuple(gone))


def _key(files: dict[str, Path], own: list[str], wish: LinkOptions) -> str:
    if wish.label is not None:
        return joined(wish.label, wish.name)
    known = [key for key in own if split(key)[1] == wish.name]
    if known and (not wish.worktree or _is_numbered(split(known[0])[0], wish.worktree)):
        return known[0]
    key, number = joined(wish.worktree, wish.name), 1
    while wish.worktree and key in files and key not in own and files[key].exists():  # two branches, one label
        number += 1
        key = joined(f"{wish.worktree}-{number}", wish.name)
    return key


def _is_numbered(label: str, worktree: str) -> bool:
    number = label.removeprefix(f"{worktree}-")
    return label == worktree or (label != number and number.isdecimal())


def _is_gone_beside(key: str, file: Path, name: str) -> bool:
    """Whether a link is to a checkout of the project `name` that is not there any more."""
    label, base = split(key)
    return bool(label) and base == name and not file.exists()


def _taken(key: str, holder: Path) -> DevproxyError:
    return DevproxyError(
        f"the project `{key}` is linked already, to another file",
        why=f"it is {holder}",
        fix="devproxy link --as NAME links this one beside it, with NAME in its hostnames; --force takes the name over",
    )


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
    wish = LinkOptions(
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
    view = load_context()
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
