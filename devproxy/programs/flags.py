"""The flags that a development server needs so that it takes the port it is given, on loopback, under our names.

Lives here: going down a command line to the program in it (through shells and `npm run`), and what comes back up.
Not here: the change to one program's arguments (`run/flags.py`), the programs (`run/rows.py`, `health/rows/`), reading command
lines (`programs/command_line.py`, `run/calls.py`, `shell.py`), `package.json` (`run/scripts.py`). Pure.

A program's own arguments can be changed anywhere. A script of `package.json` is not ours to write: all that can be done
is to pass it more arguments, which end up behind its last command.
"""

import shlex
from collections.abc import Callable, Sequence

import msgspec

from devproxy.programs.command_line import SHELLS, Reading, readings
from devproxy.programs.fixes import find
from devproxy.programs.shell import replaced, segments
from devproxy.run.calls import Call, call, dashed
from devproxy.run.flags import Target, changed
from devproxy.run.hosts import variables
from devproxy.run.rows import LAUNCHES

# (folder relative to the command's, workspace or "", script) → the script's text, None where there is none
Scripts = Callable[[str, str, str], str | None]

DEEPEST = 6  # scripts that call scripts


class Adapted(msgspec.Struct, frozen=True, kw_only=True):
    """A command line with what it lacked, the environment to add, and what to tell a person ("" nothing).

    `port` is the one it will listen on: the one it was given, unless the command names another itself.
    `program` is what a person calls the framework, "" where none was recognised.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    note: str = ""
    port: int
    program: str = ""


class _Place(msgspec.Struct, frozen=True):
    """Where in the command we are: its folder, how many scripts down, and whether only its end can be added to."""

    folder: str = ""
    depth: int = 0
    end_only: bool = False


def no_scripts(_folder: str, _package: str, _script: str) -> None:
    """Where there is no `package.json`."""


def adapt(
    argv: Sequence[str],
    port: int,
    hostnames: Sequence[str] = (),
    *,
    url: str = "",
    scripts: Scripts = no_scripts,
    insist: bool = False,
) -> Adapted:
    """The command with the flags for port and host that its framework needs and that it does not have.

    A shell's command is `("sh", "-c", text)`. What the command says itself stays, unless `insist`: then another port
    in it is replaced.
    """
    walk = _Walk(Target(port=port, hostnames=tuple(hostnames), url=url, insist=insist), scripts)
    found = walk.command(tuple(argv), _Place()) or Adapted(argv=tuple(argv), port=port)
    return msgspec.structs.replace(found, env=(*variables(hostnames), *found.env))


class _Walk:
    """One way down a command line."""

    def __init__(self, target: Target, scripts: Scripts):
        self._target = target
        self._scripts = scripts

    def command(self, argv: tuple[str, ...], place: _Place) -> Adapted | None:
        """The command changed; None if nothing in it is known."""
        inner = tuple(one for one in readings(argv) if one.command == argv)
        for reading in inner:
            if not SHELLS.isdisjoint(reading.names) and len(reading.args) > 1 and reading.args[0] in {"-c", "-lc"}:
                return self._shell(reading, place)
            if (called := call(reading)) and (found := self._script(argv, called, place)):
                return found
        return self._program(argv, place)

    def _program(self, argv: tuple[str, ...], place: _Place) -> Adapted | None:
        found = find(argv, (), self._target.port)
        if found is None or found[1].command != argv:
            return None
        row, reading = found
        launch = LAUNCHES.get(row.program)
        whole = dashed(reading)
        change = changed(row, launch, whole, self._target, end_only=place.end_only)
        return Adapted(
            argv=argv if change.args == whole.args else whole.before + change.args,
            env=change.env,
            note=change.note,
            port=change.port,
            program=row.program,
        )

    def _shell(self, reading: Reading, place: _Place) -> Adapted | None:
        text = reading.args[1]
        found = self._text(text, place)
        return found and msgspec.structs.replace(
            found, argv=(*reading.before, reading.args[0], found.argv[0], *reading.args[2:])
        )

    def _text(self, text: str, place: _Place) -> Adapted | None:
        """A shell's text changed: the only word of the answer's `argv`."""
        folder = place.folder
        for segment in segments(text):
            if segment.words[0] == "cd" and len(segment.words) == 2:
                folder = _joined(folder, segment.words[1])
                continue
            ends = place.end_only and segment.end == len(text.rstrip())
            inner = _Place(folder, place.depth, ends)
            found = self.command(segment.words, inner)
            if found is None:
                continue
            new = replaced(text, segment, found.argv)
            if new is None or (place.end_only and not new.startswith(text.rstrip())):
                return _stuck(found, text, changed=found.argv != segment.words)
            return msgspec.structs.replace(found, argv=(new,))
        return None

    def _script(self, argv: tuple[str, ...], called: Call, place: _Place) -> Adapted | None:
        """`npm run dev`: what its script lacks is passed on as arguments."""
        folder = _joined(place.folder, called.folder)
        text = self._scripts(folder, called.package, called.script) if place.depth < DEEPEST else None
        if text is None:
            return None
        whole = " ".join([text.rstrip(), *map(shlex.quote, called.passed)])
        found = self._text(whole, _Place(folder, place.depth + 1, True))
        if found is None:
            return None
        more = shlex.split(found.argv[0][len(whole) :])
        return msgspec.structs.replace(found, argv=(*argv, *called.dashes, *more) if more else argv)


def _joined(folder: str, more: str) -> str:
    return more if not folder or more.startswith(("/", "~")) else f"{folder}/{more}" if more else folder


def _stuck(found: Adapted, text: str, *, changed: bool) -> Adapted:
    """The program is known, but its place in the text cannot be changed."""
    if not changed:
        return msgspec.structs.replace(found, argv=(text,))
    note = f"{found.program} does not read PORT, and its flags cannot be added to `{text}`: write them into it"
    return msgspec.structs.replace(found, argv=(text,), note=note)
