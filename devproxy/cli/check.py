"""`devproxy check`: validate registry files as a compiler would, without the proxy.

Lives here: which files are checked, the exit code, and problems as text for people and in the formats that CI systems
read (GitHub's workflow commands, SARIF 2.1.0).
Not here: what is wrong with a file (`registry/decode.py`, `registry/merge.py`).
How: without files, everything that is in force, with all conflicts between files. With files, each as it would be
by itself: a project with the conflicts between its own services, a local file together with the project beside it.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from devproxy import __version__
from devproxy.cli.output import complain_line, remark, say
from devproxy.errors import Exit
from devproxy.paths import LOCAL_FILE, PROJECT_FILE, REGISTRY_FILE, Paths, project_file
from devproxy.problems import Problem
from devproxy.registry.decode import Decoded, decode_local, decode_project, decode_user
from devproxy.registry.layers import Linked
from devproxy.registry.loader import Loader
from devproxy.registry.merge import merge
from devproxy.registry.model import Project
from devproxy.registry.toml import parse
from devproxy.serializers import problem_row
from devproxy.storage.files import UnreadableError, decode_text, read
from devproxy.text import json_text, plural

_MISSING = f"name one that is there, or a folder that has one; devproxy init writes a {PROJECT_FILE}"
SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_text(problems: Sequence[Problem], base: Path) -> str:
    """As a compiler prints them; files below `base` are named relative to it."""
    return "\n".join(
        msgspec.structs.replace(problem, file=_relative(problem.file, base)).text() for problem in problems
    )


def as_json(problems: Sequence[Problem], base: Path) -> str:  # noqa: ARG001 one signature for every format
    """A list of objects with the fields of `problem_row`; files are absolute."""
    rows = [problem_row(problem) for problem in problems]
    return json_text(rows)


def as_github(problems: Sequence[Problem], base: Path) -> str:
    """One workflow command a problem: the run's page shows it beside the line."""
    return "\n".join(_annotation(problem, base) for problem in problems)


def as_sarif(problems: Sequence[Problem], base: Path) -> str:
    """One SARIF log with one run; columns count Unicode code points (§3.14.27), as ours do."""
    codes = list(dict.fromkeys(problem.code for problem in problems))
    driver = {
        "name": "devproxy",
        "version": __version__,
        "rules": [{"id": code, "shortDescription": {"text": code.replace("-", " ")}} for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"uri": base.as_uri().rstrip("/") + "/"}},
        "results": [_result(problem, codes.index(problem.code), base) for problem in problems],
    }
    log = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json_text(log)


FORMATS: dict[str, Callable[[Sequence[Problem], Path], str]] = {
    "text": as_text,
    "json": as_json,
    "github": as_github,
    "sarif": as_sarif,
}


def _annotation(problem: Problem, base: Path) -> str:
    places = {"file": _relative(problem.file, base)}
    if problem.line:
        places["line"] = str(problem.line)
    if problem.line and problem.column:
        places["col"] = str(problem.column)
    places["title"] = f"devproxy: {problem.code}"
    properties = ",".join(f"{name}={_escaped_property(value)}" for name, value in places.items())
    return f"::{problem.severity} {properties}::{_escaped(_sentences(problem))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _result(problem: Problem, rule: int, base: Path) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": _artifact(problem.file, base)}
    if problem.line:
        # A region without columns is whole lines (§3.30.5); zero is not a column.
        place["region"] = {"startLine": problem.line}
        if problem.column:
            place["region"]["startColumn"] = problem.column
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": _sentences(problem)},
        "locations": [{"physicalLocation": place}],
    }


def _artifact(file: str, base: Path) -> dict[str, str]:
    """A URI reference relative to SRCROOT where the file is below it, else an absolute one (§3.4)."""
    relative = _relative(file, base)
    if relative == file:
        return {"uri": Path(file).as_uri() if Path(file).is_absolute() else quote(file)}
    return {"uri": quote(Path(relative).as_posix()), "uriBaseId": "SRCROOT"}


def _sentences(problem: Problem) -> str:
    """What, why and how to fix it, for a format with one text a problem."""
    lines = [problem.message, problem.why and f"why: {problem.why}", problem.fix and f"fix: {problem.fix}"]
    return "\n".join(line for line in lines if line)


def _relative(file: str, base: Path) -> str:
    """`file` as seen from `base`, if it is below it."""
    try:
        return str(Path(file).relative_to(base))
    except ValueError:
        return file


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
        text = registry_text(file)
    except UnreadableError as error:
        return [error.problem]
    if text is None:
        return [Problem(code="no-such-file", message="there is no such file", file=str(file), fix=_MISSING)]
    match _kind(file, text):
        case "project":
            return _alone(decode_project(text, str(file)))
        case "local":
            return _with_project(decode_local(text, str(file)), project_file(file))
        case _:
            return merge(decode_user(text, str(file))).problems


def registry_text(file: Path) -> str | None:
    """The text of a registry file, None where there is none. Raises UnreadableError."""
    content = read(file)
    return None if content is None else decode_text(content, file)


def _kind(file: Path, text: str) -> str:
    """By name; a file of another name by what only one kind may hold."""
    named = {PROJECT_FILE: "project", LOCAL_FILE: "local", REGISTRY_FILE: "user"}.get(file.name)
    if named:
        return named
    if file.name.endswith(".local.toml"):
        return "local"
    found = parse(text, str(file))
    if isinstance(found, Problem):
        return "user"  # a syntax error reads alike in every kind
    return "project" if "project" in found[0] else "user"


def _alone(project: Decoded[Any]) -> Sequence[Problem]:
    name = project.value.project if project.value else ""
    return merge(None, [Linked(Project(name), project)]).problems


def _with_project(local: Decoded[Any], file: Path) -> Sequence[Problem]:
    """The problems of a local file itself; those of the project it overrides are shown when that is checked."""
    try:
        text = registry_text(file)
    except UnreadableError:
        text = None
    if text is None:
        return local.problems
    project = decode_project(text, str(file))
    name = project.value.project if project.value else ""
    merged = merge(None, [Linked(Project(name), project, local)]).problems
    return [problem for problem in merged if problem.file == local.file]


def _summarise(files: int, problems: Sequence[Problem]) -> None:
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    found = [plural(errors, "error")] * bool(errors) + [plural(warnings, "warning")] * bool(warnings)
    where = f"in {plural(files, 'file')}"
    if errors:
        complain_line(f"{' and '.join(found)} {where}")
    else:
        remark(f"{' and '.join(found) or 'no problems'} {where}", fg="yellow" if warnings else "green")
