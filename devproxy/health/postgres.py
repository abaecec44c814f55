"""Whether PostgreSQL takes sessions: it accepts connections before it has started, and refuses them until then.

The beginning of a session (PostgreSQL's manual, "Frontend/Backend Protocol", StartupMessage) is answered with an
authentication request, or an error; the error `cannot_connect_now` is the one that says "not yet" (its appendix "Error
Codes"). Any other one, such as that of a role which is not there, is said by a server that is up. No session is begun
beyond that. This is what `pg_isready` does.
"""

from typing import Final

_SESSION: Final = (3 << 16).to_bytes(4, "big") + b"user\0postgres\0database\0postgres\0application_name\0devproxy\0\0"
STARTUP: Final = (len(_SESSION) + 4).to_bytes(4, "big") + _SESSION
_NOT_YET: Final = "57P03"
_LONGEST: Final = 1 << 16  # bytes of a message


class SessionReader:
    """From the bytes of an answer to 0, which is good, or a phrase why it is not."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> int | str | None:
        """Take in some more bytes; None while neither can be told."""
        self._held += data
        if len(self._held) < 5:
            return None
        kind, length = self._held[:1], int.from_bytes(self._held[1:5], "big")
        if kind not in b"ERv" or not 4 <= length <= _LONGEST:
            return "what answers is not PostgreSQL"
        if kind != b"E":
            return 0
        if len(self._held) < length + 1:
            return None
        fields = {field[:1]: field[1:].decode("utf-8", "replace") for field in self._held[5 : length + 1].split(b"\0")}
        return fields.get(b"M", "not yet") if fields.get(b"C") == _NOT_YET else 0
