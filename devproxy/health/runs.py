"""What became of each service's command: `state/runs/<id>.json`, for every command, the monitor and the history.

Lives here: the file, and what a killed owner left in it.
Not here: what it comes to (`state.py`), who writes it (`run/report.py`).

How it works: the process that looks after a command writes its file at every change of phase, and leaves it behind: a
service that failed is still known to have when nothing of it runs any more. While its phase is not over the file names
that process (pid and start time); if that is gone, it was killed, and so was the command: whoever reads it first writes
that down, with the event that nobody could tell. The file also holds the last events, so that none is lost between two
looks, or while no proxy runs; they are told apart by their own time.
"""

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from devproxy.errors import DevproxyError
from devproxy.events import Ended
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
        record = msgspec.json.decode(paths.run(service).read_bytes(), type=RunRecord)
        return _settle(paths.run(service), record) if _was_killed(record) else record
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


def _was_killed(record: RunRecord) -> bool:
    return record.run.phase not in RUN_OVER and not is_same(record.pid, record.started)


def _settle(file: Path, record: RunRecord) -> RunRecord:
    """Say in `file` that what a killed owner ran has ended, once for all readers; the record that is there then."""
    settled = _ended(record)

    def edit(text: str) -> str:
        nonlocal settled
        found = msgspec.json.decode(text, type=RunRecord)
        is_left = _was_killed(found)  # still: another may have said so meanwhile, or have started it anew
        settled = _ended(found) if is_left else found
        return files.json_text(settled) if is_left else text

    with contextlib.suppress(OSError, DevproxyError, msgspec.MsgspecError):  # it is so whether we may write it or not
        files.update(file, edit)
    return settled


def _ended(record: RunRecord) -> RunRecord:
    now = time.time()
    run = msgspec.structs.replace(record.run, phase="ended", why=KILLED, since=now)
    return msgspec.structs.replace(record, run=run, events=(*record.events, Ended(record.service, KILLED, at=now)))


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
