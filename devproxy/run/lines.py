"""A command's bytes as lines for a log beside other commands' lines. Pure.

Lives here: cutting into lines, and leaving colours alone while everything else that drives a terminal goes: a command
that clears its screen would take the other ones' lines along.
Not here: prefixes (`cli/`), files (`logs.py`).
"""

import re
from collections.abc import Callable

LONGEST = 16_384  # bytes of a line; the rest of it becomes the next
# ECMA-48: control sequences, operating system commands, other escapes; colours are the sequences that end in m
_SEQUENCE = re.compile(
    r"\x1b\[[0-?]*[ -/]*(?P<end>[@-~])|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|"
    "[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


class Lines:
    """Bytes in, lines out: `take` gets each, without its end."""

    def __init__(self, take: Callable[[str], None]):
        self._take = take
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Some more bytes; the last line may go on in the next ones."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._give(line)
        while len(self._rest) > LONGEST:
            self._give(self._rest[:LONGEST])
            self._rest = self._rest[LONGEST:]

    def end(self) -> None:
        """There will be no more: a line without an end is one, too."""
        if self._rest:
            self._give(self._rest)
            self._rest = b""

    def _give(self, line: bytes) -> None:
        text = line.rstrip(b"\r").decode("utf-8", "replace")
        # what a progress bar has overwritten is not shown
        self._take(harmless(text.rpartition("\r")[2]))


def harmless(text: str) -> str:
    """`text` without anything that drives a terminal, but with its colours."""
    return _SEQUENCE.sub(lambda found: found[0] if found["end"] == "m" else "", text)


def plain(text: str) -> str:
    """`text` without its colours as well."""
    return _SEQUENCE.sub("", text)
