"""h11 as the judge of what went over the wire: it reads the same bytes, and must read the same messages.

Lives here: requests and responses as h11 sees them in recorded bytes; pure.
Not here: sending anything (`harness.py`), what is generated (`test_fuzz.py`).
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

import h11

_BIG = 1 << 22
_ABSOLUTE = re.compile(rb"(?i)https?://[^/?]*")


@dataclass(frozen=True)
class Request:
    """A whole request, its target in origin-form. `closes`: it is the last of its connection."""

    method: bytes
    target: bytes
    body: bytes
    closes: bool = field(compare=False)


class Response(NamedTuple):
    """A final response; `whole` is False where its body was cut."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    whole: bool

    @property
    def ours(self) -> bool:
        return any(name == b"devproxy-error" for name, _ in self.headers)


def requests(data: bytes) -> list[Request]:
    """The whole requests at the start of `data`, up to the first thing that h11 refuses."""
    found: list[Request] = []
    try:
        while data:
            request, data = _request(data)
            found.append(request)
    except (h11.RemoteProtocolError, EOFError):
        pass
    return found


def strict_requests(data: bytes) -> tuple[list[Request], bytes]:
    """As `requests`, with what is left: the start of one more request, or nothing. h11 must not refuse anything."""
    found: list[Request] = []
    while data:
        try:
            request, rest = _request(data)
        except EOFError:
            break
        found.append(request)
        data = rest
    return found, data


def _request(data: bytes) -> tuple[Request, bytes]:
    """The first request of `data` and what follows it. EOFError where it is not whole."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_BIG)
    connection.receive_data(data.removeprefix(b"\r\n"))
    head = connection.next_event()
    if not isinstance(head, h11.Request):
        raise EOFError
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    if not isinstance(event, h11.EndOfMessage):
        raise EOFError
    closes = connection.their_state is h11.MUST_CLOSE
    return Request(head.method, _origin_form(head.method, head.target), body, closes), connection.trailing_data[0]


def _origin_form(method: bytes, target: bytes) -> bytes:
    path = _ABSOLUTE.sub(b"", target, count=1) if not target.startswith(b"/") else target
    path = path if path.startswith((b"/", b"*")) else b"/" + path
    return b"*" if method == b"OPTIONS" and path == b"/" else path


def responses(data: bytes, methods: list[bytes]) -> list[Response]:
    """Every response in `data`, the answers to `methods` in order (GET beyond them). Raises what h11 raises."""
    found: list[Response] = []
    while data:
        method = methods[len(found)] if len(found) < len(methods) else b"GET"
        response, data = response_to(method, data)
        found.append(response)
    return found


def response_to(method: bytes, data: bytes, *, upgrade: bool = False) -> tuple[Response, bytes]:
    """The first final response in `data`, and what follows it. Raises what h11 raises, but for a cut body."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_BIG)
    headers = [("Host", "x")] + ([("Connection", "Upgrade"), ("Upgrade", "websocket")] if upgrade else [])
    connection.send(h11.Request(method=b"GET" if method == b"CONNECT" else method, target=b"/", headers=headers))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    while isinstance(head := connection.next_event(), h11.InformationalResponse):
        if head.status_code == 101:
            return Response(101, list(head.headers), b"", True), connection.trailing_data[0]
    if not isinstance(head, h11.Response):
        raise h11.RemoteProtocolError(f"no whole response head in {data!r}")
    body, whole = _body(connection)
    return Response(head.status_code, list(head.headers), body, whole), connection.trailing_data[0] if whole else b""


def _body(connection: h11.Connection) -> tuple[bytes, bool]:
    """The body, and whether it is whole once the connection has ended."""
    body, ended = b"", False
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            if not ended:
                raise
            return body, False  # h11's word for a body that broke off
        if isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return body, True
        elif event is h11.NEED_DATA and not ended:
            ended = True
            connection.receive_data(b"")
        else:
            return body, False
