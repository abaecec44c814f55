"""The npm packages whose servers the tests of health start, and how they get here.

Lives here: one installation a checkout, in `.cache/health/node`, from `node/package-lock.json`.
Not here: what is done with them.
"""

import fcntl
import shutil
import subprocess
from pathlib import Path

from tests.require import missing, program

_SOURCE = Path(__file__).parent / "node"
_TARGET = Path(__file__).parents[2] / ".cache" / "health" / "node"


def node_modules() -> Path:
    """The folder with exactly what the lock file says; skips where npm is missing or cannot install."""
    npm = program("npm")
    program("node")
    _TARGET.mkdir(parents=True, exist_ok=True)
    with (_TARGET / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the suite runs in several processes: one installs, the others wait
        stamp = _TARGET / "installed"
        wanted = (_SOURCE / "package-lock.json").read_text("utf-8")
        if not stamp.exists() or stamp.read_text("utf-8") != wanted:
            _install(npm)
            stamp.write_text(wanted, "utf-8")
    return _TARGET / "node_modules"


def _install(npm: str) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(_SOURCE / name, _TARGET / name)
    # Not `npm ci`: that fails where a registry lacks the optional binaries of systems that this one is not.
    done = subprocess.run(
        [npm, "install", "--ignore-scripts"], cwd=_TARGET, capture_output=True, text=True, timeout=280, check=False
    )
    if done.returncode:
        missing(f"npm could not install what tests/health/node/package-lock.json names:\n{done.stderr[-2000:]}")
