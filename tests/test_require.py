"""What a machine lacks is told at the end of a run, or fails it where nothing may be left out."""

from pathlib import Path

import pytest

from tests.pytest_session import session

CONFTEST = """
from tests import require

def pytest_terminal_summary(terminalreporter):
    require.summarise(terminalreporter)
"""
TESTS = """
import pytest
from tests import require

@pytest.fixture
def broker():
    return require.program("no-such-broker", "nor-such-broker")

def test_one(broker):
    pass

def test_another(broker):
    pass

def test_with_a_module():
    require.module("no_such_module")

def test_with_much_to_say():
    require.missing("a package\\nand here is why\\nin many lines")

@pytest.mark.skip(reason="only elsewhere")
def test_for_elsewhere():
    pass

def test_that_needs_nothing():
    assert require.loopback("127.0.0.1") == "127.0.0.1"
"""
TABLE = [
    "a package 1 test skipped in test_it.py",
    "the Python module no_such_module 1 test skipped in test_it.py",
    "the program no-such-broker or nor-such-broker 2 tests skipped in test_it.py",
]


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_what_was_missing_is_told_with_what_was_skipped_for_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = session(tmp_path, CONFTEST, "", TESTS, *options, DEVPROXY_NO_SKIP="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 5 skipped" in done.stdout
    lines = [" ".join(line.split()) for line in done.stdout.partition("missing on this machine")[2].splitlines()[1:]]
    assert lines[: len(TABLE)] == TABLE
    assert not any("skipped in test_it" in line for line in lines[len(TABLE) :])


def test_where_nothing_may_be_left_out_it_is_a_failure(tmp_path: Path) -> None:
    done = session(tmp_path, CONFTEST, "", TESTS, DEVPROXY_NO_SKIP="1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "needs the program no-such-broker or nor-such-broker (and DEVPROXY_NO_SKIP=1 forbids" in done.stdout
    assert "missing on this machine" not in done.stdout


def test_where_nothing_is_missing_nothing_is_said(tmp_path: Path) -> None:
    done = session(tmp_path, CONFTEST, "", "def test(): pass\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on this machine" not in done.stdout
