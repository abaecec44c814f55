"""What it means to trust a project's commands: a digest of all that would be run, which a link carries. Pure.

Lives here: `digest`, and what is said where a request may not start a service that asks for it.
Not here: asking a person (`cli/link.py`), what is started by itself (`serving/`).

Trust is given to content: the command, the folder and the environment of each service, the local file laid over the
project's, in the file where they stand. Any change of these asks again; any other change of the file does not. What a
command goes on to run (`npm run dev` and the scripts of package.json) is not in the file, and not in the digest.
"""

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from msgspec import UNSET

from devproxy.problems import Problem
from devproxy.registry.layers import Declared, Linked
from devproxy.registry.wrong import Wrong

T = TypeVar("T")

LENGTH = 64  # hexadecimal digits


def digest(file: str, services: Iterable[Declared]) -> str:
    """SHA-256 over the commands of `services`, declared in `file` (absolute), in hexadecimal digits."""
    from hashlib import sha256  # only where something is trusted: a command must start faster than this loads

    parts = [
        (one.name, one.table.command, _or(one.table.cwd, "."), sorted(_or(one.table.env, {}).items()))
        for one in sorted(services, key=lambda one: one.name)
        if one.table.command is not UNSET
    ]
    return sha256(msgspec.json.encode([file, parts])).hexdigest()


def refused(declared: Declared, link: Linked) -> list[Problem]:
    """What to say about a service of a link whose commands are not trusted as they are now."""
    if declared.table.start != "on-request" or declared.table.command is UNSET:
        return []
    what = "have changed since they were trusted" if link.trust else "are not trusted"
    wrong = Wrong(
        f"no request starts `{declared.id}`: the commands of `{link.name}` {what}",
        why="a file that comes with a repository runs nothing by itself",
        fix=f"read its commands, then: devproxy link --trust {link.file}",
        code="untrusted",
    )
    return [declared.problem(("start",), wrong, "warning")]


def _or(value: T | msgspec.UnsetType, default: T) -> T:
    return default if value is UNSET else value
