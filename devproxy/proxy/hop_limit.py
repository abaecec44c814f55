"""Max-Forwards: a TRACE or OPTIONS request that may pass so many hops and no more (RFC 9110 §7.6.2); pure.

Each hop takes one off. Where nothing is left the request is answered instead of forwarded: OPTIONS by what a proxy
forwards, TRACE by the request itself (RFC 9110 §9.3.8), without fields whose name tells that they hold a secret. Other
methods pass with the field as it is.
"""

import re
from typing import Final

from devproxy.http1.fields import Section
from devproxy.proxy.answers import Respond

LIMITED: Final = frozenset((b"TRACE", b"OPTIONS"))

_HOPS: Final = re.compile(rb"[0-9]{1,9}")
_LINE: Final = re.compile(rb"^(max-forwards):[^\r]*", re.MULTILINE | re.IGNORECASE)
_SECRET: Final = re.compile(rb"auth|cookie|credential|csrf|jwt|key|pass|secret|session|token|xsrf", re.IGNORECASE)
_ALLOWED: Final = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"


def hops_left(fields: Section) -> int | None:
    """What Max-Forwards says; None where it is not there, or says nothing that can be understood."""
    if b"max-forwards" not in fields.found:
        return None
    values = fields.all(b"max-forwards")
    return int(values[0]) if len(values) == 1 and _HOPS.fullmatch(values[0]) else None


def one_hop_less(lines: bytes, hops: int) -> bytes:
    """Request lines with one hop taken off."""
    return _LINE.sub(b"\\1: %d" % (hops - 1), lines)


def last_recipient(fields: Section, method: bytes, target: bytes, minor: int) -> Respond:
    """The answer to a request that must go no further."""
    if method == b"OPTIONS":
        return Respond(200, "options", "Max-Forwards is 0", content=(b"", _ALLOWED))
    kept = [line for line in fields.raw.split(b"\r\n") if _SECRET.search(line.partition(b":")[0]) is None]
    seen = b"\r\n".join((b"%b %b HTTP/1.%d" % (method, target, minor), *kept, b"", b""))
    return Respond(200, "trace", "Max-Forwards is 0", content=(seen, "Content-Type: message/http"))
