"""Rights of root: for whom a command works, and how it does the one thing that takes them.

A command reads the registry and the CA as whoever types it. What belongs to root (the hosts file, the system's trust
store) is changed by the same command once more, by sudo, which is given all it needs on its standard input and reads
nothing of the person's. So root, by sudo, has no registry to read: whoever types `sudo devproxy …` is told.

Not here: what such a command takes on its standard input (`hosts.py`, `trust.py`).
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from devproxy.cli.output import remark
from devproxy.errors import DevproxyError, Exit
from devproxy.net.users import user_name
from devproxy.paths import Paths, as_root, sudo_caller
from devproxy.text import quote

USER_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"


def user_behind_sudo() -> int | None:
    """Whose command this is, where root runs it for somebody else; root who has a registry runs it for itself."""
    caller = sudo_caller()
    return None if not caller or Paths.from_environment().registry.exists() else caller


def who_asks() -> str:
    """The name of whoever types the command, also by sudo, for a file that all users share; else the number."""
    if sys.platform == "win32":
        return "user"  # a store that users share is never changed there
    uid = user_behind_sudo() or os.geteuid()
    user = user_name(uid)
    return user if re.fullmatch(USER_NAME, user) else str(uid)


def refuse_sudo(command: str) -> None:
    """Raise DevproxyError where sudo hides the files of whoever typed this; `command` is what to type instead."""
    if user_behind_sudo() is not None:
        raise DevproxyError(
            "root has no registry of its own",
            why="sudo makes devproxy look at root's files, not at yours",
            fix=f"without sudo, it asks for the rights to write by itself: {command}",
            exit_code=Exit.REFUSED,
        )


def by_sudo(
    what: object, arguments: Sequence[str], stdin: bytes, *, piped: str = "", alone: Sequence[str] = (), quiet: bool
) -> None:
    """Have root run `devproxy ARGUMENTS`, which changes `what`. Raises DevproxyError.

    Where sudo cannot ask, the command to type is said: `piped` prints what `arguments` read, or `alone` needs nothing.
    Without sudo it is su(1)'s, which reads a password from its standard input: what is to be read stands in a file.
    """
    import shutil

    from devproxy.run.interpreter import as_another_user

    words = as_another_user(*arguments)
    sudo = shutil.which("sudo")
    if sudo is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        if not piped:
            typed = as_root(_typed(as_another_user(*alone)))
        elif sudo is not None:
            typed = f"{piped} | sudo {_typed(words)}"
        else:
            file = Path.home() / "devproxy.tmp"
            typed = f"{piped} > {quote(file)} && {as_root(f'{_typed(words)} < {quote(file)} && rm {quote(file)}')}"
        raise DevproxyError(
            f"{what} could not be written",
            why="it belongs to root, and there is no terminal on which sudo could ask for a password"
            if sudo is not None
            else "it belongs to root, and sudo is not installed",
            fix=typed,
        )
    remark(f"{what} belongs to root: sudo writes it, and may ask for your password")
    out = subprocess.DEVNULL if quiet else None  # what it says, it says to our reader
    done = subprocess.run([sudo, "--", *words], input=stdin, stdout=out, check=False)
    if done.returncode:
        raise DevproxyError(f"{what} was not written", why=f"sudo has ended with {done.returncode}")


def _typed(words: Sequence[str]) -> str:
    return " ".join(map(quote, words))
