"""The npm packages that the end-to-end tests run: in `.cache/e2e/node`, from `node/package-lock.json`."""

from pathlib import Path

from tests.e2e.processes import CACHE, clean_environment
from tests.npm import node_modules
from tests.waiting import PROGRAM_DEADLINE


def installed() -> Path:
    """`node_modules` with exactly what the lock file says; skips where npm is missing or cannot install."""
    command = ("ci", "--no-audit", "--no-fund", "--ignore-scripts")
    return node_modules(
        Path(__file__).parent / "node", CACHE / "node", command, seconds=PROGRAM_DEADLINE, env=clean_environment({})
    )
