"""Changing the user registry without ever writing a mistake into it.

Lives here: the one way of `add`, `rm`, `link` and `unlink` to the file: edit in memory, validate the whole registry as
it would be, then write, all under the writers' lock; and the schema that the file's first line names.
Not here: the edits themselves (`registry/edit.py`), the writing (`storage/files.py`).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from devproxy.cli.output import remark
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths, schema_file
from devproxy.problems import Problem
from devproxy.registry.decode import Decoded, decode_user
from devproxy.registry.loader import read_as
from devproxy.registry.model import Registry
from devproxy.registry.schema import UserFile
from devproxy.storage.files import update

Edit = Callable[[str, Decoded[UserFile]], str]


def change_registry(paths: Paths, edit: Edit) -> Registry:
    """Replace the user registry's text by `edit(text, as decoded)`, and return the whole registry as it is then.

    Raises DevproxyError, and writes nothing, where the file cannot be read as TOML, or where the new text would bring
    a problem that was not there before: exit code 2 for one in the file itself, which is what was typed, 1 for a
    conflict with another file.
    """

    made: list[Registry] = []

    def validated(text: str) -> str:
        old = decode_user(text, str(paths.registry))
        if old.value is None:
            raise _unreadable(old)
        new_text = edit(text, old)
        new = decode_user(new_text, str(paths.registry))
        _refuse(old.problems, new.problems, Exit.USAGE)
        made.append(read_as(paths, new))  # the one load: conflicts show where all files are merged
        if made[-1].problems:  # seldom: only the registry before tells which of them are new
            _refuse(read_as(paths, old).problems, made[-1].problems, Exit.BAD_NEWS)
        return new_text

    update(paths.registry, validated)
    _put_schema(paths)
    return made[-1]


def _put_schema(paths: Paths) -> None:
    """Completion in an editor is not worth a failure: the registry is written by now."""
    try:
        put_schema(paths.registry)
    except DevproxyError as error:
        remark(f"note: {error}", fg="yellow")


def _refuse(before: Sequence[Problem], after: Sequence[Problem], exit_code: Exit) -> None:
    """Raise for the first error that `after` has more than `before`; show new warnings."""
    new = new_problems(before, after)
    for problem in new:
        if problem.severity == "error":
            raise DevproxyError(problem.message, why=problem.why, fix=problem.fix, exit_code=exit_code)
    for problem in new:
        remark(problem.text(), fg="yellow")


def new_problems(before: Sequence[Problem], after: Sequence[Problem]) -> list[Problem]:
    """What is in `after` and was not in `before`, whatever line it stood in; the same words once more are new."""
    known = Counter((problem.code, problem.message, problem.file) for problem in before)
    new = []
    for problem in after:
        key = (problem.code, problem.message, problem.file)
        known[key] -= 1
        if known[key] < 0:
            new.append(problem)
    return new


def _unreadable(registry: Decoded[UserFile]) -> DevproxyError:
    first = registry.problems[0]
    return DevproxyError(
        f"your registry has a mistake, and nothing was written: {first.message}",
        why=first.why,
        fix=first.fix or "mend that line by hand, then try again",
        where=first.where,
    )


def put_schema(beside: Path, *, private: bool = True) -> None:
    """Write the schema into the folder of the registry file `beside`, unless it is there; `private` as in `update`.

    It stands beside the name that a person opens, not beside the target of a symlink. In a project's folder
    (`private=False`) a symlink is left alone: it came with the repository, and could lead to any file of yours. Blocks
    (disk, lock). Raises DevproxyError.
    """
    from devproxy.registry.json_schema import json_schema

    file = schema_file(beside)
    if private or not file.is_symlink():
        update(file, lambda _: json_schema(), private=private)
