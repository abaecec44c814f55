"""A response head as it is passed on: read once, kept for as long as the service sends the same one again.

Lives here: everything that follows from the bytes of a response head and the request's method, and what is no answer at
all; pure. The proxy reads by it and so does health (`health/probe.py`): they cannot disagree.
Not here: the connection it came over (`proxy/upstream.py`), the exchange it belongs to (`proxy/exchange.py`).
"""

import re
from base64 import b64encode
from email.utils import formatdate
from functools import lru_cache
from hashlib import sha1
from typing import Final, NamedTuple

from devproxy.http1.edits import ResponseEdit
from devproxy.http1.fields import (
    PINNING,
    Section,
    nominated,
    own_lines,
    pinning_lines,
    response_lines,
    section,
    upgrade_protocols,
    without_space,
)
from devproxy.http1.framing import delimited, response_length, unlawful_framing
from devproxy.http1.grammar import Fault, StatusLine, status_line
from devproxy.text import shown_bytes

_KEEP_ALIVE_DEFAULT: Final = 55.0
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==").fullmatch
_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


INTERIM_LIMIT: Final = 64
ENDLESS_INTERIM: Final = Fault(502, "upstream-invalid", "an endless run of 1xx responses")


class Pitfalls(NamedTuple):
    """What of a response does not do, behind a proxy that speaks TLS, what its service may think. `withheld` are the
    names of fields that are not passed on, `insecure` those that name a URL of http://, with it."""

    withheld: tuple[bytes, ...]
    insecure: tuple[tuple[bytes, bytes], ...]


class ResponseHead:
    """A response head, and what it means for the request's method.

    `head` is the bytes as they came; `length` as `framing.response_length` tells; `reusable` whether the connection
    may be used again, `idle_limit` for how many seconds; `plain` the head towards an HTTP/1.1 client whose connection
    stays open, empty where that cannot be, or where more is to be done; `binds` says that the service ties
    who the client is to the connection; `simple` says that this head is the service's lines, each as its kind says.
    `undated` is `plain` without its empty line where the service has sent no Date, which a proxy has to add (RFC 9110
    §6.6.1): `plain` is empty then, since it would grow old. `is_own`: it is of devproxy's own pages. `pitfalls`: what
    its service should know, None nearly always. `pairs`: the same head as a list for HTTP/2, once it was asked for
    (`h2_fields.py`).
    """

    __slots__ = (
        "_edit",
        "_unwanted",
        "binds",
        "fields",
        "head",
        "idle_limit",
        "is_dated",
        "is_own",
        "length",
        "line",
        "method",
        "minor",
        "pairs",
        "pitfalls",
        "plain",
        "reusable",
        "simple",
        "status",
        "undated",
    )

    def __init__(
        self,
        head: bytes,
        line: StatusLine,
        fields: Section,
        length: int,
        method: bytes,
        *,
        is_own: bool = False,
        edit: ResponseEdit | None = None,
        like: "ResponseHead | None" = None,
    ):
        self.minor, self.status, self.line, _, _ = line
        self.head = head
        self.pairs: list[tuple[bytes, bytes]] | None = None
        self.fields = fields
        self.length = length
        self.method = method
        self.is_own = is_own
        if like is None:
            self._read(edit)
        else:
            self._take_over(like)

    def _read(self, edit: ResponseEdit | None) -> None:
        fields = self.fields
        options = fields.connection
        self.reusable = b"close" not in options and (self.minor == 1 or b"keep-alive" in options)
        self.idle_limit = _idle_limit(fields)
        self._edit = edit if self.status >= 200 else None
        self.is_dated = self.status < 200 or fields.any(b"date") is not None
        self._unwanted = unlawful_framing(self.status)
        if not self._unwanted.isdisjoint(fields.found):
            self.reusable = self.reusable and fields.get(b"content-length") == b"0"  # else there may be a body to come
        else:
            self._unwanted = _NOTHING
        self.binds = self.reusable and fields.binds
        self.pitfalls = None if _LOOKED_AT.isdisjoint(fields.found) else _pitfalls(fields, self.status, edit)
        plain = self.towards(1, b"") if delimited(self.length, 1) and not self.binds else b""
        self.plain, self.undated = (plain, b"") if self.is_dated else (b"", plain[:-2])
        kept = not (nominated(fields) or self._unwanted or self.is_own or edit)
        self.simple = bool(plain) and self.status != 426 and kept

    def _take_over(self, last: "ResponseHead") -> None:
        """What `again` has found to be alike."""
        self.reusable, self.idle_limit, self.pitfalls = last.reusable, last.idle_limit, last.pitfalls
        self.simple, self.is_dated = True, last.is_dated
        self.binds, self._unwanted, self._edit = False, _NOTHING, None
        if last.is_dated:
            self.plain, self.undated = b"HTTP/1.1 %b%b\r\n" % (self.line, self.fields.down), b""
        else:
            self.plain, self.undated = b"", b"HTTP/1.1 %b%b" % (self.line, self.fields.down)

    @property
    def is_interim(self) -> bool:
        """Whether another response follows (RFC 9110 §15.2); 101 is the last one of HTTP/1.1."""
        return self.status < 200 and self.status != 101

    def again(self, head: bytes, line: StatusLine, fields: Section, method: bytes) -> "ResponseHead | None":
        """Another head that differs from this one in plain fields only; None where it differs in more."""
        if line[1] != self.status or line[2] != self.line or line[0] != self.minor or method != self.method:
            return None
        if fields.special != self.fields.special or not self.simple or _is_dated(head, fields) is not self.is_dated:
            return None
        return ResponseHead(head, line, fields, self.length, method, like=self)

    def towards(self, minor: int, connection: bytes) -> bytes:
        """The head for a client of HTTP/1.`minor`; `connection` is the value of our Connection field, or empty."""
        lines = (
            own_lines(self.fields) if self.is_own else response_lines(self.fields, self._unwanted, chunks=minor == 1)
        )
        if self._edit is not None:
            lines = self._edit.apply(lines + pinning_lines(self.fields, self._edit.passes))
        protocols = upgrade_protocols(self.fields) if self.status in (101, 426) else b""
        if protocols:
            lines += b"Connection: Upgrade\r\nUpgrade: %b\r\n" % protocols
        if connection:
            lines += b"Connection: %b\r\n" % connection
        return b"HTTP/1.1 %b%b\r\n" % (self.line, lines)


_NOTHING: Final = frozenset[bytes]()
_LOOKED_AT: Final = frozenset((b"strict-transport-security", b"alt-svc", b"location", b"access-control-allow-origin"))


def _pitfalls(fields: Section, status: int, edit: ResponseEdit | None) -> Pitfalls | None:
    passes = _NOTHING if edit is None else edit.passes
    pinning = dict.fromkeys(field.name for field in fields.special if field.kind == PINNING)
    names = [b"access-control-allow-origin", *([b"location"] if 300 <= status < 400 else [])]
    insecure = [(name, value) for name in names for value in fields.all(name) if value[:7].lower() == b"http://"]
    withheld = tuple(name for name in pinning if name not in passes)
    return Pitfalls(withheld, tuple(insecure)) if withheld or insecure else None


def _is_dated(head: bytes, fields: Section) -> bool:
    """Whether a response has a Date; looked for in the two spellings that most services use before in every line."""
    return b"\r\nDate: " in head or b"\r\ndate: " in head or fields.any(b"date") is not None


@lru_cache(2)
def http_date(now: int) -> bytes:
    """The value of Date for a second, counted from 1970 (RFC 9110 §5.6.7)."""
    return formatdate(now, usegmt=True).encode()


@lru_cache(2)
def date_line(now: int) -> bytes:
    """The Date of a second, and the empty line that ends a head."""
    return b"Date: %b\r\n\r\n" % http_date(now)


def _idle_limit(fields: Section) -> float:
    """A second less than the service keeps an idle connection, where it says so (`Keep-Alive: timeout=5`)."""
    value = fields.get(b"keep-alive")
    if value is None:
        return _KEEP_ALIVE_DEFAULT
    for parameter in value.split(b","):
        name, _, seconds = parameter.strip().partition(b"=")
        if name.lower() == b"timeout" and seconds.isdigit():
            return min(_KEEP_ALIVE_DEFAULT, max(0.5, int(seconds[:6]) - 1.0))
    return _KEEP_ALIVE_DEFAULT


def read_response_head(
    buffer: bytes,
    method: bytes,
    max_header: int,
    max_headers: int,
    last: ResponseHead | None = None,
    *,
    checked: int = 0,
    is_own: bool = False,
    edit: ResponseEdit | None = None,
) -> ResponseHead | Fault | None:
    """The response head at the start of `buffer`; None while it is incomplete and may still become one.

    `method` is HEAD or empty; `last` that of an earlier response from the same address, which this one may turn out to
    resemble; the first `checked` bytes were found to be incomplete before; `edit` is what the registry changes.
    """
    line = status_line(buffer, checked)
    if line is None:
        return _early_fault(buffer, max_header, checked)
    if isinstance(line, Fault):
        return line
    minor, status, _, start, end = line
    if end > max_header:
        return _too_large(max_header)
    lines = buffer[start : end - 4] if start < end - 4 else b""
    fields = section(lines, max_headers)
    if isinstance(fields, Fault):
        fields = section(without_space(lines), max_headers)
    if isinstance(fields, Fault):
        return _not_fields(fields)
    response = None if last is None else last.again(buffer[:end], line, fields, method)
    if response is not None:
        return response
    length = response_length(fields, minor, status, method)
    if isinstance(length, Fault):
        return Fault(502, "upstream-invalid", f"the response cannot be framed: {length.detail}")
    return ResponseHead(buffer[:end], line, fields, length, method, is_own=is_own, edit=edit)


def _not_fields(fault: Fault) -> Fault:
    if fault.code == "header-too-large":
        fix = "let it send fewer, or raise `max_headers` under [proxy]"
        return Fault(502, "upstream-invalid", f"its response header has {fault.detail}", fix)
    return Fault(502, "upstream-invalid", f"the response header is not HTTP: {fault.detail}")


def _early_fault(buffer: bytes, limit: int, checked: int) -> Fault | None:
    """Why bytes that are no whole head yet cannot become one."""
    if not buffer.startswith(b"HTTP/1."[: len(buffer)]):
        return Fault(502, "upstream-invalid", f"it answered something that is not HTTP/1.x: {shown_bytes(buffer)}")
    if len(buffer) > limit:
        return _too_large(limit)
    if _BARE_LF.search(buffer, max(0, checked - 1)) is not None:
        return Fault(502, "upstream-invalid", f"a line of its response header ends in a bare LF: {shown_bytes(buffer)}")
    return None


def _too_large(limit: int) -> Fault:
    return Fault(
        502,
        "upstream-invalid",
        f"its response header is over {limit} bytes (max_response_header)",
        "let it send less (debug fields and cookies are the usual cause), or raise `max_response_header` under [proxy]",
    )


def accept_of(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key (RFC 6455 §4.2.2)."""
    return b64encode(sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest())


def key_fault(keys: list[bytes]) -> Fault | None:
    """Why the Sec-WebSocket-Key lines of a request are no key: 16 bytes in base64, once (RFC 6455 §4.1)."""
    if len(keys) == 1 and _KEY(keys[0]):
        return None
    detail = "a WebSocket's handshake has one Sec-WebSocket-Key, of 16 bytes in base64 (RFC 6455 §4.1)"
    return Fault(400, "bad-request", detail)


def switch_fault(response: ResponseHead, asked: bytes, key: bytes | None) -> Fault | None:
    """Why a 101 is no right answer to a request for `asked` with a Sec-WebSocket-Key (RFC 6455 §4.2.2)."""
    granted = upgrade_protocols(response.fields).lower()
    wanted = [protocol.strip() for protocol in asked.lower().split(b",")]
    if not asked:
        return Fault(502, "upstream-invalid", "it switched protocols (101) though nobody asked it to")
    if granted not in wanted:
        return Fault(
            502, "upstream-invalid", f"it switched to {shown_bytes(granted)}, and {shown_bytes(asked)} was asked for"
        )
    is_answered = response.fields.all(b"sec-websocket-accept") == [accept_of(key)] if key is not None else True
    if granted == b"websocket" and not is_answered:
        return Fault(502, "upstream-invalid", "its Sec-WebSocket-Accept does not match the handshake")
    return None
