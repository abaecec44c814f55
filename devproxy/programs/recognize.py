"""Which program a process is: from its command line, and those of its parents, to a row of the catalogue.

How it works: the last reading of a command line that a row knows counts, since `node vite.js` is Vite and not just
Node. Where the process itself shows only its language, or has overwritten its command line, its parents are asked, as
far up as they merely started it: `npm run dev` → `sh -c "next dev"` → `next-server (v15)`.
Not here: reading a command line (`command_line.py`), what follows for it (`fixes.py`, `flags.py`). Pure.
"""

from collections.abc import Iterator, Sequence

import msgspec

from devproxy.programs.catalog import CATALOG
from devproxy.programs.catalog.program import Program, Serving
from devproxy.programs.catalog.workers import MIGRATIONS, WORKERS, Portless
from devproxy.programs.command_line import SHELLS, WRAPPERS, ParsedCommand, is_interactive_shell, parsed_commands

# What starts other programs, and is not what a person wants to hear of.
_STARTERS = frozenset(
    {*WRAPPERS, *SHELLS, "make", "just", "task", "foreman", "overmind", "honcho", "hivemind", "concurrently"}
    | {"turbo", "nx", "lerna", "mvn", "gradle", "next", "tini", "dumb-init", "docker-init"}
)
# What dies of a SIGTERM, or waits for its child, without having passed it on; others that start a program do pass it on
_PASSES_NOTHING_ON = SHELLS | {"npm", "npx", "pnpm", "pnpx", "pnx", "yarn", "bunx", "conda", "hatch", "pdm", "pipenv"}
_JAVA = frozenset(
    {"java", "mvn", "mvnw", "mvnd", "gradle", "gradlew", "quarkus", "sbt", "mill", "lein", "clj", "clojure", "kotlin"}
    | {"jshell", "jbang", "scala", "groovy", "grails", "catalina.sh", "elasticsearch"}
)
_INTERPRETERS = frozenset({"node", "python", "pypy"})


class RecognizedProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A process as the catalogue knows it.

    `name` is what a person calls it: its row's name, else that of the innermost thing that it runs, "" where nothing
    tells. `row` is None where the catalogue has none; `command` the reading that fits the row, without a row the
    innermost one of the process's own, None where there is nothing to read. `port` is the one it listens on, `parents`
    are the command lines above its own, the nearest first.
    """

    name: str
    row: Program | None
    command: ParsedCommand | None
    parents: tuple[tuple[str, ...], ...]
    port: int


def recognize(argv: Sequence[str], parents: Sequence[Sequence[str]] = (), port: int = 0) -> RecognizedProgram:
    """The program of a process that listens on `port`. A command that a shell is to run is `("sh", "-c", text)`."""
    found = find_row(argv, parents, port)
    row, command = found if found is not None else (None, _innermost(argv))
    name = row.name if row is not None and not row.generic else _shown_name(_innermost(argv))
    return RecognizedProgram(name=name, row=row, command=command, parents=tuple(map(tuple, parents)), port=port)


def find_row(
    argv: Sequence[str], parents: Sequence[Sequence[str]] = (), port: int = 0
) -> tuple[Program, ParsedCommand] | None:
    """The row of a process, and the reading of a command line that it fits."""
    own = _row_of(argv, port)
    if own and _is_certain(*own):
        return own
    for parent in parents:
        above = _row_of(parent, port)
        if above and _is_certain(*above):
            return above
        if is_interactive_shell(parent) or not _starts_others(parent):
            break
    return own


def does_serve(serves: Serving, command: ParsedCommand) -> bool:
    """Whether the arguments are those that a row means: `vite build` and `flask shell` do not serve."""
    if given(serves.elsewhere, command.args):
        return False
    if not command.names.isdisjoint(serves.alone):
        return True
    if serves.flags and not given(serves.flags, command.args):
        return False
    operands = [arg for arg in command.args if not arg.startswith("-")]
    if operands and (operands[0] in serves.without or not serves.never.isdisjoint(operands)):
        return False
    return not serves.words or any(word in serves.words for word in operands) or (serves.bare and not operands)


def given(flags: Sequence[str], args: Sequence[str]) -> bool:
    """Whether one of these options is among the arguments."""
    return any(arg == flag or arg.startswith(f"{flag}=") for flag in flags for arg in args)


def is_worker(argv: Sequence[str]) -> bool:
    """Whether a command listens on no port by its nature: a worker of a queue, a watcher of files."""
    return _is_one_of(WORKERS, argv)


def is_migration(argv: Sequence[str]) -> bool:
    """Whether a command brings a database up to date, and ends."""
    return _is_one_of(MIGRATIONS, argv)


def starts_java(argv: Sequence[str]) -> bool:
    """Whether a command starts a Java virtual machine, as far as its text says."""
    return any(not command.names.isdisjoint(_JAVA) for command in parsed_commands(argv))


def _is_one_of(rows: Sequence[Portless], argv: Sequence[str]) -> bool:
    return any(
        not command.names.isdisjoint(row.names) and does_serve(row.works, command)
        for command in parsed_commands(argv)
        for row in rows
    )


def _is_certain(row: Program, command: ParsedCommand) -> bool:
    return not row.generic and not command.title


def _row_of(argv: Sequence[str], port: int) -> tuple[Program, ParsedCommand] | None:
    """The innermost reading that a row knows; a row that knows the program before one that knows the language."""
    known = list(_fitting(argv, port))
    certain = [pair for pair in known if not pair[0].generic]
    return next(reversed(certain or known), None)


def _fitting(argv: Sequence[str], port: int) -> Iterator[tuple[Program, ParsedCommand]]:
    for command in parsed_commands(argv):
        row = next((row for row in CATALOG if _fits(row, command, port)), None)
        if row is not None:
            yield row, command


def _fits(row: Program, command: ParsedCommand, port: int) -> bool:
    return (
        not command.names.isdisjoint(row.names)
        and (not row.words or any(word in command.args for word in row.words))
        and (not row.contains or any(row.contains in token for token in command.tokens))
        and row.only_port in {0, port}
    )


def _starts_others(argv: Sequence[str]) -> bool:
    return any(not command.names.isdisjoint(_STARTERS) for command in parsed_commands(argv))


def passes_no_signal_on(argv: Sequence[str]) -> bool:
    """Whether a process has to be asked to end together with what it has started: a shell, or `npm run` and its kin."""
    own = next((one for one in parsed_commands(argv) if _INTERPRETERS.isdisjoint(one.names)), None)
    return own is not None and not own.names.isdisjoint(_PASSES_NOTHING_ON)


def _innermost(argv: Sequence[str]) -> ParsedCommand | None:
    return next(reversed(list(parsed_commands(argv))), None)


def _shown_name(command: ParsedCommand | None) -> str:
    return command.before[-1].replace("\\", "/").rpartition("/")[2] if command else ""
