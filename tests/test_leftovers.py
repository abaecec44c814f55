"""The check at the end of the suite can fail, tells what it found, and ends it."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
CONFTEST = """
import pytest
import tests.leftovers

tests.leftovers.PATIENCE = 0.5


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(tests.leftovers.Leftovers(config))
"""
START = """
import os, subprocess, sys

def start(pid_file, *argv, **more):
    process = subprocess.Popen(argv or ("sleep", "600"), start_new_session=True, **more)
    pid_file.write_text(str(process.pid))
    return process
"""


def session(folder: Path, test: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """A session of its own with one module in it."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text(START + textwrap.dedent(test))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "xdist.plugin", f"--basetemp={folder}/temp"]
    environment = {**kept, "PYTHONPATH": str(ROOT), "PID_FILE": str(folder / "pid")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # the others take seconds to load
    argv += [*options, str(folder)]
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False)


def is_gone(folder: Path) -> bool:
    try:
        return psutil.Process(int((folder / "pid").read_text())).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_what_is_left_running_fails_the_run_and_is_killed(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = session(
        tmp_path,
        """
        import pathlib

        def test_that_leaks():
            start(pathlib.Path(os.environ["PID_FILE"]))
        """,
        *options,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "left running after the tests" in done.stdout
    assert "sleep 600" in done.stdout
    assert "test_it.py::test_that_leaks" in done.stdout
    assert "1 passed" in done.stdout
    wait_until(lambda: is_gone(tmp_path), "the leak to be killed")


def test_a_program_without_its_environment_is_found_by_its_folder(tmp_path: Path) -> None:
    done = session(
        tmp_path,
        """
        import pathlib

        def test_that_leaks(tmp_path):
            start(pathlib.Path(os.environ["PID_FILE"]), env={"PATH": os.environ["PATH"]}, cwd=tmp_path)
        """,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    assert "sleep 600" in done.stdout
    wait_until(lambda: is_gone(tmp_path), "the leak to be killed")


def test_what_ends_by_itself_or_by_its_test_is_no_leak(tmp_path: Path) -> None:
    done = session(
        tmp_path,
        """
        import pathlib

        def test_that_ends_its_process():
            process = start(pathlib.Path(os.environ["PID_FILE"]))
            process.kill()
            process.wait()

        def test_whose_process_is_just_ending():
            start(pathlib.Path(os.environ["PID_FILE"]), "sh", "-c", "read line", stdin=subprocess.PIPE)
        """,
        "-n2",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left running" not in done.stdout
