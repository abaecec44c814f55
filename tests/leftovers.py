"""Nothing may be left running after the suite: a check at its end that fails the run, in the process that began it.

Lives here: the mark that every process started by a test has in its environment, finding what still has it, and the
report.
Not here: what a test ends itself, and waits for: this only catches what slips through.

How: `pytest` puts a variable of this run into its environment before anything else; xdist's workers and all that tests
start inherit it (environ(7), readable in /proc/<pid>/environ). A program that writes over its environment for a title
of its own (nginx, PostgreSQL) is found by its folder, if that is one of this run's. Beside the mark stands the test:
pytest keeps PYTEST_CURRENT_TEST there.
"""

import contextlib
import os
import time
import uuid
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

# Not DEVPROXY_…: tests take those out of the environment of what they start.
MARK = "STARTED_BY_THE_TESTS"
PATIENCE = 30.0  # seconds for what is just ending
_LOOK = 0.05


class Leftover(NamedTuple):
    """A process that outlived its test."""

    process: psutil.Process
    command: str
    test: str


class Leftovers:
    """The plugin: marks, and at the end of the session looks, waits a little, kills and fails."""

    def __init__(self, config: pytest.Config):
        self._mark = os.environ[MARK] = uuid.uuid4().hex
        self._config = config
        self.found: list[Leftover] = []

    @pytest.hookimpl(trylast=True)  # after xdist has ended its workers
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        deadline = time.monotonic() + PATIENCE
        while (found := self._look()) and time.monotonic() < deadline:
            time.sleep(_LOOK)
        self.found = found
        for one in found:
            with contextlib.suppress(psutil.Error):
                one.process.kill()
        if found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.found:
            return
        terminalreporter.section("left running after the tests", red=True)
        for one in self.found:
            terminalreporter.line(f"{one.process.pid}: {one.command}")
            terminalreporter.line(f"    started by {one.test or 'no test that it tells'}")

    def _look(self) -> list[Leftover]:
        folder = _folder_of_this_run(self._config)
        found = []
        for process in psutil.process_iter():
            if process.pid != os.getpid() and (one := _leftover(process, self._mark, folder)):
                found.append(one)
        return found


def _folder_of_this_run(config: pytest.Config) -> Path | None:
    """Where every `tmp_path` of the run is, in workers as well."""
    factory = getattr(config, "_tmp_path_factory", None)
    return factory.getbasetemp() if isinstance(factory, pytest.TempPathFactory) else None


def _leftover(process: psutil.Process, mark: str, folder: Path | None) -> Leftover | None:
    """What is left over about a process, None where it is not ours, or over."""
    environment: dict[str, str] = {}
    with contextlib.suppress(psutil.Error, OSError):
        environment = process.environ()
    try:
        is_ours = environment.get(MARK) == mark or (folder is not None and Path(process.cwd()).is_relative_to(folder))
        if not is_ours or process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Leftover(process, " ".join(process.cmdline()), environment.get("PYTEST_CURRENT_TEST", ""))
    except (psutil.Error, OSError):
        return None
