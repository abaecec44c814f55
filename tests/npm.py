"""npm packages that tests run, and how they get here.

Lives here: one installation a checkout and folder, from a lock file that is checked in.
Not here: which packages (`tests/e2e/node/`, `tests/health/node/`), and what is done with them.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.require import missing, program

_FILES = ("package.json", "package-lock.json", ".npmrc")


def node_modules(
    source: Path, target: Path, command: Sequence[str], *, seconds: float, env: Mapping[str, str] | None = None
) -> Path:
    """`node_modules` in `target` as the lock file in `source` says, installed by `npm *command` in at most `seconds`.

    Skips where npm is missing or cannot install.
    """
    npm = program("npm")
    program("node")
    target.mkdir(parents=True, exist_ok=True)
    with (target / "lock").open("w") as lock:
        # The suite runs in several processes: the first installs, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = target / "installed"
        wanted = (source / "package-lock.json").read_text("utf-8")
        if not stamp.exists() or stamp.read_text("utf-8") != wanted:
            for name in _FILES:
                shutil.copy(source / name, target / name)
            _run([npm, *command], target, source, seconds, os.environ if env is None else env)
            stamp.write_text(wanted, "utf-8")
    return target / "node_modules"


def _run(argv: Sequence[str], target: Path, source: Path, seconds: float, env: Mapping[str, str]) -> None:
    done = subprocess.run(argv, cwd=target, env=dict(env), capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        missing(f"what {source / 'package-lock.json'} names, and npm could not install it:\n{done.stderr[-2000:]}")
