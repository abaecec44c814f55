"""`state/log/<service>.log`: what a service of `devproxy up` printed, a time before each line.

Lives here: a command's bytes as lines, of which only colours (ECMA-48, SGR) are left of what drives a terminal, once
what that does within a line is done (`terminal_line.py`);
appending them (rotated), the last of them, and following them over a rotation.
Not here: how they look to a person (`cli/logs.py`), which characters are unsafe (`text.py`).
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.run.terminal_line import as_shown, without_overwritten
from devproxy.storage.rotating_file import RotatedFile, older_file
from devproxy.text import without_unsafe

LIMIT, KEPT = 5 << 20, 3  # bytes a file, older files
LONGEST = 16_384  # bytes of a line; the rest of it becomes the next
# Control sequences, operating system commands, other escapes; colours are the sequences that end in m
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*(?P<end>[@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?")
_SPACE = re.compile(r"(?:\\?\s)+")  # in an escaped text
_ANY_HERE = re.compile(r"localhost|127\\\.0\\\.0\\\.1")
_HERE = r"(?:localhost|127\\.0\\.0\\.1|\\[::1\\])"


class LogEntry(NamedTuple):
    """A line and its time, as text that sorts."""

    time: str
    text: str


class ServiceLog:
    """Where a service's lines go: a file that stays open. Blocks on the disk.

    A disk that refuses loses lines, never a service.
    """

    def __init__(self, paths: Paths, service: str, *, limit: int = LIMIT):
        self._file = RotatedFile(paths.service_log(service), limit=limit, kept=KEPT)

    def append(self, text: str) -> None:
        """One line, as of now."""
        stamp = time_stamp()
        try:
            self._file.append(f"{stamp} {text}\n")
        except (OSError, DevproxyError):
            return


def time_stamp() -> str:
    """Now, as it stands before a line."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")


def last(paths: Paths, service: str, count: int) -> list[LogEntry]:
    """The last `count` lines, oldest first, those of older files as well."""
    return [_entry(line) for line in last_lines(paths.service_log(service), count)]


def last_lines(file: Path, count: int) -> list[str]:
    """The last `count` lines of a log, oldest first, those of older files as well."""
    found: list[str] = []
    for number in range(KEPT + 1):
        if len(found) >= count:
            break
        path = older_file(file, number)
        try:
            lines = path.read_text("utf-8", "replace").split("\n")[:-1]
        except OSError:
            break
        found = lines[-(count - len(found)) :] + found
    return found


class Follower:
    """New lines of a log, from now on."""

    def __init__(self, file: Path):
        self._file = file
        self._inode, self._offset = self._state()
        self._rest = b""

    def read(self) -> Iterator[LogEntry]:
        """The lines that were added since the last call, also if the file was rotated in between."""
        inode, size = self._state()
        if inode != self._inode:
            older = older_file(self._file, 1)
            if self._inode and older.exists() and older.stat().st_ino == self._inode:
                yield from self._more(older)
            self._inode, self._offset = inode, 0
        if size > self._offset:
            yield from self._more(self._file)

    def _more(self, file: Path) -> Iterator[LogEntry]:
        try:
            with file.open("rb") as opened:
                opened.seek(self._offset)
                data = opened.read()
        except OSError:
            return
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield _entry(line.decode("utf-8", "replace"))

    def _state(self) -> tuple[int, int]:
        try:
            status = self._file.stat()
        except OSError:
            return 0, 0
        return status.st_ino, status.st_size


def _entry(line: str) -> LogEntry:
    time, _, text = line.partition(" ")
    return LogEntry(time, text)


class LineSplitter:
    """Bytes in, lines out: `take` gets each, without its end, as a terminal shows it once it is written."""

    def __init__(self, take: Callable[[str], None]):
        self._take = take
        self._rest = b""
        self.fed = 0  # how often
        self._shown: str | None = None  # of the rest, given already since nothing came after it

    def feed(self, data: bytes) -> None:
        """Some more bytes; the last line may go on in the next ones."""
        self.fed += 1
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._give(line)
        if len(self._rest) > LONGEST:
            self._rest = without_overwritten(self._rest)
        while len(self._rest) > LONGEST:
            self._give(self._rest[:LONGEST])
            self._rest = self._rest[LONGEST:]

    @property
    def is_unfinished(self) -> bool:
        """Whether a line has begun that nobody has seen yet."""
        return bool(self._rest) and self._shown is None

    def give_unfinished(self) -> None:
        """Give the line that has begun, a prompt for example; once it has its end it is given again if it is longer."""
        if self.is_unfinished and (text := _seen(self._rest)):
            self._shown = text
            self._take(text)

    def end(self) -> None:
        """There will be no more: a line without an end is one, too."""
        if self._rest:
            self._give(self._rest)
            self._rest = b""

    def _give(self, line: bytes) -> None:
        text, shown = _seen(line), self._shown
        self._shown = None
        if text != shown:
            self._take(text)


def _seen(line: bytes) -> str:
    return harmless(as_shown(line.rstrip(b"\r").decode("utf-8", "replace")))


class LogPortFinder:
    """Reads a log for the port that it names, by a text with `{port}` in it such as `Local: http://localhost:{port}`.

    Servers align what they print, and print the address that they are told: white space in the text stands for any
    amount of it, and `localhost` or `127.0.0.1` for each spelling of that.
    """

    def __init__(self, text: str):
        before, after = (_ANY_HERE.sub(_HERE, _SPACE.sub(r"\\s+", re.escape(part))) for part in text.split("{port}", 1))
        self._pattern = re.compile(rf"{before}(\d{{1,5}})(?!\d){after}")
        self._lines = LineSplitter(self._read)
        self._found: int | None = None

    def feed(self, data: bytes) -> int | None:
        """Some more bytes; the port, if they end a line that names one."""
        self._found = None
        self._lines.feed(data)
        return self._found

    def _read(self, line: str) -> None:
        named = (int(match[1]) for match in self._pattern.finditer(plain(line)))
        self._found = next((port for port in named if 0 < port < 65536), self._found)


def harmless(text: str) -> str:
    """`text` without anything that drives a terminal or hides, but with its colours."""
    return _without_sequences(text, colours=True)


def plain(text: str) -> str:
    """`text` without its colours as well."""
    return _without_sequences(text, colours=False)


def _without_sequences(text: str, *, colours: bool) -> str:
    kept, at = [], 0
    for found in _SEQUENCE.finditer(text):
        kept.append(without_unsafe(text[at : found.start()]))
        if colours and found["end"] == "m":
            kept.append(found[0])
        at = found.end()
    return "".join((*kept, without_unsafe(text[at:])))
