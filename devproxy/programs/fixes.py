"""From a program that others can reach to the exact change that makes it listen on loopback only.

How it works: the first of these that applies. The option that exposes it is on the command line; a switch that does is;
the variable that does is set there or in a parent's; an argument is plainly a wildcard address; or else a default or a
file exposes it, and something is to be added or set.
Not here: which program it is (`recognize.py`), the rows (`catalog/`), editing arguments (`options.py`). Pure.
"""

import re
from collections.abc import Sequence

import msgspec

from devproxy.programs import options
from devproxy.programs.catalog.program import Program
from devproxy.programs.command_line import ParsedCommand, parsed_commands
from devproxy.programs.recognize import RecognizedProgram


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """What to change, for a person and for a program.

    `before` and `after` are parts of the command line as a shell takes them (`before` empty: `after` is to be
    added); both empty: the command line has nothing to change. `command` is the whole changed command line,
    None where it is not known. `variable` is the one to set (`HOST=127.0.0.1`), `file` and `line` the setting that does
    the same.
    """

    program: str
    before: str = ""
    after: str = ""
    command: tuple[str, ...] | None = None
    variable: str = ""
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
                    (self.variable, f"start it with `{self.variable}` in its environment"),
                    (self.file, f"set `{self.line}` in {self.file}"),
                )
                if needed
            )
        note = f" ({self.note})" if self.note else ""
        return f"{self.program}: {', or '.join(ways)}{note}"


def propose_fix(program: RecognizedProgram) -> Fix | None:
    """What to change about a process that others can reach; None if nothing about its command line is known."""
    row, command, port = program.row, program.command, program.port
    if command is None:
        return None
    if row is None:
        unknown = Program(name=program.name, names=())
        return None if command.title else _wildcard_change(unknown, command, port)
    return (
        _option_change(row, command, port)
        or _switch_change(row, command, port)
        or _variable_change(row, command, program.parents, port)
        or (_wildcard_change(row, command, port) if row.generic else None)
        or _addition(row, command, port)
    )


def _option_change(row: Program, command: ParsedCommand, port: int) -> Fix | None:
    edits = [edit for option in row.listen for edit in options.loopback_edits(option, command.args)]
    return _edited(row, command, edits, port)


def _switch_change(row: Program, command: ParsedCommand, port: int) -> Fix | None:
    """A switch without a value opens it up: an option takes its place."""
    new = options.option_tokens(row.listen[0], port) if row.listen else ()
    edits = [
        options.OptionEdit(index, index + 1, new, port) for index, arg in enumerate(command.args) if arg in row.exposes
    ]
    return _edited(row, command, edits, port)


def _variable_change(row: Program, command: ParsedCommand, parents: Sequence[Sequence[str]], port: int) -> Fix | None:
    """The variable that exposes it is set on its command line or a parent's."""
    if row.host_variable is None:
        return None
    above = (one for parent in parents for one in parsed_commands(parent))
    for one in (command, *above):
        value = dict(one.env).get(row.host_variable[0])
        if value is not None:
            old, new = f"{row.host_variable[0]}={value}", _assignment(row, port)
            changed = tuple(new if token == old else token for token in one.tokens)
            return Fix(program=row.name, before=old, after=new, command=changed, variable=new)
    return None


def _wildcard_change(row: Program, command: ParsedCommand, port: int) -> Fix | None:
    """Only the language is known, or not even that, yet an argument is plainly a wildcard address: `-addr :8080`."""
    return _edited(row, command, options.wildcard_edits(command.args, port), port)


def _edited(row: Program, command: ParsedCommand, edits: list[options.OptionEdit], port: int) -> Fix | None:
    edits = options.edits_for_port(edits, port)
    if not edits:
        return None
    return Fix(
        program=row.name,
        before=options.shell_text(token for edit in edits for token in command.args[edit.start : edit.end]),
        after=options.shell_text(token for edit in edits for token in edit.tokens),
        command=None if command.title else command.before + options.apply_edits(command.args, edits),
        file=row.file,
        line=_filled(row.line, command, port),
    )


def _addition(row: Program, command: ParsedCommand, port: int) -> Fix:
    """Nothing on the command line exposes it: a default or a file does. What to add, or to set."""
    variable = _assignment(row, port)
    fix = Fix(
        program=row.name,
        variable=variable,
        file=row.file,
        line=_filled(row.line, command, port),
        note=_filled(row.fix_note, command, port),
        command=("env", variable, *command.tokens) if variable and not command.title else None,
    )
    option = next((one for one in row.listen if one.add), None)
    if option is None or options.is_given(row.listen, command.args):
        return fix
    new = options.option_tokens(option, port)
    changed = command.before + options.insert_tokens(command.args, new, row.words if option.first else None)
    return msgspec.structs.replace(fix, after=options.shell_text(new), command=None if command.title else changed)


def _assignment(row: Program, port: int) -> str:
    """`HOST=127.0.0.1`, empty for a program that reads no such variable."""
    return "=".join(row.host_variable).replace("{port}", str(port)) if row.host_variable else ""


def _filled(text: str, command: ParsedCommand, port: int) -> str:
    """A row's text with the port, and a container's port where a container engine's forwarder tells it."""
    container = re.search(r"-container-port[ =](\d+)", " ".join(command.args))
    return text.replace("{port}", str(port)).replace("{container}", container[1] if container else "PORT")
