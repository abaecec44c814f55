"""A raw client of HTTP/2 for the wire tests: streams by number, on python-hyper's `h2`.

Lives here: Http2Client, what it sends, and everything that it has received by stream.
Not here: scripts that are run over both fronts (`h2_peer.py`).
"""

import asyncio
import contextlib
import select
import socket
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1
from typing import NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from tests.waiting import DEADLINE
from tests.wire.h2_frames import GOAWAY, RST_STREAM, Frames
from tests.wire.harness import Stage
from tests.wire.peer import Head

Pair = tuple[bytes, bytes]
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Answer(NamedTuple):
    """A whole response."""

    fields: list[Pair]
    body: bytes
    trailers: list[Pair]
    interim: list[list[Pair]]

    @property
    def status(self) -> int:
        return int(dict(self.fields)[b":status"])


class Http2Client:
    """One connection. `ended` are streams that are over, `resets` the error codes of those that were reset.

    `goaways` are (error code, last stream); `acknowledges`: windows open as data comes.
    """

    def __init__(self, sock: socket.socket, authority: bytes):
        self.sock = sock
        self.authority = authority
        self.acknowledges = True
        config = h2.config.H2Configuration(
            client_side=True, header_encoding=False, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.headers: dict[int, list[Pair]] = {}
        self.interim: dict[int, list[list[Pair]]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.trailer_fields: dict[int, list[Pair]] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.goaways: list[tuple[int, int]] = []
        self.settings: dict[int, int] = {}
        self.ended_connection = False
        self._unacknowledged: dict[int, int] = {}
        self._frames = Frames()

    @classmethod
    async def connect(cls, stage: Stage) -> "Http2Client":
        peer = await stage.connect()
        client = cls(peer.sock, b"web.localhost")
        client.h2.initiate_connection()
        await client.write()
        return client

    # Sending.

    async def ask(
        self, target: bytes, *fields: Pair, method: bytes = b"GET", authority: bytes = b"", end: bool = True
    ) -> int:
        """A request; pseudo-fields among `fields` go to the front."""
        stream = self.h2.get_next_available_stream_id()
        head = [
            (b":method", method),
            (b":scheme", b"http"),
            (b":path", target),
            (b":authority", authority or self.authority),
        ]
        head += [pair for pair in fields if pair[0].startswith(b":")]
        self.h2.send_headers(stream, head + [pair for pair in fields if not pair[0].startswith(b":")], end_stream=end)
        await self.write()
        return stream

    async def data(self, stream: int, data: bytes, *, end: bool) -> None:
        """Body bytes, as fast as the windows open."""
        while True:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room or not data:
                piece, data = data[:room], data[room:]
                self.h2.send_data(stream, piece, end_stream=end and not data)
                await self.write()
                if not data:
                    return
            else:
                await self.read()

    async def fill(self, stream: int) -> int:
        """Send until no window opens for half a second, with nothing else to wait for; how much that was."""
        sent = 0
        while True:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room:
                self.h2.send_data(stream, bytes(room))
                sent += room
                await self.write()
                continue
            try:
                async with asyncio.timeout(0.5):
                    await self.read()
            except TimeoutError:
                return sent

    async def trailers(self, stream: int, *fields: Pair) -> None:
        self.h2.send_headers(stream, list(fields), end_stream=True)
        await self.write()

    async def reset(self, stream: int) -> None:
        self.h2.reset_stream(stream, 8)
        await self.write()

    def open_connection_window(self, size: int) -> None:
        self.h2.increment_flow_control_window(size)

    async def catch_up(self, stream: int) -> None:
        """Acknowledge everything that came while `acknowledges` was off."""
        self.h2.acknowledge_received_data(self._unacknowledged.pop(stream, 0), stream)
        await self.write()

    async def send_raw(self, data: bytes) -> None:
        """Bytes past the library; that the other end hung up is not an error."""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(DEADLINE):
                await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def write(self) -> None:
        await self.send_raw(self.h2.data_to_send())

    @staticmethod
    def switched(request: Head, *fields: bytes) -> bytes:
        """The 101 that is right for a handshake."""
        accept = b64encode(sha1(request.one(b"sec-websocket-key") + _GUID, usedforsecurity=False).digest())
        lines = [b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade", b"Upgrade: websocket", *fields]
        return b"\r\n".join([*lines, b"Sec-WebSocket-Accept: " + accept]) + b"\r\n\r\n"

    # Receiving.

    async def read(self) -> None:
        """One read; notes what it brings."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            self.ended_connection = True
            return
        for frame in self._frames.cut(data):
            if frame[3] == GOAWAY:
                self.goaways.append((int.from_bytes(frame[13:17], "big"), int.from_bytes(frame[9:13], "big")))
                continue
            if frame[3] == RST_STREAM:  # it knows nothing of streams that were opened past it
                self._reset(int.from_bytes(frame[5:9], "big"), int.from_bytes(frame[9:13], "big"))
            with contextlib.suppress(h2.exceptions.ProtocolError):
                for event in self.h2.receive_data(frame):
                    self._note(event)
        await self.write()

    def _reset(self, stream: int, code: int) -> None:
        self.ended.add(stream)
        self.resets[stream] = code

    def _note(self, event: h2.events.Event) -> None:
        stream = getattr(event, "stream_id", None) or 0
        if isinstance(event, h2.events.ResponseReceived):
            self.headers[stream] = _pairs(event.headers)
        elif isinstance(event, h2.events.InformationalResponseReceived):
            self.interim.setdefault(stream, []).append(_pairs(event.headers))
        elif isinstance(event, h2.events.TrailersReceived):
            self.trailer_fields[stream] = _pairs(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            self.bodies.setdefault(stream, bytearray()).extend(event.data or b"")
            size = event.flow_controlled_length or 0
            if self.acknowledges:
                self.h2.acknowledge_received_data(size, stream)
            else:
                self._unacknowledged[stream] = self._unacknowledged.get(stream, 0) + size
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(stream)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings.update({code: change.new_value for code, change in event.changed_settings.items()})

    async def until(self, holds: Callable[[], object]) -> None:
        """Read until `holds`."""
        async with asyncio.timeout(DEADLINE):
            while not holds():
                assert not self.ended_connection, f"the connection ended; {self.goaways}, {self.resets}"
                await self.read()

    async def response(self, stream: int) -> Answer:
        """The whole response on `stream`."""
        await self.until(lambda: stream in self.ended)
        assert stream in self.headers, f"stream {stream} was reset: {self.resets.get(stream)}"
        body, trailers = self.body_of(stream), self.trailer_fields.get(stream, [])
        return Answer(self.headers[stream], body, trailers, self.interim.get(stream, []))

    def body_of(self, stream: int) -> bytes:
        """What has come of a response's body."""
        return bytes(self.bodies.get(stream, b""))

    async def headers_of(self, stream: int) -> list[Pair]:
        await self.until(lambda: stream in self.headers)
        return self.headers[stream]

    def status(self, stream: int) -> int:
        return int(dict(self.headers[stream])[b":status"])

    async def reset_of(self, stream: int) -> int:
        """The error code with which the proxy has reset `stream`."""
        await self.until(lambda: stream in self.resets)
        return self.resets[stream]

    async def until_ended(self) -> None:
        """Read until the proxy has ended the connection."""
        async with asyncio.timeout(DEADLINE):
            while not self.ended_connection:
                await self.read()

    def is_hung_up(self) -> bool:
        """Whether the proxy has ended the connection: what has come of that is still to be read."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        return bool(poll.poll(0))

    def close(self) -> None:
        self.sock.close()


def _pairs(headers: object) -> list[Pair]:
    assert isinstance(headers, list)
    return [(bytes(name), bytes(value)) for name, value in headers]
