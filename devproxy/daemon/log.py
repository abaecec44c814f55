"""devproxy's own log: `state/log/devproxy.log` for later, and readable lines on stderr for whoever watches.

Lives here: where log records go and how they look.
Not here: the access log (`access_log.py`), what is worth logging (whoever logs it).

A thread writes both, so that neither a slow disk nor a terminal that was stopped with ^S holds up the event loop.
Tracebacks go to the file alone; a person gets one line and is told where the rest is.
"""

import logging
import logging.handlers
import queue
import sys
from datetime import datetime
from types import TracebackType
from typing import Self

from devproxy.paths import Paths
from devproxy.storage.rotating_file import RotatedFile
from devproxy.text import safe_lines

LIMIT = 1 << 20  # bytes a file
KEPT = 3
_PATIENCE = 1.0  # seconds to write out what is left at the end: a stopped terminal must not keep us alive


def _indented(text: str) -> str:
    """Whatever a message holds, it cannot drive a terminal or pass for another record."""
    return safe_lines(text).rstrip("\n").replace("\n", "\n    ")


class _ForFile(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        return _indented(f"{stamp} {record.levelname} {record.name}: {super().format(record)}")


class _ForPerson(logging.Formatter):
    """`12:03:04 added web.shop`; without a traceback."""

    def __init__(self, file: str):
        super().__init__()
        self._file = file

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        more = f" (details: {self._file})" if record.exc_info else ""
        return _indented(f"{time} {level}{record.getMessage()}{more}")


class _ToFile(logging.Handler):
    def __init__(self, file: RotatedFile):
        super().__init__()
        self._file = file
        self.setFormatter(_ForFile())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._file.append(self.format(record) + "\n")
        except Exception:
            # A full disk: said once a record on stderr by the standard library would bury what matters there.
            return


class _Queue(logging.handlers.QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        # The standard one flattens the traceback into the message, which would show it to the person as well.
        record.getMessage()
        return record


class _QueueListener(logging.handlers.QueueListener):
    def stop(self) -> None:
        thread = self._thread
        if thread is not None:
            self.enqueue_sentinel()
            thread.join(_PATIENCE)
            self._thread = None


class DaemonLog:
    """While entered, the loggers of devproxy, asyncio and aiohttp write to the log file, and to stderr if `watched`."""

    LOGGERS = ("devproxy", "asyncio", "aiohttp")

    def __init__(self, paths: Paths, *, watched: bool = True):
        file = paths.proxy_log
        person = logging.StreamHandler(sys.stderr)
        person.setFormatter(_ForPerson(str(file)))
        records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self._handler = _Queue(records)
        writers: list[logging.Handler] = [person] if watched else []
        self._listener = _QueueListener(records, *writers, _ToFile(RotatedFile(file, limit=LIMIT, kept=KEPT)))

    def __enter__(self) -> Self:
        self._listener.start()
        for name in self.LOGGERS:
            logger = logging.getLogger(name)
            logger.addHandler(self._handler)
            logger.propagate = False
            if logger.level == logging.NOTSET:
                logger.setLevel(logging.INFO if name == "devproxy" else logging.WARNING)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self.LOGGERS:
            logger = logging.getLogger(name)
            logger.removeHandler(self._handler)
            logger.propagate = True
        self._listener.stop()
