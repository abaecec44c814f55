"""One program's arguments: which port they name, and the flags for port, host and names that they lack.

Lives here: applying a row to the arguments of its program.
Not here: rows (`rows.py`), the spellings of an option (`programs/options.py`), finding the program
(`programs/flags.py`). Pure.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from devproxy.programs import options as changes
from devproxy.programs.catalog import Option, Row
from devproxy.programs.command_line import Reading
from devproxy.run.hosts import is_foreign
from devproxy.run.rows import Extra, Launch

_LAST_NUMBER = re.compile(r"(?<![$\w.])(\d+)(?=/?$)")  # `localhost:8000`, but neither `$PORT2` nor `$2`


class Target(msgspec.Struct, frozen=True):
    """Where a program is to listen, and under which names (`*.` is a wildcard) and URL it is reached.

    `insist`: a port that the command names itself is replaced.
    """

    port: int
    hostnames: tuple[str, ...] = ()
    url: str = ""
    insist: bool = False


class Change(msgspec.Struct, frozen=True):
    """New arguments, the environment to add, the port that it will listen on, and what to tell a person."""

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    port: int
    note: str = ""


def changed(row: Row, launch: Launch | None, reading: Reading, target: Target, *, end_only: bool) -> Change:
    """The arguments of a reading with what they lack; `end_only`: tokens can only be added behind them."""
    if launch is None or not launch.flags or not _serves(launch, reading) or _given(launch.unless, reading.args):
        env = _environment(row, launch, target.port) if launch is None or not launch.flags else ()
        return Change(reading.args, env, target.port, launch.note if launch and not launch.flags else "")
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
    return Change(args, _environment(row, launch, port), port, note)


def _serves(launch: Launch, reading: Reading) -> bool:
    """Whether the program is told to serve: `vite build` and `flask shell` are not."""
    plain = [arg for arg in reading.args if not arg.startswith("-")]
    if not reading.names.isdisjoint(launch.alone):
        return True
    if plain and plain[0] in launch.without:
        return False
    return not launch.words or any(word in launch.words for word in plain) or (launch.bare and not plain)


def _given(flags: Sequence[str], args: Sequence[str]) -> bool:
    return any(arg == flag or arg.startswith(f"{flag}=") for flag in flags for arg in args)


def _port_options(row: Row, launch: Launch) -> tuple[Option, ...]:
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


def _with_flags(row: Row, launch: Launch, args: tuple[str, ...], target: Target, *, named: bool) -> tuple[str, ...]:
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


def _environment(row: Row, launch: Launch | None, port: int) -> tuple[tuple[str, str], ...]:
    own = ((row.env, row.env_value),) if row.env else ()
    return tuple((name, value.replace("{port}", str(port))) for name, value in (*own, *(launch.env if launch else ())))
