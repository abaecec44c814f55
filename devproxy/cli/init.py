"""`devproxy init`: a first devproxy.toml from what is in the folder.

Lives here: what is shown, and that nothing is overwritten.
Not here: finding services (`devproxy/detect/`). Nothing that is found is run.
"""

from pathlib import Path

import click

from devproxy.cli.output import print_table, remark, say
from devproxy.detect.model import Survey
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import PROJECT_FILE
from devproxy.text import devproxy_command, safe

EXAMPLE = 'project = "shop"\n\n[services.web]\ncommand = "npm run dev"\n'


@click.command("init")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", default="", help="The project's name, instead of the one that is found.")
@click.option("--dry-run", is_flag=True, help="Print the file instead of writing it.")
def command(folder: Path | None, name: str, dry_run: bool) -> None:
    """Write a first devproxy.toml from what is in the folder.

    Reads workspaces of npm, pnpm, yarn, bun and uv, package.json, deno.json, Nx's project.json, pyproject.toml,
    requirements, manage.py, the modules that make a web application, a Procfile and compose files, here and one level
    down; runs none of it, and never overwrites a file. What listens on no port is a worker, or a task if it ends. What
    is left out or not understood is listed; so are the lines of a compose file that publish a port on every interface,
    or one that is fixed, each with the text to write instead.
    """
    from devproxy.detect.project import survey
    from devproxy.detect.render import document

    root = (folder or Path()).resolve()
    file = root / PROJECT_FILE
    if not dry_run:
        _refuse_existing(file)
    if name:
        _check_name(name)
    found = survey(root, name)
    if not found.services:
        _tell_remarks(found)
        raise _nothing(root)
    text = document(found)
    _check(text, file)
    if dry_run:
        say(text.rstrip("\n"))
        _tell_remarks(found)
        return
    _write(file, text)
    _tell(found, file)


def _refuse_existing(file: Path) -> None:
    if file.exists() or file.is_symlink():
        fix = f"edit it, or see what init would write: {devproxy_command('init', '--dry-run', file.parent)}"
        raise DevproxyError(f"there is a {PROJECT_FILE} already, and it stays as it is", where=str(file), fix=fix)


def _check_name(name: str) -> None:
    from devproxy.problems import Wrong
    from devproxy.registry import hostnames

    try:
        hostnames.name(name)
    except Wrong as wrong:
        raise DevproxyError(wrong.what, why=wrong.why, fix=wrong.fix, exit_code=Exit.USAGE) from None


def _nothing(root: Path) -> DevproxyError:
    return DevproxyError(
        f"nothing here tells which services there are: {root}",
        why="no script, manage.py, Procfile line or published port of a server was found",
        fix=f"write {PROJECT_FILE} yourself, for example:\n" + EXAMPLE.rstrip(),
    )


def _check(text: str, file: Path) -> None:
    """What is written is valid, whatever the folder held."""
    from devproxy.registry.decode import decode_project

    decoded = decode_project(text, str(file))
    if not decoded.ok:
        problem = decoded.problems[0]
        raise DevproxyError(
            f"what was found makes no valid {PROJECT_FILE}: {problem.message}",
            why=problem.why,
            fix="devproxy init --dry-run DIR, in a part of the project; and report this",
        )


def _write(file: Path, text: str) -> None:
    from devproxy.storage.files import update

    def first(old: str) -> str:
        if old:
            _refuse_existing(file)
        return text

    update(file, first, private=False)


def _tell(found: Survey, file: Path) -> None:
    rows = [
        (service.name, safe(_started(service.command)), service.kind, safe(service.origin))
        for service in found.services
    ]
    print_table(("SERVICE", "COMMAND", "KIND", "FOUND IN"), rows)
    _tell_remarks(found)
    remark(safe(f"written: {file}"))
    remark("read it, then start its services: devproxy up (or only give them their names: devproxy link)")


def _tell_remarks(found: Survey) -> None:
    for text in found.remarks:
        remark(safe(f"note: {text}"))


def _started(command: str | tuple[str, ...] | None) -> str:
    import shlex

    return shlex.join(command) if isinstance(command, tuple) else command or "-"
