"""The flags that a development server needs so that it takes the port it is given, on loopback, under our names.

How it works: `adapt` goes down a command line to the program in it, through shells (`shell.py`) and `npm run`, finds
its row of the catalogue, and adds what its arguments lack; the change then travels back up. A program's own arguments
can be changed anywhere. A script of `package.json` is not ours to write: all that can be done is to pass it more
arguments, which end up behind its last command. What frameworks read from the environment is set besides. Where
the way down ends at something that starts others (`make dev`, several packages, a wrapper that is not known) a person
is told what was not followed, and what is done instead.
Not here: reading `package.json` (`run/command.py`), the spellings of options (`options.py`). Pure.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence

import msgspec

from devproxy.programs import options
from devproxy.programs.catalog.program import Extra, Option, Program
from devproxy.programs.command_line import SHELLS, WRAPPERS, ParsedCommand, parsed_commands, without_own_options
from devproxy.programs.recognize import does_serve, find_row, given
from devproxy.programs.scripts import ScriptCall, is_opaque, script_call
from devproxy.programs.shell import replace_words, simple_commands
from devproxy.text import shown

# (folder relative to the command's, which script) → the script's text, None where there is none
Scripts = Callable[[str, ScriptCall], str | None]

# what stands behind their dashes runs somewhere else, is no command, or is another program's own
_NO_WRAPPERS = frozenset({"docker", "podman", "nerdctl", "kubectl", "ssh", "limactl", "vagrant", "git", "echo", "grep"})
_VERBS = frozenset({"serve"})  # a program's name, and what many others are told to do
DEEPEST = 6  # scripts that call scripts
FARTHEST = 12  # words of a wrapper that is not known
VITE = "__VITE_ADDITIONAL_SERVER_ALLOWED_HOSTS"
RAILS = "RAILS_DEVELOPMENT_HOSTS"
# `localhost:8000`, but neither `$PORT2`, `$2` nor `${P}2`
_LAST_NUMBER = re.compile(r"(?<![$\w.})])([0-9]{1,5})(?=/?$)")


class AdaptedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command line with what it lacked, the environment to add, and what to tell a person ("" nothing).

    `port` is the one it will listen on: the one it was given, unless the command names another itself.
    `program` is what a person calls the framework, "" where none was recognised; `serves`: it is told to listen;
    `own_host`: it refuses a `Host` that is not its own address.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    note: str = ""
    port: int
    program: str = ""
    serves: bool = False
    own_host: bool = False


class _Target(msgspec.Struct, frozen=True):
    """Where a program is to listen, and under which names (`*.` is a wildcard) and URL it is reached.

    `insist`: a port that the command names itself is replaced.
    """

    port: int
    hostnames: tuple[str, ...]
    url: str
    insist: bool


class _Position(msgspec.Struct, frozen=True):
    """Where in the command we are: its folder, how many scripts down, and whether only its end can be added to, which
    begins behind the first `fixed` characters (None: behind them all)."""

    folder: str = ""
    depth: int = 0
    end_only: bool = False
    fixed: int | None = None


class _Arguments(msgspec.Struct, frozen=True):
    """A program's arguments with what they lacked, the environment to add, the port, and what to tell a person;
    `serves`: they tell it to listen."""

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    port: int
    note: str = ""
    serves: bool = False


def no_scripts(_folder: str, _called: ScriptCall) -> None:
    """Where there is no `package.json`."""


def adapt(
    argv: Sequence[str],
    port: int,
    hostnames: Sequence[str] = (),
    *,
    url: str = "",
    scripts: Scripts = no_scripts,
    insist: bool = False,
) -> AdaptedCommand:
    """The command with the flags for port and host that its framework needs and that it does not have.

    A shell's command is `("sh", "-c", text)`. What the command says itself stays, unless `insist`: then another port
    in it is replaced.
    """
    adapter = _Adapter(_Target(port, tuple(hostnames), url, insist), scripts)
    found = adapter.command(tuple(argv), _Position()) or AdaptedCommand(argv=tuple(argv), port=port)
    if not found.serves and not found.note:
        found = msgspec.structs.replace(found, note=adapter.not_followed)
    return msgspec.structs.replace(found, env=(*hostname_variables(hostnames), *adapter.env, *found.env))


class _Adapter:
    """One way down a command line, and up again. `not_followed` says where it ended before any program was found, `env`
    is what the runners on the way need."""

    def __init__(self, target: _Target, scripts: Scripts):
        self._target = target
        self._scripts = scripts
        self.not_followed = ""
        self.env: tuple[tuple[str, str], ...] = ()

    def command(self, argv: tuple[str, ...], position: _Position) -> AdaptedCommand | None:
        """The command changed; None if nothing in it is known."""
        for command in (one for one in parsed_commands(argv) if one.tokens == argv):
            if not SHELLS.isdisjoint(command.names) and len(command.args) > 1 and command.args[0] in {"-c", "-lc"}:
                return self._shell(command, position)
            if (called := script_call(command)) and (found := self._script(argv, called, position)):
                return found
        found = self._program(argv, position) or self._behind_dashes(argv, position)
        if found is None:
            self._look_for_others(argv)
        return found

    def _behind_dashes(self, argv: tuple[str, ...], position: _Position) -> AdaptedCommand | None:
        """`infisical run -- vite`: what stands behind the dashes of a program that is not known, if that is."""
        place = argv.index("--") + 1 if "--" in argv else len(argv)
        inner = argv[place:]
        if not inner or _is_known(argv[:place]):
            return None
        command = next(reversed(list(parsed_commands(inner))), None)
        found = self.command(inner, position) if command is not None else None
        return found and msgspec.structs.replace(found, argv=(*argv[:place], *found.argv))

    def _look_for_others(self, argv: tuple[str, ...]) -> None:
        """Tell of a command that starts something which cannot be seen from here."""
        for command in parsed_commands(argv):
            if is_opaque(command):
                self._tell(argv, "what it starts is written elsewhere")
                return
        for place in range(1, min(len(argv), FARTHEST)):
            found = find_row(argv[place:])
            if found is None or found[0].generic or found[1].before != argv[place : place + 1] or argv[place] in _VERBS:
                continue
            row, inner = found
            if row.serves is not None and does_serve(row.serves, inner) and not _is_known(argv[:place]):
                self._tell(argv, f"it seems to start {row.name}, and is not known here")
            return

    def _tell(self, argv: Sequence[str], why: str) -> None:
        self.not_followed = self.not_followed or (
            f"`{shown(options.shell_text(argv))}` is not followed: {why}. It gets its port as PORT, and no flags; what"
            " does not read PORT needs its own, such as `--port $PORT`, where it is started"
        )

    def _program(self, argv: tuple[str, ...], position: _Position) -> AdaptedCommand | None:
        found = find_row(argv, port=self._target.port)
        if found is None or found[1].tokens != argv:
            return None
        row, command = found
        whole = without_own_options(command)
        change = _with_missing(row, whole, self._target, end_only=position.end_only)
        return AdaptedCommand(
            argv=argv if change.args == whole.args else whole.before + change.args,
            env=change.env,
            note=change.note,
            port=change.port,
            program=row.name,
            serves=change.serves,
            own_host=change.serves and row.own_host,
        )

    def _shell(self, command: ParsedCommand, position: _Position) -> AdaptedCommand | None:
        found = self._text(command.args[1], msgspec.structs.replace(position, fixed=None))
        return found and msgspec.structs.replace(
            found, argv=(*command.before, command.args[0], found.argv[0], *command.args[2:])
        )

    def _text(self, text: str, position: _Position) -> AdaptedCommand | None:
        """A shell's text changed: the only word of the answer's `argv`."""
        folder = position.folder
        first = None
        for simple in simple_commands(text):
            if simple.words[0] == "cd" and len(simple.words) == 2:
                folder = _joined(folder, simple.words[1])
                continue
            at_end = position.end_only and simple.end == len(text.rstrip())
            found = self.command(simple.words, _Position(folder, position.depth, at_end))
            if found is None:
                continue
            new = replace_words(text, simple, found.argv)
            if new is None or (position.end_only and not new.startswith(text.rstrip()[: position.fixed])):
                found = _unchangeable(found, text, changed=found.argv != simple.words)
            else:
                found = msgspec.structs.replace(found, argv=(new,))
            if found.serves:  # before what only prepares: `node build.js && vite`
                return found
            first = first or found
        return first

    def _script(self, argv: tuple[str, ...], called: ScriptCall, position: _Position) -> AdaptedCommand | None:
        """`npm run dev`: what its script lacks is passed on as arguments."""
        folder = _joined(position.folder, called.folder)
        self.env += called.env
        if called.unclear:
            self._tell(argv, called.unclear)
            return None
        text = self._scripts(folder, called) if position.depth < DEEPEST else None
        if text is None:
            if called.package or called.source != "package.json":
                self._tell(argv, f"`{called.script}` was not found in the files of a package")
            return None
        text = text.rstrip()
        whole = " ".join([text, *map(shlex.quote, called.passed)])
        found = self._text(whole, _Position(folder, position.depth + 1, True, len(text)))
        if found is None:
            return None
        needed = tuple(shlex.split(found.argv[0][len(text) :]))
        if needed == called.passed:
            return msgspec.structs.replace(found, argv=argv)
        elsewhere = max(len(called.passed) - called.given, 0)  # words that stand before a runner's own dashes
        kept = argv[: len(argv) - called.given]
        return msgspec.structs.replace(found, argv=(*kept, *called.dashes, *needed[elsewhere:]))


def _is_known(argv: Sequence[str]) -> bool:
    """Whether what stands before a `--` is a program with arguments of its own there, or none that runs here."""
    return any(
        not command.names.isdisjoint(_NO_WRAPPERS) or not command.names.isdisjoint(WRAPPERS) or find_row(argv)
        for command in parsed_commands(argv)
    )


def _joined(folder: str, more: str) -> str:
    return more if not folder or more.startswith(("/", "~")) else f"{folder}/{more}" if more else folder


def _unchangeable(found: AdaptedCommand, text: str, *, changed: bool) -> AdaptedCommand:
    """The program is known, but its place in the text cannot be changed."""
    if not changed or any(str(found.port) in value for _, value in found.env):  # a variable tells it as well
        return msgspec.structs.replace(found, argv=(text,))
    note = f"{found.program} does not read PORT, and its flags cannot be added to `{text}`: write them into it"
    return msgspec.structs.replace(found, argv=(text,), note=note)


# One program's arguments


def _with_missing(row: Program, command: ParsedCommand, target: _Target, *, end_only: bool) -> _Arguments:
    """The arguments of a command with what they lack; `end_only`: tokens can only be added behind them."""
    if row.serves is None:
        return _Arguments(command.args, _environment(row, target.port), target.port, row.start_note)
    if not does_serve(row.serves, command):
        return _Arguments(command.args, (), target.port)
    named = _named_port(_port_options(row), command.args)
    own = named[0] if named and named[0] else target.port
    args, port, note = command.args, own, ""
    if own != target.port and target.insist:
        replaced = _with_port(named[1], args, target.port, end_only) if named else None
        args, port = (replaced, target.port) if replaced else (args, own)
        kept = f"{row.name} listens on port {own}, as its command says, which cannot be changed from here"
        note = f"port {own} in the command becomes {port}: `port = {own}` would keep it" if replaced else kept
    args = _with_flags(row, args, msgspec.structs.replace(target, port=port), is_port_named=named is not None)
    return _Arguments(args, _environment(row, port), port, note or row.start_note, serves=True)


def _port_options(row: Program) -> tuple[Option, ...]:
    """The options whose value has the port in it."""
    if row.port is not None:
        return (row.port,)
    return tuple(option for option in row.listen if option.form != "host")


def _named_port(port_options: Sequence[Option], args: Sequence[str]) -> tuple[int, Option] | None:
    """The port that the arguments name and the option that does; 0 where its value is no number (`$PORT`)."""
    for option in port_options:
        for use in options.option_uses(option, args):
            found = _LAST_NUMBER.search(use.values[0])
            if found or use.values[0]:
                return (int(found[1]) if found else 0), option
    return None


def _with_port(option: Option, args: tuple[str, ...], port: int, end_only: bool) -> tuple[str, ...] | None:
    """Another port in place of the named one, behind everything if only that can be done; None if it cannot be."""
    if end_only:  # of an option that is given twice, the last counts
        once = not option.flags or option.form != "host"
        return None if once else options.insert_tokens(args, options.option_tokens(option, port))
    use = next(options.option_uses(option, args))
    new = _LAST_NUMBER.sub(str(port), use.values[0])
    return (*args[: use.start], *use.head, use.prefix + new, *args[use.end :])


def _with_flags(row: Program, args: tuple[str, ...], target: _Target, *, is_port_named: bool) -> tuple[str, ...]:
    """The arguments with the flags for port, host and names that are not among them."""
    option = next((one for one in row.listen if one.add), None)
    if row.port is None and option is not None and option.flags and not is_port_named:
        args = _without_empty(option, args)
    tokens: list[str] = []
    if row.port is not None and not is_port_named:
        tokens += options.option_tokens(row.port, target.port)
    if option is not None and not options.is_given(row.listen, args):
        tokens += options.option_tokens(option, target.port)
    for extra in row.extra:
        tokens += _extra_tokens(extra, args, target)
    first = option is not None and option.first
    return options.insert_tokens(args, tokens, row.words if first else None) if tokens else args


def _without_empty(option: Option, args: tuple[str, ...]) -> tuple[str, ...]:
    """`php -S` without an address: the option goes, to come back with one."""
    for use in options.option_uses(option, args):
        if use.values == ("",) and use.end == use.start + 1:
            return args[: use.start] + args[use.end :]
    return args


def _extra_tokens(extra: Extra, args: tuple[str, ...], target: _Target) -> Iterator[str]:
    if given(extra.unless, args):
        return
    hosts = [name for name in target.hostnames if not name.startswith("*") and (_is_foreign(name) or not extra.foreign)]
    for name in hosts if extra.each else hosts[:1]:
        for token in extra.tokens:
            yield token.replace("{name}", name).replace("{url}", target.url)


def _environment(row: Program, port: int) -> tuple[tuple[str, str], ...]:
    own = (row.host_variable,) if row.host_variable else ()
    return tuple((name, value.replace("{port}", str(port))) for name, value in (*own, *row.variables))


# The names under which it is reached


def hostname_variables(hostnames: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The environment that makes frameworks accept these hostnames (`*.` is a wildcard), none for none.

    Vite takes one name more, or with a dot in front everything below one; Rails takes a list. Both let in `.localhost`
    by themselves (Rails `.test` as well), as do webpack-dev-server, Next.js and Django with DEBUG.
    """
    if not hostnames:
        return ()
    dotted = [name.removeprefix("*") for name in hostnames]
    found = [(VITE, _covering(dotted))]
    foreign = [name for name in dotted if not name.endswith((".localhost", ".test"))]
    if foreign:
        found.append((RAILS, ",".join(foreign)))
    return tuple(found)


def _is_foreign(hostname: str) -> bool:
    """Whether dev servers do not let it in by themselves."""
    return not hostname.endswith(".localhost")


def _covering(dotted: Sequence[str]) -> str:
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
