"""The flags that a development server needs so that it takes the port it is given, on loopback, under our names.

Lives here: going down a command line to the program in it (through shells and `npm run`), and what comes back up.
Not here: the change to one program's arguments (`programs/flags.py`), the programs (`programs/catalog.py`,
`health/rows/`), reading command lines (`programs/command_line.py`, `programs/command_line.py`, `shell.py`),
`package.json` (`run/command.py`). Pure.

A program's own arguments can be changed anywhere. A script of `package.json` is not ours to write: all that can be done
is to pass it more arguments, which end up behind its last command.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence

import msgspec

from devproxy.programs import options as changes
from devproxy.programs.catalog import LAUNCHES, Extra, LaunchOptions, Option, Program
from devproxy.programs.command_line import SHELLS, Call, ParsedCommand, call, dashed, parsed_commands
from devproxy.programs.fixes import find
from devproxy.programs.shell import replaced, segments

# The variables that make frameworks accept our hostnames.
#
# Vite takes one name more, or with a dot in front everything below one. Rails takes a list. Both let in `.localhost` by
# themselves (Rails `.test` as well), as do webpack-dev-server, Next.js and Django with DEBUG.


VITE = "__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS"
RAILS = "RAILS_DEVELOPMENT_HOSTS"


def variables(hostnames: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The environment for these hostnames (`*.` is a wildcard), none for none."""
    if not hostnames:
        return ()
    dotted = [name.removeprefix("*") for name in hostnames]
    found = [(VITE, _one(dotted))]
    foreign = [name for name in dotted if not name.endswith((".localhost", ".test"))]
    if foreign:
        found.append((RAILS, ",".join(foreign)))
    return tuple(found)


def is_foreign(hostname: str) -> bool:
    """Whether dev servers do not let it in by themselves."""
    return not hostname.endswith(".localhost")


def _one(dotted: Sequence[str]) -> str:
    """One entry that covers all the names, if they have more than a top-level domain in common; else the first."""
    if len(set(dotted)) == 1:
        return dotted[0]
    labels = [name.lstrip(".").split(".")[::-1] for name in dotted]
    common = []
    for parts in zip(*labels, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return "." + ".".join(reversed(common)) if len(common) > 1 else dotted[0]


# One program's arguments: which port they name, and the flags for port, host and names that they lack.


_LAST_NUMBER = re.compile(r"(?<![$\w.])(\d+)(?=/?$)")  # `localhost:8000`, but neither `$PORT2` nor `$2`


class Target(msgspec.Struct, frozen=True):
    """Where a program is to listen, and under which names (`*.` is a wildcard) and URL it is reached.

    `insist`: a port that the command names itself is replaced.
    """

    port: int
    hostnames: tuple[str, ...] = ()
    url: str = ""
    insist: bool = False


class CommandChange(msgspec.Struct, frozen=True):
    """New arguments, the environment to add, the port that it will listen on, and what to tell a person."""

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    port: int
    note: str = ""


def changed(
    row: Program, launch: LaunchOptions | None, reading: ParsedCommand, target: Target, *, end_only: bool
) -> CommandChange:
    """The arguments of a reading with what they lack; `end_only`: tokens can only be added behind them."""
    if launch is None or not launch.flags or not _serves(launch, reading) or _given(launch.unless, reading.args):
        env = _environment(row, launch, target.port) if launch is None or not launch.flags else ()
        return CommandChange(reading.args, env, target.port, launch.note if launch and not launch.flags else "")
    options = _port_options(row, launch)
    named = _named(options, reading.args)
    own = named[0] if named and named[0] else target.port
    args, port, note = reading.args, own, ""
    if own != target.port and target.insist:
        replaced = _with_port(options, args, target.port, end_only)
        args, port = (replaced, target.port) if replaced else (args, own)
        kept = f"{row.program} listens on port {own}, as its command says, which cannot be changed from here"
        note = f"port {own} in the command becomes {port}: `port = {own}` would keep it" if replaced else kept
    args = _with_flags(row, launch, args, msgspec.structs.replace(target, port=port), named=named is not None)
    return CommandChange(args, _environment(row, launch, port), port, note)


def _serves(launch: LaunchOptions, reading: ParsedCommand) -> bool:
    """Whether the program is told to serve: `vite build` and `flask shell` are not."""
    plain = [arg for arg in reading.args if not arg.startswith("-")]
    if not reading.names.isdisjoint(launch.alone):
        return True
    if plain and plain[0] in launch.without:
        return False
    return not launch.words or any(word in launch.words for word in plain) or (launch.bare and not plain)


def _given(flags: Sequence[str], args: Sequence[str]) -> bool:
    return any(arg == flag or arg.startswith(f"{flag}=") for flag in flags for arg in args)


def _port_options(row: Program, launch: LaunchOptions) -> tuple[Option, ...]:
    """The options whose value has the port in it."""
    if launch.port is not None:
        return (launch.port,)
    return tuple(option for option in row.options if option.form != "host")


def _named(options: Sequence[Option], args: Sequence[str]) -> tuple[int, Option] | None:
    """The port that the arguments name and the option that does; 0 where its value is no number (`$PORT`)."""
    for option in options:
        for given in changes.find(option, args):
            found = _LAST_NUMBER.search(given.values[0])
            if found or given.values[0]:
                return (int(found[1]) if found else 0), option
    return None


def _with_port(options: Sequence[Option], args: tuple[str, ...], port: int, end_only: bool) -> tuple[str, ...] | None:
    """Another port in place of the one that is named, behind everything if only that can be done; None if it cannot."""
    named = _named(options, args)
    option = named[1] if named else options[0]
    if end_only:  # of an option that is given twice, the last counts
        once = not option.flags or option.form != "host"
        return None if once else changes.inserted(args, changes.added(option, port))
    given = next(changes.find(option, args))
    new = _LAST_NUMBER.sub(str(port), given.values[0])
    return (*args[: given.start], *given.head, given.prefix + new, *args[given.end :])


def _with_flags(
    row: Program, launch: LaunchOptions, args: tuple[str, ...], target: Target, *, named: bool
) -> tuple[str, ...]:
    """The arguments with the flags for port, host and names that are not among them."""
    option = next((one for one in row.options if one.add), None)
    first = option is not None and option.first
    if launch.port is None and option is not None and option.flags and not named:
        args = _without_empty(option, args)
    tokens: list[str] = []
    if launch.port is not None and not named:
        tokens += changes.added(launch.port, target.port)
    if option is not None and not changes.given(row.options, args):
        tokens += changes.added(option, target.port)
    for extra in launch.extra:
        tokens += _extra(extra, args, target)
    return changes.inserted(args, tokens, (row.words or ()) if first else None) if tokens else args


def _without_empty(option: Option, args: tuple[str, ...]) -> tuple[str, ...]:
    """`php -S` without an address: the option goes, to come back with one."""
    for given in changes.find(option, args):
        if given.values == ("",) and given.end == given.start + 1:
            return args[: given.start] + args[given.end :]
    return args


def _extra(extra: Extra, args: tuple[str, ...], target: Target) -> Iterator[str]:
    if _given(extra.unless, args):
        return
    hosts = [name for name in target.hostnames if not name.startswith("*") and (is_foreign(name) or not extra.foreign)]
    for name in hosts if extra.each else hosts[:1]:
        for token in extra.tokens:
            yield token.replace("{name}", name).replace("{url}", target.url)


def _environment(row: Program, launch: LaunchOptions | None, port: int) -> tuple[tuple[str, str], ...]:
    own = ((row.env, row.env_value),) if row.env else ()
    return tuple((name, value.replace("{port}", str(port))) for name, value in (*own, *(launch.env if launch else ())))


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
        inner = tuple(one for one in parsed_commands(argv) if one.command == argv)
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

    def _shell(self, reading: ParsedCommand, place: _Place) -> Adapted | None:
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
