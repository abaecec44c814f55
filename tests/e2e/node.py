"""The npm packages that the tests run, and how they get here.

Lives here: one installation a checkout, in `.cache/e2e/node`, from `node/package-lock.json`.
Not here: what is done with them.
"""

import fcntl
import shutil
import subprocess
from pathlib import Path

from tests.e2e.processes import CACHE, clean_environment
from tests.require import missing, program

_SOURCE = Path(__file__).parent / "node"
_TARGET = CACHE / "node"
_FILES = ("package.json", "package-lock.json", ".npmrc")


def installed() -> Path:
    """`node_modules` with exactly what the lock file says; skips where npm is missing or cannot install."""
    npm = program("npm")
    program("node")
    _TARGET.mkdir(parents=True, exist_ok=True)
    with (_TARGET / "lock").open("w") as lock:
        # The suite runs in several processes: the first installs, the others wait for it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = _TARGET / "installed"
        wanted = (_SOURCE / "package-lock.json").read_text("utf-8")
        if not stamp.exists() or stamp.read_text("utf-8") != wanted:
            _install(npm)
            stamp.write_text(wanted, "utf-8")
    return _TARGET / "node_modules"


def _install(npm: str) -> None:
    for name in _FILES:
        shutil.copy(_SOURCE / name, _TARGET / name)
    done = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=_TARGET,
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    if done.returncode:
        missing(f"npm could not install what tests/e2e/node/package-lock.json names:\n{done.stderr[-2000:]}")
