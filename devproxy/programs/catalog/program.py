"""The type of a row: all that devproxy knows of one program.

A row says how the program is recognised, how it is told its port and host, and how it is mended where others can
reach it. In its texts `{port}` is the port, `{url}` the service's URL, `{name}` one of its hostnames, `{container}` the
port inside a container.
"""

from typing import Literal

import msgspec

Form = Literal["host", "address", "url", "publish", "positional", "port"]


class Option(msgspec.Struct, frozen=True):
    """The part of a command line that says where to listen.

    `flags` are its spellings, the first is the one that is proposed; one that ends in `=` is joined with its value,
    one with a space is two tokens (`-c listen_addresses=`). `form` is what the value looks like: a host, an address
    with a port, a URL with both, a container's published port, an address that stands without a flag, or a port
    (which by itself means every interface, and is replaced flag and all). `safe` is the value to propose. `add`:
    propose it also where it is not given. `many`: several values may follow. `first`: it stands before the program's
    operands, since what follows them is not the program's own. `joined`: its value, if there is one, stands behind a
    `=`.
    """

    flags: tuple[str, ...] = ()
    form: Form = "host"
    safe: str = "127.0.0.1"
    add: bool = True
    many: bool = False
    first: bool = False
    joined: bool = False


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """With which arguments a program serves: `vite` and `vite dev` do, `vite build` does not.

    One of `words` is among its operands (any will do if there are none), or it is called by one of the names `alone`,
    or, with `bare`, it has no operand at all; one of the options `flags` is given, if there are any; the first operand
    is none of `without`, none of them is one of `never`, and none of the options `elsewhere` is given, with which it
    listens on something else than a port.
    """

    words: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    bare: bool = False
    flags: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    never: frozenset[str] = frozenset()
    elsewhere: tuple[str, ...] = ()


class Extra(msgspec.Struct, frozen=True):
    """Tokens to add at a start, unless one of the options `unless` is given: once, or with `each` for every hostname.

    `foreign`: only for hostnames that are not below `.localhost`, which dev servers let in by themselves.
    """

    tokens: tuple[str, ...]
    unless: tuple[str, ...]
    each: bool = False
    foreign: bool = False


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One program: how it is recognised, how it is told where to listen, how it is mended.

    Recognised: it has one of `names` (`command_line.names_of`); one of `words`, if there are any, is among its
    arguments; `contains` is a part of some token; it listens on `only_port`, if that is not 0. `generic`: the row knows
    the language and not the program, so that any other row that fits, here or in a parent's command line, counts more.

    Told: `listen` are the options that say where to listen, of which the first one to `add` is added, and `port` the
    one for the port, None where those of `listen` take it. They are added where `serves` says so; with None the
    arguments stay as they are. `variables` are set besides, `extra` is added, `start_note` is for a person. `own_host`:
    it refuses a `Host` that is not its own address, and nothing on its command line lets another one in.

    Mended: by an option of `listen`; by taking out a switch that opens it up (`exposes`); by `host_variable`, which is
    set at a start as well; by `line` in `file`. `fix_note` is added to the proposal.
    """

    name: str
    names: tuple[str, ...]
    words: tuple[str, ...] = ()
    contains: str = ""
    only_port: int = 0
    generic: bool = False

    serves: Serving | None = None
    port: Option | None = None
    listen: tuple[Option, ...] = ()
    extra: tuple[Extra, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    own_host: bool = False
    start_note: str = ""

    exposes: tuple[str, ...] = ()
    host_variable: tuple[str, str] | None = None
    file: str = ""
    line: str = ""
    fix_note: str = ""


ALWAYS = Serving()
SERVE_CODE = "the code that starts its server"


def port(*flags: str) -> Option:
    """An option that takes a port."""
    return Option(flags, safe="{port}")


def host(*flags: str, add: bool = True, many: bool = False) -> tuple[Option, ...]:
    """An option that takes a host."""
    return (Option(flags, add=add, many=many),)


def address(*flags: str) -> tuple[Option, ...]:
    """An option that takes a host and a port."""
    return (Option(flags, "address", "127.0.0.1:{port}"),)
