"""The rows of the table of fixes: for each program that people run in development, what makes it listen on
loopback.

Lives here: the type of a row; the rows themselves, as data, in one file a kind of program.
Not here: finding a program's row and applying it (`programs/fixes.py`, `programs/options.py`). Pure.

To teach devproxy a program is to add a row, and its test. A row is found by `names` (any of those that
`programs.names_of` gives), `words` (one of them must be among the arguments), `contains` (a text inside some
argument) and `port`; the first row that fits counts. `weak` rows know the language, not the program: any
better row in the command line or in a parent's wins. In texts `{port}` is the listener's port.
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
    operands, since what follows them is not the program's own.
    """

    flags: tuple[str, ...] = ()
    form: Form = "host"
    safe: str = "127.0.0.1"
    add: bool = True
    many: bool = False
    first: bool = False


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One program: how it is recognised, and what to change.

    `options` the first of which is proposed; `exposes` switches without a value that open it up; `env` the
    variable that does the same, and `env_value` what to set it to; `file` and `line` the setting that does.
    `note` is added to the proposal.
    """

    program: str
    names: tuple[str, ...]
    words: tuple[str, ...] = ()
    contains: str = ""
    port: int = 0
    options: tuple[Option, ...] = ()
    exposes: tuple[str, ...] = ()
    env: str = ""
    env_value: str = "127.0.0.1"
    file: str = ""
    line: str = ""
    note: str = ""
    weak: bool = False


def host(*flags: str, add: bool = True, many: bool = False) -> tuple[Option, ...]:
    """An option that takes a host."""
    return (Option(flags, add=add, many=many),)


def address(*flags: str) -> tuple[Option, ...]:
    """An option that takes a host and a port."""
    return (Option(flags, "address", "127.0.0.1:{port}"),)


SERVE_CODE = "the code that starts its server"
