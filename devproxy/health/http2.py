"""The request of a check over HTTP/2, and its answer (RFC 9113): for `h2c://`, and for `https://` that chooses it.

Lives here: one stream on a connection of its own, without I/O: bytes to send, and a status or a phrase why there is
none. Frames and HPACK are libnghttp2's, as they are the proxy's; the head is read by the grammar and the limits that
hold for HTTP/1.1, as the proxy reads it.
Not here: the connection (`probe.py`), HTTP/2 in the proxy (`proxy/h2_engine.py`, above this package).
"""

from collections.abc import Sequence
from contextlib import suppress

from ngh2 import (
    Configuration,
    Connection,
    InformationalResponseReceived,
    NGH2Error,
    ResponseReceived,
    Role,
    Setting,
    StreamClosed,
)

from devproxy.http1.grammar import Fault
from devproxy.http1.h2_fields import CANCEL, HTTP_1_1_REQUIRED, response_head
from devproxy.http1.response import ENDLESS_INTERIM, INTERIM_LIMIT, read_response_head
from devproxy.registry.model import ProxySettings
from devproxy.text import shown_bytes

_ROOM = 4  # times the limit of a header, beyond which the library refuses what we answer in words
_PREFACE = b"HTTP/"  # how an answer begins that is none of HTTP/2


class Http2Reader:
    """One request, and what comes back. `reply` is what is to be sent, the request at first. `wants_http1`: the service
    answers it by HTTP/1.1 alone."""

    def __init__(self, settings: ProxySettings, scheme: str, authority: str, target: str):
        self._settings = settings
        self._begun = b""
        self._waiting = b""
        self._interim = 0
        self.wants_http1 = False
        limits = Configuration(
            max_inbound_header_list_size=settings.max_response_header * _ROOM,
            max_inbound_header_count=settings.max_headers * _ROOM,
        )
        self._connection = Connection(Role.CLIENT, limits)
        self._connection.initiate_connection(
            {Setting.ENABLE_PUSH: 0, Setting.MAX_HEADER_LIST_SIZE: settings.max_response_header}
        )
        control = [(":method", "GET"), (":scheme", scheme), (":authority", authority), (":path", target)]
        fields = [("accept", "*/*"), ("user-agent", "devproxy-health")]
        listed = [(name.encode(), value.encode("ascii", "replace")) for name, value in (*control, *fields)]
        self._stream = self._connection.send_request(listed, end_stream=True)

    def reply(self) -> bytes:
        """What is to be sent now."""
        with suppress(NGH2Error):  # it has refused what came, and says nothing more
            self._waiting += self._connection.data_to_send()
        frames, self._waiting = self._waiting, b""
        return frames

    def feed(self, data: bytes) -> int | str | None:
        """Take in some more bytes: a status, or a phrase why there is none; None while neither can be told."""
        if len(self._begun) < len(_PREFACE):
            self._begun += data[:64]
            if self._begun.startswith(_PREFACE):
                return f"it is asked in HTTP/2, and does not speak it: {shown_bytes(self._begun)}"
        try:
            self._connection.receive_data(data)
            events = self._connection.events()
        except NGH2Error as error:
            return f"what it sent is not HTTP/2: {error}"
        for event in events:
            outcome = self._outcome(event)
            if outcome is not None:
                self._part()
                return outcome
        self._waiting = self.reply()
        return None if self._connection.want_read else "what it sent breaks the rules of HTTP/2"

    def _outcome(self, event: object) -> int | str | None:
        if isinstance(event, InformationalResponseReceived):
            self._interim += 1
            return ENDLESS_INTERIM.detail if self._interim > INTERIM_LIMIT else None
        if isinstance(event, ResponseReceived):
            return self._status(event.headers)
        if isinstance(event, StreamClosed):
            self.wants_http1 = event.error_code == HTTP_1_1_REQUIRED
            return f"it reset the request without answering (code {event.error_code:#x}, RFC 9113 §7)"
        return None

    def _status(self, headers: Sequence[tuple[bytes, bytes]]) -> int | str:
        """The status of an answer; a phrase where the proxy would not pass its head on."""
        head = response_head(headers, b"HEAD", is_whole=False)
        limits = self._settings
        read = read_response_head(head, b"HEAD", limits.max_response_header, limits.max_headers)
        assert read is not None  # it is whole
        return read.detail if isinstance(read, Fault) else read.status

    def _part(self) -> None:
        """Say that nothing more is wanted."""
        with suppress(NGH2Error):  # it has ended
            self._connection.reset_stream(self._stream, CANCEL)
            self._connection.terminate_connection()
