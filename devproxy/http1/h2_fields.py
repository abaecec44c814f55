"""Fields of HTTP/2 and those of HTTP/1.1: the same message in the other's form (RFC 9113 §8, RFC 8441).

Lives here: a request's header list as a method, a target and a field section, so that everything behind it (what a
line means, who gets a request, what passes) is one rule for both protocols; a response head, interim or final, and
trailers as lists; and the same towards a service: a request's head as a list, its response's list as a head; pure.
Not here: frames, streams, HPACK and what makes a list malformed, which libnghttp2 refuses before we hear of it
(`h2.py`).

Lists are of (name, value) in bytes, names in lower case.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, NamedTuple

from devproxy.http1.grammar import Fault
from devproxy.http1.response import ResponseHead

Pair = tuple[bytes, bytes]

# Why a stream or a connection ends (RFC 9113 §7).
NO_ERROR: Final = 0x0
PROTOCOL_ERROR: Final = 0x1
INTERNAL_ERROR: Final = 0x2
REFUSED_STREAM: Final = 0x7
CANCEL: Final = 0x8
ENHANCE_YOUR_CALM: Final = 0xB
INADEQUATE_SECURITY: Final = 0xC
HTTP_1_1_REQUIRED: Final = 0xD

WEBSOCKET: Final = b"websocket"
# What HTTP/1.1 says of its connection, and HTTP/2 does not say (RFC 9113 §8.2.2).
_OF_CONNECTION: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te")
)
_HANDSHAKE: Final = b"\r\nconnection: Upgrade\r\nupgrade: websocket"
_CODING: Final = b"transfer-encoding"


class PseudoFields(NamedTuple):
    """How a request's list begins: its control data (RFC 9113 §8.3.1), and where the fields begin behind it."""

    method: bytes
    target: bytes
    authority: bytes
    protocol: bytes  # what an extended CONNECT asks for (RFC 8441 §4), else empty
    end: int


def pseudo_fields(headers: Sequence[Pair]) -> PseudoFields:
    """Take the control data of a request from the front of its list; what is missing is empty."""
    method = target = authority = protocol = b""
    end = 0
    for name, value in headers:
        if name == b":method":
            method = value
        elif name == b":path":
            target = value
        elif name == b":authority":
            authority = value
        elif name == b":protocol":
            protocol = value
        elif name[:1] != b":":
            break
        end += 1
    return PseudoFields(method, target, authority, protocol, end)


def request_section(authority: bytes, fields: Sequence[Pair], *, has_body: bool, key: bytes = b"") -> bytes | Fault:
    """The field section of a request, without the CRLF of its last line; a Fault where it names two hosts.

    Host comes first, as `:authority` does; crumbs of Cookie become one line (RFC 9113 §8.2.3). A body whose length is
    not told is chunked. `key`: of the handshake that an extended CONNECT for a WebSocket becomes, where its client has
    sent none, as RFC 8441 §5 has it.
    """
    lines = [b"host: " + authority] if authority else []
    crumbs: list[bytes] = []
    cookie_at = -1
    length_is_told = not has_body
    for name, value in fields:
        if name == b"cookie":
            if cookie_at < 0:
                cookie_at = len(lines)
                lines.append(b"")
            crumbs.append(value)
        elif name == b"host" and authority:
            if value.lower() != authority.lower():
                return Fault(400, "bad-request", "the fields :authority and host name different hosts")
        else:
            if name == b"content-length":
                length_is_told = True
            lines.append(name + b": " + value)
    if crumbs:
        lines[cookie_at] = b"cookie: " + b"; ".join(crumbs)
    if not length_is_told:
        lines.append(b"transfer-encoding: chunked")
    section = b"\r\n".join(lines)
    if not key:
        return section
    told = next((value for name, value in fields if name == b"sec-websocket-key"), None)
    return section + _HANDSHAKE + (b"" if told is not None else b"\r\nsec-websocket-key: " + key)


def response_fields(response: ResponseHead) -> list[Pair]:
    """A response head as a list that begins with `:status`; without a Date where it has none."""
    status = (b":status", b"%d" % response.status)
    if response.simple:
        # Field by field as `down` has it, which is empty where a line does not pass (`http1/fields.py`).
        return [
            status,
            *((field.name, field.value) for field in response.fields.fields if field.down and field.name != _CODING),
        ]
    return [status, *list_of_lines(response.towards(1, b"").partition(b"\r\n")[2][:-2])]


def list_of_lines(lines: bytes) -> list[Pair]:
    """Whole field lines as a list; those that speak of the connection are left out."""
    return [pair for pair in map(_pair_of, lines.split(b"\r\n")[:-1]) if pair[0] not in _OF_CONNECTION]


def _pair_of(line: bytes) -> Pair:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip(b" \t")


def lines_of_list(fields: Sequence[Pair]) -> bytes:
    """A list as whole field lines."""
    return b"".join(b"%b: %b\r\n" % (pair[0], pair[1]) for pair in fields)


def switched_fields(response: ResponseHead, added: bytes) -> list[Pair]:
    """A service's 101 as the 200 that opens a WebSocket over HTTP/2: without the key's answer (RFC 8441 §5)."""
    fields = [
        pair
        for pair in list_of_lines(response.towards(1, b"").partition(b"\r\n")[2][:-2] + added)
        if pair[0] != b"sec-websocket-accept"
    ]
    return [(b":status", b"200"), *fields]


# Towards a service.


def request_list(head: bytes, scheme: bytes) -> list[Pair]:
    """A request's head of HTTP/1.1 as a list: Host becomes `:authority`, what speaks of the connection is left out,
    but that trailers are taken (RFC 9113 §8.2.2)."""
    lines = head.split(b"\r\n")
    method, target, _ = lines[0].split(b" ", 2)
    authority = b""
    fields = []
    for line in lines[1:-2]:
        name, value = pair = _pair_of(line)
        if name == b"host":
            authority = authority or value
        elif name not in _OF_CONNECTION:
            fields.append(pair)
        elif name == b"te" and b"trailers" in value.lower():
            fields.append((b"te", b"trailers"))
    control = [(b":method", method), (b":scheme", scheme), (b":authority", authority), (b":path", target)]
    return control + fields


def connect_list(head: bytes, scheme: bytes) -> list[Pair]:
    """The head of a WebSocket's handshake as the list of an extended CONNECT, without its key (RFC 8441 §5)."""
    _method, *control = request_list(head, scheme)
    fields = [pair for pair in control if pair[0] != b"sec-websocket-key"]
    return [(b":method", b"CONNECT"), (b":protocol", WEBSOCKET), *fields]


def switching_head(fields: Sequence[Pair], accept: bytes) -> bytes:
    """The 2xx to an extended CONNECT as the 101 of HTTP/1.1, with the answer to the client's key."""
    _, lines, _ = _of_response(fields)
    passed = [line for line in lines if not line.startswith((b"content-length:", b"sec-websocket-accept:"))]
    switching = b"HTTP/1.1 101 Switching Protocols" + _HANDSHAKE + b"\r\nsec-websocket-accept: " + accept
    return b"\r\n".join((switching, *passed)) + b"\r\n\r\n"


def response_head(fields: Sequence[Pair], method: bytes, *, is_whole: bool) -> bytes:
    """A response's list, interim or final, as a head of HTTP/1.1, whose framing says what the stream does.

    Where the length is not told the body is chunked, or none if the head `is_whole`, the response's last frame.
    `method` is HEAD or empty.
    """
    status, lines, length = _of_response(fields)
    bodiless = status[:1] == b"1" or status in (b"204", b"304") or method == b"HEAD"
    if not bodiless and not is_whole and (length is None or not length.strip(b"0")):  # trailers may still come
        lines = [line for line in lines if line[:15] != b"content-length:"]
        lines.append(b"transfer-encoding: chunked")
    elif not bodiless and length is None:
        lines.append(b"content-length: 0")
    phrase = _PHRASES.get(status, b"")
    return b"\r\n".join((b"HTTP/1.1 " + status + b" " + phrase, *lines)) + b"\r\n\r\n"


def _of_response(fields: Sequence[Pair]) -> tuple[bytes, list[bytes], bytes | None]:
    """The status, the field lines, and the value of Content-Length."""
    status, lines, length = b"", [], None
    for name, value in fields:
        if name == b":status":
            status = value
        elif name[:1] != b":" and name not in _OF_CONNECTION:
            lines.append(name + b": " + value)
            if name == b"content-length":
                length = value
    return status, lines, length


_PHRASES: Final = {b"%d" % status: status.phrase.encode() for status in HTTPStatus}
