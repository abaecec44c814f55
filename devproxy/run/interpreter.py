"""Starting ourselves: the one place that names our own interpreter.

People type commands in folders that others wrote. `python -m` looks for modules in the folder it stands in before all
others, so a file `msgspec.py` or a folder `devproxy` in a cloned repository would be run as ours. Every process of ours
is therefore started with `-P` (safe path: neither that folder nor a script's own is searched), and what `python -m`
found us by is named in PYTHONPATH instead. That variable, as a person has set it, is theirs, and so is the way they
start us.

Not here: what is started for somebody (`session.py`), and where (`detach.py`).
"""

import os
import shutil
import sys
from pathlib import Path

from devproxy.text import quote

_ORIGINAL_PATH = "_DEVPROXY_PYTHONPATH"  # PYTHONPATH as it was before a process of ours needed to find us by it


def interpreter(*arguments: str) -> list[str]:
    """A command line: our interpreter, and what it is to run."""
    return [sys.executable, "-P", *arguments]


def ourselves(*arguments: str) -> list[str]:
    """The command line of `devproxy ARGUMENTS`, for the environment that `own_environment` makes."""
    return interpreter("-m", "devproxy", *arguments)


def as_typed() -> str:
    """What a person types for `devproxy`, in the shell that started us."""
    return "devproxy" if shutil.which("devproxy") else " ".join(map(quote, ourselves()))


def as_another_user(*arguments: str) -> list[str]:
    """The command line of `devproxy ARGUMENTS` for somebody who has another environment, such as root by sudo."""
    package = Path(__file__).parents[2]
    if package.is_relative_to(sys.prefix):
        return ourselves(*arguments)
    return ["env", f"PYTHONPATH={package}", *ourselves(*arguments)]


def own_environment() -> dict[str, str]:
    """Our environment, for a process of ours: it finds the same packages, and the same files, from any folder."""
    environment = dict(os.environ)
    if home := environment.get("DEVPROXY_HOME"):
        environment["DEVPROXY_HOME"] = str(Path(home).expanduser().absolute())
    package = str(Path(__file__).parents[2])
    environment.setdefault(_ORIGINAL_PATH, environment.get("PYTHONPATH", ""))
    search = [package, *environment.get("PYTHONPATH", "").split(os.pathsep)]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, search)))
    return environment


def original_environment() -> dict[str, str]:
    """Our environment as it was when a person typed the command: for what is started on their behalf.

    Where we are in the background PYTHONPATH leads to our own packages, which no other program is to find.
    """
    environment = dict(os.environ)
    before = environment.pop(_ORIGINAL_PATH, None)
    if before is not None:
        environment.pop("PYTHONPATH", None)
    return {**environment, "PYTHONPATH": before} if before else environment
