"""What became of each service's command: `state/runs/<id>.json`, for every command, the monitor and the history.

Lives here: the file, and what a killed owner left in it.
Not here: what it comes to (`state.py`), who writes it (`run/report.py`).

How it works: the process that looks after a command writes its file at every change of phase, and leaves it behind: a
service that failed is still known to have when nothing of it runs any more. While its phase is not over the file names
that process (pid and start time); if that is gone, it was killed, and so was the command. The file also holds the last
events, so that none is lost between two looks, or while no proxy runs; they are told apart by their own time.
"""

import contextlib
import os
from collections.abc import Mapping

import msgspec

from devproxy.health.model import RUN_OVER, CommandRun, RunRecord
from devproxy.paths import Paths
from devproxy.storage import files
from devproxy.storage.process_identity import is_same

KILLED = "the devproxy process that ran it was killed"


def read_runs(paths: Paths) -> dict[str, RunRecord]:
    """By service id, those that can be read; what a killed process left in the middle has ended. Raises nothing."""
    records = (read_run(paths, name.removesuffix(".json")) for name, _, _ in _signature(paths))
    return {record.service: record for record in records if record is not None}


def read_run(paths: Paths, service: str) -> RunRecord | None:
    """The record of one service, None where there is none that can be read."""
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return _settled(msgspec.json.decode(paths.run(service).read_bytes(), type=RunRecord))
    return None


def command_runs(records: Mapping[str, RunRecord]) -> dict[str, CommandRun]:
    """The runs alone."""
    return {identity: record.run for identity, record in records.items()}


def _signature(paths: Paths) -> tuple[tuple[str, int, int], ...]:
    """Something that differs once a file has been written: each is replaced by another one."""
    try:
        with os.scandir(paths.runs) as entries:
            found = [(one.name, one.stat()) for one in entries if one.name.endswith(".json")]
    except OSError:
        return ()
    return tuple(sorted((name, status.st_ino, status.st_mtime_ns) for name, status in found))


def _settled(record: RunRecord) -> RunRecord:
    run = record.run
    if run.phase in RUN_OVER or is_same(record.pid, record.started):
        return record
    return msgspec.structs.replace(record, run=msgspec.structs.replace(run, phase="ended", why=KILLED))


class RunsReader:
    """Reads them again and again: `read` is what they say now, None where that is what it said before. Blocks."""

    def __init__(self, paths: Paths):
        self._paths = paths
        self._signature: tuple[tuple[str, int, int], ...] = ()
        self._records: dict[str, RunRecord] = {}

    def read(self) -> dict[str, RunRecord] | None:
        """All of them, if anything is different."""
        signature = _signature(self._paths)
        if signature == self._signature and not self._has_died():
            return None
        self._signature, before = signature, self._records
        self._records = read_runs(self._paths)
        return self._records if self._records != before else None

    def _has_died(self) -> bool:
        """Whether a process that looks after a command is gone."""
        owners = {(one.pid, one.started) for one in self._records.values() if one.run.phase not in RUN_OVER}
        return not all(is_same(*owner) for owner in owners)


def write(paths: Paths, record: RunRecord) -> None:
    """Write one file. Blocks. Raises DevproxyError."""
    paths.make(paths.runs)
    files.write_json(paths.run(record.service), record)
