"""Running the real command, with a home of its own.

Lives here: `python -m devproxy …` in a process, and what it printed.
Not here: expectations.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Result(NamedTuple):
    """Exit code and both streams of a command that ended."""

    code: int
    out: str
    err: str


class Home:
    """A DEVPROXY_HOME in `folder`, commands that run on it, and the user registry in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.registry = folder / "config" / "registry.toml"
        self.state = folder / "state"

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DEVPROXY", "_DEVPROXY"))}
        return {**kept, "DEVPROXY_HOME": str(self.folder), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **extra}

    def run(self, *argv: str, cwd: Path | None = None, stdin: str = "", **extra: str) -> Result:
        """Run `devproxy *argv`; `extra` are environment variables."""
        done = subprocess.run(
            [sys.executable, "-m", "devproxy", *argv],
            cwd=cwd or self.folder,
            env=self.environment(**extra),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def write(self, text: str) -> None:
        """Make `text` the user registry."""
        self.registry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.registry.write_text(text, "utf-8")
