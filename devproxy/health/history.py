"""What happened to services, kept over restarts: "why was it 502 at 10:42?"

Lives here: `state/history.jsonl`, one event a line with its time, bounded by rotation; reading what concerns a service.
What became of commands stands in their own files first (`runs.py`), and is read from there as well: the proxy may not
have written it down yet, or not run.
Not here: the log that lives in memory (`devproxy/events.py`). Blocks on the disk: never called on the event loop.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from devproxy.events import AnyEvent, Checked, ServiceEvent, Started, Stopped
from devproxy.health.model import events_of
from devproxy.health.runs import read_runs
from devproxy.paths import Paths
from devproxy.storage.rotating_file import RotatedFile, older_file

LIMIT = 512 << 10  # bytes a file; there are at most two
KEPT = 1
ABOUT_ALL = (Started, Stopped)


class HistoryEntry(msgspec.Struct, frozen=True):
    """An event and when it was, in seconds since 1970."""

    time: float
    event: AnyEvent


def row(entry: HistoryEntry) -> dict[str, Any]:
    """As JSON: the event's fields with `time` in seconds since 1970 and its `text`."""
    fields: dict[str, Any] = msgspec.to_builtins(entry.event)
    return fields | {"time": entry.time, "text": entry.event.text()}


def is_kept(event: AnyEvent) -> bool:
    """Whether an event tells what became of a service."""
    return isinstance(event, (*ABOUT_ALL, Checked, ServiceEvent))


def concerns(event: AnyEvent, service: str) -> bool:
    """Whether it is about that service, or about the watch over all of them."""
    if isinstance(event, Checked):
        return service in event.up or service in event.down
    return isinstance(event, ABOUT_ALL) or (isinstance(event, ServiceEvent) and event.service == service)


class History:
    """The file, for one writer."""

    def __init__(self, paths: Paths):
        self._file = RotatedFile(paths.history, limit=LIMIT, kept=KEPT)

    def append(self, entries: Iterable[HistoryEntry]) -> None:
        """Add events at the end. Raises OSError where the disk refuses."""
        lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        if lines:
            self._file.append(lines.decode("utf-8"))


def read(paths: Paths, service: str | None = None, last: int | None = None) -> list[HistoryEntry]:
    """What is kept, oldest first: of all services or one, the `last` so many entries if that is given."""
    entries = list(read_written(paths))
    written = {entry.event for entry in entries}
    entries += [HistoryEntry(event.at, event) for event in events_of(read_runs(paths)) if event not in written]
    entries.sort(key=lambda entry: entry.time)
    found = [entry for entry in entries if service is None or concerns(entry.event, service)]
    return found if last is None else found[-last:]


def read_written(paths: Paths) -> Iterator[HistoryEntry]:
    """What the proxy has written down, oldest first."""
    decoder = msgspec.json.Decoder(HistoryEntry)
    for path in (older_file(paths.history, 1), paths.history):
        try:
            lines = path.read_bytes().splitlines()
        except OSError:
            continue
        for line in lines:
            try:
                yield decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # of another version, or cut by a full disk
