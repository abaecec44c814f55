"""devproxy's own log: a file with everything, a terminal with what a person needs."""

import logging
import re
import sys
from pathlib import Path

import pytest

from devproxy.daemon.log import DaemonLog
from devproxy.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "config", tmp_path / "state")


def test_a_line_goes_to_the_file_and_to_the_person(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    with DaemonLog(paths):
        logging.getLogger("devproxy.daemon.reload").info("added %s", "web.shop")
    assert re.fullmatch(r"\d\d:\d\d:\d\d added web\.shop\n", capsys.readouterr().err)
    assert (paths.log / "devproxy.log").read_text().endswith(" INFO devproxy.daemon.reload: added web.shop\n")


def test_a_traceback_is_for_the_file_alone(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    with DaemonLog(paths):
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            logging.getLogger("asyncio").exception("a callback failed")
    said = capsys.readouterr().err
    assert "error: a callback failed (details: " in said
    assert "Traceback" not in said
    assert "RuntimeError: broken" in (paths.log / "devproxy.log").read_text()


def test_a_message_cannot_move_the_cursor_or_pass_for_another(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    with DaemonLog(paths):
        logging.getLogger("devproxy").warning("a\x1b[2J\r\nb\x9b1m")
    said = capsys.readouterr().err
    assert said.endswith("warning: a\\x1b[2J\\x0d\n    b\\x9b1m\n")
    assert "\x1b" not in (paths.log / "devproxy.log").read_text()


def test_loggers_are_as_before_afterwards(paths: Paths) -> None:
    logger = logging.getLogger("devproxy")
    before = list(logger.handlers)
    with DaemonLog(paths):
        assert logger.handlers != before
    assert logger.handlers == before
    assert logger.propagate


def test_a_disk_that_refuses_does_not_silence_the_person(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    (paths.log / "devproxy.log").mkdir(parents=True)
    with DaemonLog(paths):
        logging.getLogger("devproxy").info("still here")
    assert capsys.readouterr().err.endswith("still here\n")
    assert sys.stderr is not None
