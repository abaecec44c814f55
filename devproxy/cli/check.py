"""`devproxy check`: validate registry files as a compiler would, without the proxy.

Lives here: which files are checked, and the exit code.
Not here: what is wrong with a file (`registry/decode.py`, `registry/merge.py`), how it prints (`formats.py`).
How: without files, everything that is in force, with all conflicts between files. With files, each as it would be
by itself: a project with the conflicts between its own services, a local file together with the project beside it.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from devproxy.cli.context import counted
from devproxy.cli.formats import FORMATS
from devproxy.cli.output import complain_line, remark, say
from devproxy.errors import Exit
from devproxy.paths import LOCAL_FILE, PROJECT_FILE, Paths
from devproxy.problems import Problem
from devproxy.registry.decode import Decoded, decode_local, decode_project, decode_user
from devproxy.registry.loader import Loader
from devproxy.registry.merge import Linked, merge
from devproxy.registry.read import UnreadableError, decode_text, read


@click.command("check")
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path())
@click.option(
    "--format",
    "form",
    type=click.Choice(list(FORMATS)),
    default="text",
    metavar="FORMAT",
    help="text (the default), json, github (annotations), or sarif.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
def command(files: tuple[str, ...], form: str) -> int:
    """Validate registry files; for CI and pre-commit too.

    Without FILE: your registry and every project linked in it. FILE is a devproxy.toml, a devproxy.local.toml, a
    registry.toml, or a folder with a devproxy.toml. Exit code 1: an error was found.
    """
    checked, problems = _check_files(files) if files else _check_all()
    text = FORMATS[form](problems, Path.cwd())
    if text:
        say(text)
    if form == "text":
        _summarise(len(checked), problems)
    bad = any(problem.severity == "error" for problem in problems)
    return Exit.BAD_NEWS if bad else Exit.GOOD


def _check_all() -> tuple[list[Path], Sequence[Problem]]:
    loader = Loader(Paths.from_environment())
    problems = loader.load().problems
    return [file for file in dict.fromkeys(loader.files) if file.exists()], problems


def _check_files(names: Sequence[str]) -> tuple[list[Path], Sequence[Problem]]:
    files = list(dict.fromkeys(file for name in names for file in _expanded(Path(os.path.abspath(name)))))  # noqa: PTH100
    return files, list(dict.fromkeys(problem for file in files for problem in check_file(file)))


def _expanded(path: Path) -> Iterator[Path]:
    """A folder stands for its project file, and the local one if there is one."""
    if not path.is_dir():
        yield path
        return
    yield path / PROJECT_FILE
    if (path / LOCAL_FILE).exists():
        yield path / LOCAL_FILE


def check_file(file: Path) -> Sequence[Problem]:
    """Every problem of one file, whatever kind of registry file it is."""
    try:
        text = read_text(file)
    except UnreadableError as error:
        return [error.problem]
    if text is None:
        return [Problem(code="no-such-file", message="there is no such file", file=str(file))]
    match _kind(file, text):
        case "project":
            return _alone(decode_project(text, str(file)))
        case "local":
            return _with_project(decode_local(text, str(file)), file.with_name(PROJECT_FILE))
        case _:
            return merge(decode_user(text, str(file))).problems


def read_text(file: Path) -> str | None:
    """The text of a registry file, None where there is none. Raises UnreadableError."""
    content = read(file)
    return None if content is None else decode_text(content, file)


def _kind(file: Path, text: str) -> str:
    """By name; a file of another name by what only one kind may hold."""
    named = {PROJECT_FILE: "project", LOCAL_FILE: "local", "registry.toml": "user"}.get(file.name)
    if named:
        return named
    if file.name.endswith(".local.toml"):
        return "local"
    import tomllib

    try:
        return "project" if "project" in tomllib.loads(text) else "user"
    except tomllib.TOMLDecodeError:
        return "user"  # a syntax error reads alike in every kind


def _alone(project: Decoded[Any]) -> Sequence[Problem]:
    name = project.value.project if project.value else ""
    return merge(None, [Linked(name, project)]).problems


def _with_project(local: Decoded[Any], file: Path) -> Sequence[Problem]:
    """The problems of a local file itself; those of the project it overrides are shown when that is checked."""
    try:
        text = read_text(file)
    except UnreadableError:
        text = None
    if text is None:
        return local.problems
    project = decode_project(text, str(file))
    name = project.value.project if project.value else ""
    merged = merge(None, [Linked(name, project, local)]).problems
    return [problem for problem in merged if problem.file == local.file]


def _summarise(files: int, problems: Sequence[Problem]) -> None:
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    found = [counted(errors, "error")] * bool(errors) + [counted(warnings, "warning")] * bool(warnings)
    where = f"in {counted(files, 'file')}"
    if errors:
        complain_line(f"{' and '.join(found)} {where}")
    else:
        remark(f"{' and '.join(found) or 'no problems'} {where}", fg="yellow" if warnings else "green")
