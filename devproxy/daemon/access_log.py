"""The access log: one line a request, opt-in (`[proxy] access_log = true`).

Lives here: how a record becomes a line, and the batches that go to the disk.
Not here: measuring a request (`proxy/`), rotation (`storage/rotating_file.py`).

A line is `time service status bytes milliseconds "METHOD /path"`. The query string is left out, since tokens travel
in it, and so is the authority of an absolute-form target, since it may hold a password. What a client wrote is escaped:
no byte of it can end a line or move a cursor.

The request path appends a tuple to a list; twice a second the list goes to a thread, which formats and writes. A disk
that stops costs lines (counted, and said), never memory or requests.
"""

import asyncio
import logging
import re
from collections.abc import Sequence
from datetime import UTC, datetime

from devproxy.errors import DevproxyError
from devproxy.storage.rotating_file import RotatedFile
from devproxy.text import safe_bytes

# (seconds since 1970, service id, method, request target, status, response bytes, seconds it took)
Record = tuple[float, str, bytes, bytes, int, int, float]

INTERVAL = 0.5  # seconds between batches
MOST_WAITING = 50_000  # records; what a stopped disk may cost in memory
MOST_TARGET = 2048  # bytes of a path that are logged

_log = logging.getLogger(__name__)
_ABSOLUTE = re.compile(rb"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def line(record: Record) -> str:
    """One record as a line without its end."""
    when, service, method, target, status, size, seconds = record
    stamp = datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    request = f"{_escaped(method)} {_escaped(_path(target))}"
    return f'{stamp} {service or "-"} {status} {size} {seconds * 1000:.1f} "{request}"'


def _path(target: bytes) -> bytes:
    """The path of a request target (RFC 9112 §3.2) alone; a CONNECT has none."""
    path = _ABSOLUTE.sub(b"", target, count=1).partition(b"?")[0].partition(b"#")[0] or b"/"
    if path[:1] not in {b"/", b"*"}:
        return b"-"
    return path if len(path) <= MOST_TARGET else path[:MOST_TARGET] + b"..."


def _escaped(raw: bytes) -> str:
    return safe_bytes(raw).replace(" ", "\\x20")


class AccessLog:
    """Call it with a record; `close` writes what is left. For one event loop."""

    def __init__(self, file: RotatedFile):
        self._file = file
        self._waiting: list[Record] = []
        self._lost = 0
        self._writer: asyncio.Task[None] | None = None

    def __call__(self, record: Record) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._lost += 1
            return
        self._waiting.append(record)
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write_batches())

    async def close(self) -> None:
        """Write what is waiting, at once."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
            self._writer = None
        if self._waiting:
            await asyncio.to_thread(self._append, *self._take())

    async def _write_batches(self) -> None:
        """One batch every interval until a round finds nothing: an idle proxy has no timer."""
        await asyncio.sleep(INTERVAL)
        while self._waiting:
            # Shielded: a batch that is on its way to the disk when we are closed is finished, not lost.
            await asyncio.shield(asyncio.to_thread(self._append, *self._take()))
            await asyncio.sleep(INTERVAL)
        self._writer = None

    def _take(self) -> tuple[Sequence[Record], int]:
        batch, lost = self._waiting, self._lost
        self._waiting, self._lost = [], 0
        return batch, lost

    def _append(self, batch: Sequence[Record], lost: int) -> None:
        lines = [line(record) for record in batch]
        if lost:
            lines.append(f"# {lost} requests are missing here: the disk was too slow")
        try:
            self._file.append("\n".join(lines) + "\n")
        except (OSError, DevproxyError) as error:
            _log.warning("the access log could not be written: %s (%d requests lost)", error, len(batch) + lost)
