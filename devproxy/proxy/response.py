"""A response head as it is passed on: read once, kept for as long as the service sends the same one again.

Lives here: Plan, everything that follows from the bytes of a response head and the request's method; pure.
Not here: the connection it came over (`upstream.py`), the exchange it belongs to (`exchange.py`).
"""

from base64 import b64encode
from hashlib import sha1
from typing import Final

from devproxy.proxy.forward import delimited, response_fields, upgrade_protocols
from devproxy.proxy.framing import response_length
from devproxy.proxy.grammar import Fault, Section, StatusLine, printable, section, status_line

_KEEP_ALIVE_DEFAULT: Final = 55.0
_WEBSOCKET_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Plan:
    """A response head, and what it means for the request's method.

    `head` is the bytes as they came; `length` as `framing.response_length` tells; `reusable` whether the connection
    may be used again, `idle_limit` for how many seconds; `plain` the head towards an HTTP/1.1 client whose connection
    stays open, empty where that cannot be.
    """

    __slots__ = ("fields", "head", "idle_limit", "length", "line", "method", "plain", "reusable", "status")

    def __init__(self, head: bytes, line: StatusLine, fields: Section, length: int, method: bytes):
        minor, self.status, self.line, _, _ = line
        self.head = head
        self.fields = fields
        self.length = length
        self.method = method
        options = fields.connection
        self.reusable = b"close" not in options and (minor == 1 or b"keep-alive" in options)
        self.idle_limit = _idle_limit(fields)
        self.plain = self.towards(1, b"") if delimited(length, 1) else b""

    def towards(self, minor: int, connection: bytes) -> bytes:
        """The head for a client of HTTP/1.`minor`; `connection` is the value of our Connection field, or empty."""
        fields = response_fields(self.fields, chunks=minor == 1, connection=connection)
        if self.status in (101, 426):
            protocols = upgrade_protocols(self.fields)
            if protocols:
                fields = b"%bConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % (fields[:-2], protocols)
        return b"HTTP/1.1 %b%b" % (self.line, fields)


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


def read_plan(buffer: bytes, method: bytes, max_headers: int) -> Plan | Fault | None:
    """The response head at the start of `buffer`; None while it is incomplete. `method` is HEAD or empty."""
    line = status_line(buffer)
    if line is None or isinstance(line, Fault):
        return line
    minor, status, _, start, end = line
    fields = section(buffer[start:end], max_headers)
    if isinstance(fields, Fault):
        return Fault(502, "upstream-invalid", f"the response header is not HTTP: {fields.detail}")
    length = 0 if status < 200 else response_length(fields, minor, status, method)
    if isinstance(length, Fault):
        return Fault(502, "upstream-invalid", f"the response cannot be framed: {length.detail}")
    return Plan(buffer[:end], line, fields, length, method)


def early_answer_fault(buffer: bytes, limit: int) -> Fault | None:
    """Why bytes that are no whole head yet cannot become one."""
    if not buffer.startswith(b"HTTP/1."[: len(buffer)]):
        return Fault(502, "upstream-invalid", f"it answered something that is not HTTP/1.x: {printable(buffer)}")
    if len(buffer) > limit:
        return Fault(502, "upstream-invalid", f"its response header is over {limit} bytes (max_header)")
    at = buffer.find(b"\n")
    while at >= 0:
        if buffer[at - 1] != 0x0D:
            return Fault(
                502, "upstream-invalid", f"a line of its response header ends in a bare LF: {printable(buffer)}"
            )
        at = buffer.find(b"\n", at + 1)
    return None


def switch_fault(plan: Plan, asked: bytes, key: bytes | None) -> Fault | None:
    """Why a 101 is no right answer to a request for `asked` with a Sec-WebSocket-Key (RFC 6455 §4.2.2)."""
    granted = upgrade_protocols(plan.fields).lower()
    wanted = [protocol.strip() for protocol in asked.lower().split(b",")]
    if not asked:
        return Fault(502, "upstream-invalid", "it switched protocols (101) though nobody asked it to")
    if granted not in wanted:
        return Fault(
            502, "upstream-invalid", f"it switched to {printable(granted)}, and {printable(asked)} was asked for"
        )
    if granted == b"websocket" and key is not None:
        expected = b64encode(sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest())
        if plan.fields.all(b"sec-websocket-accept") != [expected]:
            return Fault(502, "upstream-invalid", "its Sec-WebSocket-Accept does not match the handshake")
    return None
