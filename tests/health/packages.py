"""The npm packages whose servers the tests of health start: in `.cache/health/node`, from `node/package-lock.json`."""

from pathlib import Path

from tests import npm
from tests.waiting import PROGRAM_DEADLINE

_TARGET = Path(__file__).parents[2] / ".cache" / "health" / "node"


def node_modules() -> Path:
    """The folder with what the lock file says; skips where npm is missing or cannot install."""
    # Not `npm ci`: that fails where a registry lacks the optional binaries of systems that this one is not.
    return npm.node_modules(
        Path(__file__).parent / "node", _TARGET, ("install", "--ignore-scripts"), seconds=PROGRAM_DEADLINE
    )
