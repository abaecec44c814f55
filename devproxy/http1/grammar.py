"""HTTP/1.x heads: exactly one head out of the bytes, or what is wrong with them and where.

Lives here: RFC 9112 §§2–5 as regular expressions; pure functions from bytes to values.
Not here: what a field line means to a proxy (`fields.py`), where a body ends (`framing.py`), routing
(`proxy/decide.py`).

How it works: one expression accepts a whole start line; it is possessive, so it is linear in its input and never
backtracks. Only after a refusal is the head read step by step, to say what was wrong.
"""

import re
from typing import Final, NamedTuple

from devproxy.text import shown_bytes

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
_METHOD: Final = TOKEN.removesuffix(b"++") + b"{1,64}+"
_TARGET: Final = rb"[!-\x22$-~]++"
_REQUEST_LINE: Final = re.compile(rb"(" + _METHOD + rb") (" + _TARGET + rb") HTTP/1\.([01])\r\n")
_METHOD_AND_TARGET: Final = re.compile(_METHOD + b" " + _TARGET)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: (" + VALUE + rb"))?\r\n")
_ANY_REQUEST_LINE: Final = re.compile(rb"(" + TOKEN + rb") (" + _TARGET + rb") HTTP/([0-9])\.([0-9])\r\n")

_BEGIN: Final = re.compile(rb"(" + TOKEN + rb") ([^ \r\n]++)(?= |$)")
_FIRST_LINE: Final = 8192  # bytes of a refused request that are looked at for its method and target

END: Final = b"\r\n\r\n"


METHOD_LIMIT: Final = 64  # bytes of a method; the longest of the IANA registry has 17


class Fault(NamedTuple):
    """Why a message is refused: the status to answer, a stable code, a sentence for a person, and what mends it."""

    status: int
    code: str
    detail: str
    fix: str = ""


RequestHead = tuple[bytes, bytes, int, int, int]
"""(method, target, minor version, where the fields begin in the buffer, where the body begins)."""

StatusLine = tuple[int, int, bytes, int, int]
"""(minor version, status, the line behind the version with its CRLF, where the fields begin, where the body begins)."""


def request_head(buffer: bytes) -> RequestHead | Fault | None:
    """The request line at the start of `buffer`; None while the head is incomplete. The fields are not checked yet."""
    end = buffer.find(END)
    if end < 0:
        return None
    line = _REQUEST_LINE.match(buffer)
    if line is None:
        return explain_request_line(buffer)
    method, target, minor = line.groups()
    return method, target, 1 if minor == b"1" else 0, line.end(), end + 4


def known_request(begun: bytes | bytearray) -> tuple[bytes, bytes]:
    """Method and target of bytes that may be no request, as far as their first line tells; both empty where not."""
    line = bytes(begun[:_FIRST_LINE]).partition(b"\n")[0]
    found = _BEGIN.match(line)
    return (found[1], found[2]) if found is not None else (b"", b"")


def status_line(buffer: bytes, checked: int = 0) -> StatusLine | Fault | None:
    """The status line at the start of `buffer`; None while the head is incomplete, as its first `checked` bytes are."""
    end = buffer.find(END, max(0, checked - 3))
    if end < 0:
        return None
    line = _STATUS_LINE.match(buffer)
    if line is None:
        shown = shown_bytes(buffer[: buffer.find(b"\r\n")])
        return Fault(502, "upstream-invalid", f"the status line is not HTTP/1.x: {shown}")
    # Some services leave the space out with the reason phrase; clients get both, the phrase empty (RFC 9112 §4).
    text = buffer[9 : line.end()] if line[3] is not None else line[2] + b" \r\n"
    return 1 if line[1] == b"1" else 0, int(line[2]), text, line.end(), end + 4


def early_fault(buffer: bytes | bytearray, checked: int) -> Fault | None:
    """A fault in a head that is not complete yet; `checked` bytes were looked at before. Linear over all calls."""
    if not checked and (fault := _opening_fault(buffer)) is not None:
        return fault
    at = first = buffer.find(b"\n", checked)
    while at >= 0:
        if at == 0 or buffer[at - 1] != 0x0D:
            number = buffer.count(b"\n", 0, at) + 1
            return _bad(f"line {number} ends in a bare LF; HTTP lines end in CR LF")
        at = buffer.find(b"\n", at + 1)
    if first >= 0 and buffer.rfind(b"\n", 0, first) < 0 and _REQUEST_LINE.match(buffer) is None:
        return explain_request_line(bytes(buffer))
    return None


def _opening_fault(buffer: bytes | bytearray) -> Fault | None:
    """Why no request begins like this; what other protocols send first seldom ends in a line (RFC 8446 §5.1: TLS)."""
    if _OPENING.match(buffer) is not None or buffer == _TLS[:1]:
        return None
    if buffer.startswith(_TLS):
        return TLS_HELLO
    return _bad(f"no request begins like this: {shown_bytes(bytes(buffer[:40]))}")


TLS_HELLO: Final = Fault(
    400,
    "tls-on-http-port",
    "this port speaks plain HTTP, and what came begins a TLS connection (https)",
    "use http:// instead of https:// in the address",
)
_TLS: Final = b"\x16\x03"  # a record of a handshake, and the major version
_OPENING: Final = re.compile(rb"[\r\n]|" + TOKEN)


def head_too_large(head: bytes | bytearray, limit: int) -> Fault:
    """What of a head, whole or only begun, makes it larger than `limit` (RFC 9110 §15.5.15, RFC 9112 §3)."""
    method, _, rest = bytes(head).partition(b"\r\n")[0].partition(b" ")
    if len(method) > METHOD_LIMIT:
        return _method_too_long(method)
    length = len(rest.partition(b" ")[0])
    if 2 * length <= len(head):
        return Fault(431, "header-too-large", f"the request's header is over the limit of {limit} bytes (max_header)")
    return Fault(
        414,
        "target-too-long",
        f"the request target has {length} bytes{_so_far(head)}, which is most of the {limit} that a header may have"
        " (max_header)",
        "send the data in the body of a POST request, or raise `max_header` under [proxy]",
    )


def _so_far(head: bytes | bytearray) -> str:
    return "" if b"\r\n" in head else " so far"


def _method_too_long(method: bytes) -> Fault:
    return Fault(
        501,
        "method-too-long",
        f"the method has more than {METHOD_LIMIT} bytes: {shown_bytes(method, 40)}",
        "use a method of HTTP, such as GET",
    )


def request_fault(method: bytes, target: bytes) -> Fault | None:
    """Why these cannot stand in a request line of HTTP/1.1, where another protocol has brought them."""
    if _METHOD_AND_TARGET.fullmatch(b"%b %b" % (method, target)) is not None:
        return None
    return explain_request_line(b"%b %b HTTP/1.1\r\n" % (method, target))


def explain_request_line(buffer: bytes) -> Fault:
    """Why the first line of `buffer` is no request line of HTTP/1.0 or 1.1 (RFC 9112 §3)."""
    if buffer.startswith(_TLS):
        return TLS_HELLO
    line = buffer[: buffer.find(b"\n") + 1]
    method = line.partition(b" ")[0]
    if len(method) > METHOD_LIMIT and re.fullmatch(TOKEN, method):
        return _method_too_long(method)
    found = _ANY_REQUEST_LINE.match(line)
    if found is not None:
        version = f"HTTP/{found[3].decode()}.{found[4].decode()}"
        return Fault(505, "unsupported-version", f"{version} is not spoken here; HTTP/1.0 and HTTP/1.1 are")
    if not line.endswith(b"\r\n"):
        return _bad("the request line ends in a bare LF; HTTP lines end in CR LF")
    text = line[:-2]
    parts = text.split(b" ")
    if len(parts) == 2:
        return _bad("the request line has no HTTP version (HTTP/0.9 is not spoken here)")
    if len(parts) != 3:
        return _bad(f"the request line has {len(parts)} parts instead of method, target and version")
    if re.fullmatch(TOKEN, parts[0]) is None:
        return _bad(f"the method is not a token: {shown_bytes(parts[0])}")
    if not re.fullmatch(rb"HTTP/[0-9]\.[0-9]", parts[2]):
        return _bad(f"the version is malformed: {shown_bytes(parts[2])}")
    what = "a fragment (`#`)" if b"#" in parts[1] else "a control or non-ASCII character; percent-encode it"
    return _bad(
        f"the request target contains {what}: {shown_bytes(parts[1])}" if parts[1] else "there is no request target"
    )


def explain_fields(raw: bytes) -> Fault:
    """Why `raw` is not a field section (RFC 9112 §5)."""
    for number, line in enumerate(raw.split(b"\r\n"), 1):
        if b"\n" in line or b"\r" in line:
            bare = "LF" if b"\n" in line else "CR"
            return _bad(f"field line {number} contains a bare {bare}: {shown_bytes(line)}")
        if line[:1] in (b" ", b"\t"):
            return _bad(f"field line {number} is folded onto a second line, which is obsolete (obs-fold)")
        name, colon, value = line.partition(b":")
        if line and not colon:
            return _bad(f"field line {number} has no colon: {shown_bytes(line)}")
        if line and re.fullmatch(TOKEN, name) is None:
            space = "white space before the colon of" if name.rstrip() != name else "a field name that is no token in"
            return _bad(f"{space} field line {number}: {shown_bytes(line)}")
        if re.fullmatch(VALUE, value) is None:
            return _bad(f"a control character in the value of `{name.decode()}`: {shown_bytes(value)}")
    return _bad("the field section is malformed")


def _bad(detail: str) -> Fault:
    return Fault(400, "bad-request", detail)
