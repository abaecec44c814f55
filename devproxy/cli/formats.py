"""Problems as text for people, and in the formats that CI systems read.

Lives here: one pure function a format, problems in and text out.
Not here: finding problems (`check.py`), the problem's own text (`problems.py`).
Sources: GitHub's workflow commands (docs.github.com, "Workflow commands", and the escapes of actions/toolkit);
SARIF 2.1.0 (OASIS standard, 27 March 2020; sections are cited below).
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from devproxy import __version__
from devproxy.problems import Problem
from devproxy.serializers import problem_row

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_text(problems: Sequence[Problem], base: Path) -> str:
    """As a compiler prints them; files below `base` are named relative to it."""
    return "\n".join(
        msgspec.structs.replace(problem, file=_relative(problem.file, base)).text() for problem in problems
    )


def as_json(problems: Sequence[Problem], base: Path) -> str:  # noqa: ARG001 one signature for every format
    """A list of objects with the fields of `problem_row`; files are absolute."""
    rows = [problem_row(problem) for problem in problems]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()


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
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode()


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
