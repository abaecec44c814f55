"""A problem in a registry file, and how it prints.

Lives here: the type and its one-line and several-line forms.
Not here: finding problems (`registry/decode.py`, `registry/merge.py`), or `github`/`sarif` output (`cli/check.py`).
"""

from typing import Literal

import msgspec

from devproxy.text import first_unsafe, safe, safe_lines, shown, spelt_out

Severity = Literal["error", "warning"]

# Every code that a problem can have, in alphabetical order. They are stable: scripts may rely on them.
ProblemCode = Literal[
    "bad-host",
    "bad-name",
    "bad-upstream",
    "bad-value",
    "blocked-port",
    "circular-dependency",
    "control-character",
    "does-not-apply",
    "duplicate-address",
    "duplicate-host",
    "duplicate-link",
    "duplicate-mount",
    "duplicate-port",
    "duplicate-variable",
    "foreign-name",
    "foreign-owner",
    "foreign-tld",
    "misplaced-key",
    "missing-key",
    "missing-project-file",
    "no-https",
    "no-such-file",
    "not-a-file",
    "not-readable",
    "not-this-machine",
    "not-utf-8",
    "out-of-range",
    "own-port",
    "polled",
    "poor-tld",
    "port-and-upstream",
    "port-taken",
    "project-name",
    "reserved-name",
    "socket-outside",
    "syntax",
    "too-deep",
    "too-large",
    "too-many",
    "unguarded-tld",
    "unknown-host",
    "unknown-key",
    "unknown-service",
    "untrusted",
    "wrong-type",
]

# Those that only a running proxy can have: it is not told of changes; another program has the port of a TCP service;
# it has no port for https
POLLED: ProblemCode = "polled"
PORT_TAKEN: ProblemCode = "port-taken"
NO_HTTPS: ProblemCode = "no-https"
OF_RUNNING = frozenset((POLLED, PORT_TAKEN, NO_HTTPS))


class Problem(msgspec.Struct, frozen=True, kw_only=True, order=False):
    """One thing that is wrong in a file: what (`message`), why, and the line that fixes it.

    `file` is absolute; `line` and `column` count from 1 (column in characters), 0 where no place is known.
    `service` is the name, as its file has it, of the service that it is about, if it is about one. `code` is a
    ProblemCode; another version of devproxy, whose state files this one reads, may have more of them.
    """

    code: str
    message: str
    file: str
    line: int = 0
    column: int = 0
    why: str = ""
    fix: str = ""
    severity: Severity = "error"
    service: str = ""

    @property
    def where(self) -> str:
        """`file:line:column`, without the parts that are not known."""
        parts = [self.file]
        if self.line:
            parts.append(str(self.line))
            if self.column:
                parts.append(str(self.column))
        return ":".join(parts)

    def text(self) -> str:
        """As a compiler prints it: the place and the sentence, then `why:` and `fix:` indented."""
        lines = [f"{safe(self.where)}: {self.severity}: {safe_lines(self.message)} [{self.code}]"]
        if self.why:
            lines.append(safe(f"  why: {self.why}"))
        if self.fix:
            lines.append(safe(f"  fix: {self.fix}"))
        return "\n".join(lines)


# A value that is wrong, as the parsers of single values say it.


class Wrong(ValueError):  # noqa: N818 - it is the value that is wrong
    """A value that cannot be used: a stable `code`, `what` is wrong with it, why, and the fix (both may be empty)."""

    def __init__(self, what: str, *, why: str = "", fix: str = "", code: ProblemCode = "bad-value"):
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.code = code


def refuse_unseen(text: str, *, breaks: bool = False) -> None:
    """Raise Wrong if `text` has a character that nobody sees; tabs and line ends are allowed where `breaks` is true."""
    if found := first_unsafe(text, "\t\r\n" if breaks else ""):
        raise Wrong(
            f'"{shown(text)}" has the control character {spelt_out(found)}',
            why="characters that nobody sees can hide what a value really is, and drive the terminal that prints it",
            fix=f"remove {spelt_out(found)}",
            code="control-character",
        )
