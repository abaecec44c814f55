"""From a process that is exposed to the exact change that makes it listen on loopback only.

Lives here: the whole table, finding a command line's row, and the proposal.
Not here: the rows (`rows/`), reading a command line (`command_line.py`), editing its arguments (`options.py`).
Pure.

How it works: the last reading of a command line that a row knows counts, since `node vite.js` is Vite and not
just Node. Where the process itself only shows its language, or has overwritten its command line, its parents
are asked, as far up as they merely started it: `npm run dev` → `sh -c "next dev"` → `next-server (v15)`.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from devproxy.programs import options
from devproxy.programs.catalog import Program
from devproxy.programs.catalog.javascript import JAVASCRIPT
from devproxy.programs.catalog.languages import LANGUAGES
from devproxy.programs.catalog.python import PYTHON
from devproxy.programs.catalog.services import SERVICES
from devproxy.programs.command_line import SHELLS, WRAPPERS, ParsedCommand, is_interactive_shell, parsed_commands

TABLE: tuple[Program, ...] = (*JAVASCRIPT, *PYTHON, *LANGUAGES, *SERVICES)
_STARTERS = frozenset(
    {*WRAPPERS, *SHELLS, "make", "just", "task", "foreman", "overmind", "honcho", "hivemind", "concurrently"}
    | {"turbo", "nx", "lerna", "mvn", "gradle", "next", "tini", "dumb-init", "docker-init"}
)


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """What to change, for a person and for a program.

    `before` and `after` are parts of the command line as a shell takes them (`before` empty: `after` is to be
    added); both empty: the command line has nothing to change. `command` is the whole changed command line,
    None where it is not known. `env` is the variable to set, `file` and `line` the setting that does the
    same.
    """

    program: str
    before: str = ""
    after: str = ""
    command: tuple[str, ...] | None = None
    env: str = ""
    file: str = ""
    line: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """One line: `Vite: change `--host 0.0.0.0` to `--host 127.0.0.1``."""
        ways = []
        if self.before:
            ways.append(f"change `{self.before}` to `{self.after}`")
        else:
            ways.extend(
                way
                for needed, way in (
                    (self.after, f"add `{self.after}` to its command"),
                    (self.env, f"start it with `{self.env}` in its environment"),
                    (self.file, f"set `{self.line}` in {self.file}"),
                )
                if needed
            )
        note = f" ({self.note})" if self.note else ""
        return f"{self.program}: {', or '.join(ways)}{note}"


def propose(argv: Sequence[str], parents: Sequence[Sequence[str]] = (), port: int = 0) -> Fix | None:
    """The fix for a process that listens on `port`; None if nothing about its command line is known.

    `parents` are the command lines of the processes above it, the nearest first. A command that a shell is to
    run is `("sh", "-c", text)`.
    """
    found = find(argv, parents, port)
    if found is None:
        return _unknown(argv, port)
    row, reading = found
    for attempt in (_by_option, _by_switch, _by_assignment, _by_wildcard):
        if fix := attempt(row, reading, parents, port):
            return fix
    return _by_addition(row, reading, port)


def find(argv: Sequence[str], parents: Sequence[Sequence[str]], port: int) -> tuple[Program, ParsedCommand] | None:
    """The row of a process and the reading of a command line that it fits."""
    own = _row_of(argv, port)
    if own and not own[0].weak and not own[1].title:
        return own
    for parent in parents:
        above = _row_of(parent, port)
        if above and not above[0].weak and not above[1].title:
            return above
        if is_interactive_shell(parent) or not _starts_others(parent):
            break
    return own


def program_of(argv: Sequence[str], parents: Sequence[Sequence[str]] = (), port: int = 0) -> str:
    """What a person calls the program behind a process: a row's name, else the innermost thing that it runs."""
    found = find(argv, parents, port)
    if found is not None and not found[0].weak:
        return found[0].program
    inner = next(reversed(list(parsed_commands(argv))), None)
    return inner.before[-1].replace("\\", "/").rpartition("/")[2] if inner else ""


def _row_of(argv: Sequence[str], port: int) -> tuple[Program, ParsedCommand] | None:
    """The innermost reading that a row knows; a row that knows the program before one that knows the language."""
    known = [(row, reading) for reading in parsed_commands(argv) if (row := _fitting(reading, port))]
    strong = [pair for pair in known if not pair[0].weak]
    return next(reversed(strong or known), None)


def _fitting(reading: ParsedCommand, port: int) -> Program | None:
    return next((row for row in TABLE if _fits(row, reading, port)), None)


def _fits(row: Program, reading: ParsedCommand, port: int) -> bool:
    return (
        not reading.names.isdisjoint(row.names)
        and (not row.words or any(word in reading.args for word in row.words))
        and (not row.contains or any(row.contains in token for token in reading.command))
        and row.port in {0, port}
    )


def _starts_others(argv: Sequence[str]) -> bool:
    return any(not reading.names.isdisjoint(_STARTERS) for reading in parsed_commands(argv))


def _by_option(row: Program, reading: ParsedCommand, _: Iterable[Sequence[str]], port: int) -> Fix | None:
    """The option that exposes it is on the command line."""
    edits = [edit for option in row.options for edit in options.exposing(option, reading.args)]
    return _edited(row, reading, edits, port)


def _by_switch(row: Program, reading: ParsedCommand, _: Iterable[Sequence[str]], port: int) -> Fix | None:
    new = options.added(row.options[0], port) if row.options else ()
    edits = [
        options.OptionEdit(index, index + 1, new, port) for index, arg in enumerate(reading.args) if arg in row.exposes
    ]
    return _edited(row, reading, edits, port)


def _by_assignment(row: Program, reading: ParsedCommand, parents: Iterable[Sequence[str]], port: int) -> Fix | None:
    """The variable that exposes it is set on its command line or a parent's."""
    if not row.env:
        return None
    above = (one for parent in parents for one in parsed_commands(parent))
    for one in (reading, *above):
        value = dict(one.env).get(row.env)
        if value is not None:
            old, new = f"{row.env}={value}", _assignment(row, port)
            command = tuple(new if token == old else token for token in one.command)
            return Fix(program=row.program, before=old, after=new, command=command, env=new)
    return None


def _by_wildcard(row: Program, reading: ParsedCommand, _: Iterable[Sequence[str]], port: int) -> Fix | None:
    """Only the language is known, yet an argument is plainly a wildcard address: `-addr :8080`."""
    return _edited(row, reading, options.wildcards(reading.args, port), port) if row.weak else None


def _by_addition(row: Program, reading: ParsedCommand, port: int) -> Fix:
    """Nothing on the command line exposes it: a default or a file does. What to add, or to set."""
    env = _assignment(row, port) if row.env else ""
    fix = Fix(
        program=row.program,
        env=env,
        file=row.file,
        line=_fill(row.line, reading, port),
        note=_fill(row.note, reading, port),
        command=("env", env, *reading.command) if env and not reading.title else None,
    )
    option = next((one for one in row.options if one.add), None)
    if option is None or options.given(row.options, reading.args):
        return fix
    new = options.added(option, port)
    command = (
        None
        if reading.title
        else reading.before + options.inserted(reading.args, new, row.words if option.first else None)
    )
    return msgspec.structs.replace(fix, after=options.shown(new), command=command)


def _unknown(argv: Sequence[str], port: int) -> Fix | None:
    """A program without a row: only a plain wildcard among its arguments can be told."""
    reading = next(reversed(list(parsed_commands(argv))), None)
    if reading is None or reading.title:
        return None
    program = reading.before[-1].replace("\\", "/").rpartition("/")[2]
    row = Program(program=program, names=())
    return _edited(row, reading, options.wildcards(reading.args, port), port)


def _edited(row: Program, reading: ParsedCommand, edits: list[options.OptionEdit], port: int) -> Fix | None:
    edits = options.relevant(edits, port)
    if not edits:
        return None
    return Fix(
        program=row.program,
        before=options.shown(token for edit in edits for token in reading.args[edit.start : edit.end]),
        after=options.shown(token for edit in edits for token in edit.tokens),
        command=None if reading.title else reading.before + options.applied(reading.args, edits),
        file=row.file,
        line=_fill(row.line, reading, port),
    )


def _assignment(row: Program, port: int) -> str:
    return f"{row.env}={row.env_value.replace('{port}', str(port))}"


def _fill(text: str, reading: ParsedCommand, port: int) -> str:
    """A row's text with the port, and a container's port where a container engine's forwarder tells it."""
    container = re.search(r"-container-port[ =](\d+)", " ".join(reading.args))
    return text.replace("{port}", str(port)).replace("{container}", container[1] if container else "PORT")
