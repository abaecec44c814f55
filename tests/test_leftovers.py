"""The check at the end of the suite can fail, tells what it found, and ends it."""

from pathlib import Path

import psutil
import pytest

from tests.pytest_session import session
from tests.waiting import wait_until

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


def is_gone(folder: Path) -> bool:
    try:
        return psutil.Process(int((folder / "pid").read_text())).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_what_is_left_running_fails_the_run_and_is_killed(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = session(
        tmp_path,
        CONFTEST,
        START,
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
        CONFTEST,
        START,
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
        CONFTEST.replace("tests.leftovers.PATIENCE = 0.5", ""),
        START,
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
