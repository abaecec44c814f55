"""The flags that a development server needs so that it takes the port it is given, on loopback, under our names.

Lives here: finding the program in a command line and changing that.
Not here: the programs (`rows.py`, and for the host `health/rows/`), reading command lines (`health/programs.py`),
`package.json` (`scripts.py`). Pure.
"""

from collections.abc import Callable, Sequence

import msgspec

Scripts = Callable[[str, str], str | None]  # (folder relative to the command's, script) → its text


class Adapted(msgspec.Struct, frozen=True, kw_only=True):
    """A command line with what it lacked, the environment to add, and what to tell a person ("" nothing).

    `port` is the one it will listen on: the one it was given, unless the command names another itself.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    note: str = ""
    port: int


def adapt(
    argv: Sequence[str],
    port: int,
    hostnames: Sequence[str] = (),
    *,
    url: str = "",
    scripts: Scripts = lambda _folder, _name: None,
    insist: bool = False,
) -> Adapted:
    """The command with the flags for port and host that its framework needs and that it does not have.

    A shell's command is `("sh", "-c", text)`. What the command says itself stays, unless `insist`: then another port
    in it is replaced.
    """
    return Adapted(argv=tuple(argv), port=port)
