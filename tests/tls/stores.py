"""A machine of any kind below one folder, for tests of trust stores: its root, its home, and programs that stand in."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from devproxy.tls import pem
from devproxy.tls.certificates import make_authority
from devproxy.tls.trust_stores import Anchor, Machine, Plan, RunTool


def new_root(tlds: Sequence[str] = ("localhost",)) -> Anchor:
    content = make_authority(tlds, "me@here", dt.datetime.now(dt.UTC)).root
    return Anchor(content, pem.fingerprint(content))


class Place:
    """`root`, `home` and `bin` below a folder; a program is there where it stands in `bin`."""

    def __init__(self, folder: Path):
        self.root, self.home, self.bin, self.state = (folder / name for name in ("root", "home", "bin", "state"))
        for made in (self.root, self.home, self.bin, self.state):
            made.mkdir(mode=0o700)
        self.variables: dict[str, str] = {}

    def machine(self, platform: str = "linux") -> Machine:
        return Machine(platform, self.root, self.home, self.state, "me", self.variables, self._program)

    def _program(self, name: str) -> str | None:
        return str(self.bin / name) if (self.bin / name).exists() else None

    def program(self, name: str, script: str = "exit 0") -> Path:
        """A shell script that stands in for a program."""
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    def folder(self, path: str) -> Path:
        made = self.root / path
        made.mkdir(parents=True)
        return made


def commands(plan: Plan) -> list[tuple[str, ...]]:
    """What a plan runs."""
    return [step.argv for step in plan.steps if isinstance(step, RunTool)]
