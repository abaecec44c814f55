"""TOML text → the types of `schema.py`, collecting every problem of a file.

Signatures (fixed; `load.py` builds on them):

    decode_user(text: str, file: str) -> Decoded[UserFile]
    decode_project(text: str, file: str) -> Decoded[ProjectFile]
    decode_local(text: str, file: str) -> Decoded[LocalFile]

`file` is absolute. `Decoded.value` holds the valid parts (None where there are none: a syntax error, or a project
file without a valid name), `Decoded.problems` everything wrong, in the order of the file, `Decoded.ok` is "no error".
"""

import tomllib
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from devproxy.registry.problems import Problem
from devproxy.registry.schema import LocalFile, ProjectFile, UserFile

T = TypeVar("T")
Path = tuple[str | int, ...]


def _nowhere(_: Path) -> tuple[int, int]:
    return 0, 0


class Decoded(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One file as read: its valid parts, and every problem."""

    file: str
    value: T | None
    problems: tuple[Problem, ...] = ()
    place: Callable[[Path], tuple[int, int]] = _nowhere

    @property
    def ok(self) -> bool:
        return not any(problem.severity == "error" for problem in self.problems)


def decode_user(text: str, file: str) -> Decoded[UserFile]:
    return _decode(text, file, UserFile)


def decode_project(text: str, file: str) -> Decoded[ProjectFile]:
    return _decode(text, file, ProjectFile)


def decode_local(text: str, file: str) -> Decoded[LocalFile]:
    return _decode(text, file, LocalFile)


def _decode(text: str, file: str, kind: type[T]) -> Decoded[T]:
    try:
        return Decoded(file=file, value=msgspec.convert(tomllib.loads(text), kind))
    except ValueError as error:
        problem = Problem(code="syntax", message=str(error), file=file)
        return Decoded(file=file, value=None, problems=(problem,))
