"""A run of pytest inside a test: what the suite's own hooks do at the end of one."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.waiting import PROGRAM_DEADLINE

ROOT = Path(__file__).parents[1]


def session(
    folder: Path, conftest: str, before: str, test: str, *options: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """A session of its own with one module in it: `before`, then `test`, which may be indented."""
    (folder / "conftest.py").write_text(conftest)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text(before + textwrap.dedent(test))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist.plugin", f"--basetemp={folder}/temp"]
    env = {**kept, "PYTHONPATH": str(ROOT), "PID_FILE": str(folder / "pid"), **environment}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the others take seconds to load
    argv += [*options, str(folder)]
    return subprocess.run(
        argv, cwd=folder, env=env, capture_output=True, text=True, timeout=PROGRAM_DEADLINE, check=False
    )
