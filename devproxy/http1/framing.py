"""Where a body ends, and chunked coding in both directions.

Lives here: RFC 9112 §§6–7, as pure functions and one small reader. What cannot be framed without doubt is a Fault.
Not here: heads (`grammar.py`), sockets (`proxy/h1.py`, `proxy/upstream.py`).

Framing is rebuilt from what was parsed, never copied: chunk extensions are dropped, sizes written anew, trailers
checked.
"""

import re
from typing import Final

from devproxy.http1.fields import FRAMING, HOP_BY_HOP, OURS, Section, section, without_space
from devproxy.http1.grammar import TOKEN, Fault
from devproxy.text import shown_bytes

UNTIL_CLOSE: Final = -1
CHUNKED: Final = -2

_BODILESS: Final = frozenset((204, 304))
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_CODING: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:[ \t]*;[^,]*)?")
_KNOWN_CODINGS: Final = frozenset((b"chunked", b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"identity"))
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
_BWS: Final = rb"[ \t]*+"
_EXTENSION: Final = (
    _BWS + rb";" + _BWS + TOKEN + rb"(?:" + _BWS + rb"=" + _BWS + rb"(?:" + TOKEN + rb"|" + _QUOTED + rb"))?+"
)
_CHUNK_LINE: Final = re.compile(rb"([0-9a-fA-F]{1,15})((?:" + _EXTENSION + rb")*+)\r\n")
_LINE_LIMIT: Final = 1024  # bytes of one chunk-size line
_EXTENSION_LIMIT: Final = 16384  # bytes of chunk extensions in one body
_TRAILER_LIMIT: Final = 16384
_TRAILER_FIELDS: Final = 64
_NEVER_IN_TRAILERS: Final = frozenset((b"host", b"trailer"))  # besides hop-by-hop fields, framing, and ours


def request_length(fields: Section, minor: int) -> int | Fault:
    """The length of a request's body: bytes, or CHUNKED; 0 where there is none (RFC 9112 §6.3)."""
    codings = fields.get(b"transfer-encoding")
    lengths = fields.get(b"content-length")
    if codings is None:
        return 0 if lengths is None else _length(fields, lengths, 400, "bad-request")
    if lengths is not None:
        return Fault(400, "bad-request", "both Content-Length and Transfer-Encoding: where the body ends is in doubt")
    if minor == 0:
        return Fault(400, "bad-request", "Transfer-Encoding in an HTTP/1.0 request")
    return _request_coding(fields.all(b"transfer-encoding"))


def _request_coding(values: list[bytes]) -> int | Fault:
    codings = [coding.strip(b" \t").lower() for coding in b",".join(values).split(b",")]
    if codings == [b"chunked"]:
        return CHUNKED
    shown = shown_bytes(b", ".join(values))
    if len(values) > 1 and all(value.lower() == b"chunked" for value in values):
        return Fault(400, "bad-request", f"{_times(values)}: {shown}")
    if not all(_CODING.fullmatch(coding) for coding in codings):
        return Fault(400, "bad-request", f"Transfer-Encoding is malformed: {shown}")
    if not all(coding.partition(b";")[0].rstrip() in _KNOWN_CODINGS for coding in codings):
        return Fault(
            501, "unsupported-coding", f"a transfer coding that is not known here: {shown}; use `chunked` alone"
        )
    if codings[-1] != b"chunked" or b"chunked" in codings[:-1]:
        return Fault(400, "bad-request", f"`chunked` must be the last transfer coding and stand once: {shown}")
    return Fault(501, "unsupported-coding", f"transfer codings besides `chunked` are not carried: {shown}")


def _times(values: list[bytes]) -> str:
    return f"Transfer-Encoding stands {len(values)} times, and must stand once"


def response_length(fields: Section, minor: int, status: int, method: bytes) -> int | Fault:
    """The length of a response's body: bytes, CHUNKED or UNTIL_CLOSE (RFC 9112 §6.3)."""
    length = UNTIL_CLOSE
    value = fields.get(b"content-length")
    if b"transfer-encoding" in fields.found:
        if value is not None:
            return _invalid("both Content-Length and Transfer-Encoding")
        if minor == 0:
            return _invalid("Transfer-Encoding in an HTTP/1.0 response")
        codings = fields.all(b"transfer-encoding")
        if len(codings) > 1:
            return _invalid(f"{_times(codings)}: {shown_bytes(b', '.join(codings))}")
        if codings[0].lower() != b"chunked":
            return _invalid(f"a transfer coding that was not asked for: {shown_bytes(b', '.join(codings))}")
        length = CHUNKED
    elif value is not None:
        stated = _length(fields, value, 502, "upstream-invalid")
        if isinstance(stated, Fault):
            return stated
        length = stated
    return 0 if method == b"HEAD" or status < 200 or status in _BODILESS else length


_ANY_FRAMING: Final = frozenset((b"content-length", b"transfer-encoding"))


def unlawful_framing(status: int) -> frozenset[bytes]:
    """The framing fields that no response of `status` bears: some clients wait for the body that these promise.

    RFC 9110 §8.6, RFC 9112 §6.1. A 304 has the length of what it does not send; a coding says nothing there, and any
    recipient may take it out. So it does in an answer to HEAD, where clients look for no body whatever stands there.
    """
    if status < 200 or status == 204:
        return _ANY_FRAMING
    return _CODING_ALONE if status == 304 else _NO_FRAMING


_CODING_ALONE: Final = frozenset((b"transfer-encoding",))
_NO_FRAMING: Final = frozenset[bytes]()


def _length(fields: Section, value: bytes, status: int, code: str) -> int | Fault:
    if len(fields.found) != len(fields.special):
        values = fields.all(b"content-length")
        if len(values) > 1:
            return Fault(status, code, f"two lengths: {shown_bytes(b', '.join(values))}")
    if _LENGTH.fullmatch(value) is None:
        return Fault(status, code, f"Content-Length is not a number of bytes: {shown_bytes(value)}")
    return int(value)


def _invalid(detail: str) -> Fault:
    return Fault(502, "upstream-invalid", detail)


def chunk(payload: bytes) -> bytes:
    """`payload`, at least one byte, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def last_chunk(trailers: bytes) -> bytes:
    """The end of a chunked body; `trailers` are whole field lines, or empty."""
    return b"0\r\n%b\r\n" % trailers


class ChunkError(Exception):
    """A chunked body that is not one (RFC 9112 §7.1)."""


class ChunkedReader:
    """Takes a chunked body apart, one read at a time.

    `feed` returns the payload of a read; once `done`, `trailers` holds the trailer field lines and `rest` what came
    behind the body. Holds at most one incomplete line or trailer section, never payload. `of_response`: it is a
    service's, not a client's.
    """

    __slots__ = ("_extensions", "_held", "_left", "_of_response", "_state", "done", "rest", "trailers")

    def __init__(self, *, of_response: bool = False) -> None:
        self._of_response = of_response
        self._held = b""
        self._left = 0
        self._state = _SIZE
        self._extensions = 0
        self.done = False
        self.trailers = b""
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The payload in `data`, perhaps empty. Raises ChunkError."""
        if self._state == _DATA and len(data) <= self._left:
            self._left -= len(data)
            if not self._left:
                self._state = _DATA_END
            return data
        if self._held:
            data = self._held + data
            self._held = b""
        pieces: list[bytes] = []
        at = 0
        while at < len(data) and not self.done:
            step = self._step(data, at, pieces)
            if step == at:
                self._held = data[at:]
                break
            at = step
        if self.done:
            self.rest = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _step(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Take one element at `at`; returns where the next begins, or `at` where the element is incomplete."""
        if self._state == _SIZE:
            return self._size(data, at)
        if self._state == _DATA:
            piece = data[at : at + self._left]
            pieces.append(piece)
            self._left -= len(piece)
            if not self._left:
                self._state = _DATA_END
            return at + len(piece)
        if self._state == _DATA_END:
            return self._data_end(data, at)
        return self._trailers(data, at)

    def _size(self, data: bytes, at: int) -> int:
        found = _CHUNK_LINE.match(data, at)
        if found is None:
            partial = data[at : at + _LINE_LIMIT]
            if len(partial) >= _LINE_LIMIT or b"\n" in partial or not _PARTIAL_SIZE.fullmatch(partial):
                raise ChunkError(f"a chunk size line is malformed: {shown_bytes(partial[:40])}")
            return at
        if found.end() - at > _LINE_LIMIT:
            raise ChunkError(f"a chunk size line is longer than {_LINE_LIMIT} bytes")
        if found[2]:
            self._extensions += len(found[2])
            if self._extensions > _EXTENSION_LIMIT:
                raise ChunkError(f"more than {_EXTENSION_LIMIT} bytes of chunk extensions")
        self._left = int(found[1], 16)
        self._state = _DATA if self._left else _TRAILERS
        return found.end()

    def _data_end(self, data: bytes, at: int) -> int:
        ending = data[at : at + 2]
        if ending == b"\r\n":
            self._state = _SIZE
            return at + 2
        if ending == b"\r":
            return at
        raise ChunkError(f"a chunk is longer than its size says: {shown_bytes(ending)}")

    def _trailers(self, data: bytes, at: int) -> int:
        if data.startswith(b"\r\n", at):
            self.done = True
            return at + 2
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            if len(data) - at > _TRAILER_LIMIT:
                raise ChunkError(f"the trailer section is over {_TRAILER_LIMIT} bytes")
            if data.count(b"\n", at) != data.count(b"\r\n", at):
                raise ChunkError("a line of the trailers ends in a bare LF")
            return at
        self.trailers = checked_trailers(data[at : end + 2], of_response=self._of_response)
        self.done = True
        return end + 4


_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)
_PARTIAL_SIZE: Final = re.compile(rb"[0-9a-fA-F]{1,15}(?:[ \t;][\t\x20-\x7e\x80-\xff]*+)?\r?")


def checked_trailers(lines: bytes, *, of_response: bool = False) -> bytes:
    """Trailer field lines as they may pass; of a response, without what a service may not say about devproxy.

    Raises ChunkError for framing, routing or forwarding fields (RFC 9110 §6.5.1).
    """
    if len(lines) > _TRAILER_LIMIT:
        raise ChunkError(f"the trailer section is over {_TRAILER_LIMIT} bytes")
    read = section(lines[:-2], _TRAILER_FIELDS)
    if of_response and isinstance(read, Fault):
        read = section(without_space(lines[:-2]), _TRAILER_FIELDS)
    if isinstance(read, Fault):
        raise ChunkError(f"in the trailers: {read.detail}")
    for field in read.fields:
        if of_response and field.kind == OURS and not field.down:
            continue
        if field.kind in (HOP_BY_HOP, FRAMING, OURS) or field.name in _NEVER_IN_TRAILERS:
            raise ChunkError(f"`{field.name.decode()}` must not stand in trailers")
    return read.down if of_response else lines


def delimited(length: int, minor: int) -> bool:
    """Whether a client of HTTP/1.`minor` can tell where a response of `length` ends without the connection closing."""
    return not (length == UNTIL_CLOSE or (length == CHUNKED and minor == 0))
