"""A scripted service that speaks HTTP/2: requests in the order of their coming, on python-hyper's `h2`.

Lives here: Http2Service, what it has received by stream, and what it sends.
Not here: the client's side (`h2_client.py`).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.settings import SettingCodes, Settings

from tests.waiting import DEADLINE
from tests.wire.h2_frames import GOAWAY, Frames
from tests.wire.harness import Origin

Pair = tuple[bytes, bytes]


class Http2Service:
    """One connection of the proxy. `ended` are streams whose request is whole, `resets` the codes of those it reset."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[bytes]],
        send: Callable[[bytes], Awaitable[None]],
        settings: dict[int, int] | None = None,
    ):
        self._receive = receive
        self._send = send
        config = h2.config.H2Configuration(
            client_side=False,
            header_encoding=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = h2.connection.H2Connection(config)
        if settings:
            values = {SettingCodes(code): value for code, value in settings.items()}
            self.h2.local_settings = Settings(client=False, initial_values=values)
        self.acknowledges = True
        self.headers: dict[int, list[Pair]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.trailer_fields: dict[int, list[Pair]] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.pongs = 0
        self.goaways: list[int] = []
        self.ended_connection = False
        self._asked = 0
        self._frames = Frames()

    @classmethod
    async def accept(cls, origin: Origin, settings: dict[int, int] | None = None) -> "Http2Service":
        """The next connection of the proxy, to which it has said its SETTINGS."""
        peer = await origin.accept()
        loop = asyncio.get_running_loop()
        service = cls(
            lambda: loop.sock_recv(peer.sock, 1 << 18), lambda data: loop.sock_sendall(peer.sock, data), settings
        )
        service.h2.initiate_connection()
        await service.write()
        return service

    # Sending.

    async def respond(self, stream: int, *fields: Pair, status: int = 200, end: bool = False) -> None:
        self.h2.send_headers(stream, [(b":status", b"%d" % status), *fields], end_stream=end)
        await self.write()

    async def answer(self, stream: int, body: bytes = b"ok", *fields: Pair, status: int = 200) -> None:
        """A whole response."""
        await self.respond(stream, *fields, status=status)
        await self.data(stream, body, end=True)

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

    async def trailers(self, stream: int, *fields: Pair) -> None:
        self.h2.send_headers(stream, list(fields), end_stream=True)
        await self.write()

    async def reset(self, stream: int, code: int) -> None:
        self.h2.reset_stream(stream, code)
        await self.write()

    async def send_raw(self, data: bytes) -> None:
        """Bytes past the library; that the other end hung up is not an error."""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(DEADLINE):
                await self._send(data)

    async def write(self) -> None:
        await self.send_raw(self.h2.data_to_send())

    # Receiving.

    async def read(self) -> None:
        """One read; notes what it brings."""
        try:
            data = await self._receive()
        except ConnectionError:
            data = b""
        if not data:
            self.ended_connection = True
            return
        preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        if data.startswith(preface):
            self.h2.receive_data(preface)
            data = data[len(preface) :]
        for frame in self._frames.cut(data):
            if frame[3] == GOAWAY:
                self.goaways.append(int.from_bytes(frame[13:17], "big"))
                continue
            with contextlib.suppress(h2.exceptions.ProtocolError):
                for event in self.h2.receive_data(frame):
                    self._note(event)
        await self.write()

    def _note(self, event: h2.events.Event) -> None:
        stream = getattr(event, "stream_id", None) or 0
        if isinstance(event, h2.events.RequestReceived):
            self.headers[stream] = [(bytes(name), bytes(value)) for name, value in event.headers or []]
        elif isinstance(event, h2.events.TrailersReceived):
            self.trailer_fields[stream] = [(bytes(name), bytes(value)) for name, value in event.headers or []]
        elif isinstance(event, h2.events.DataReceived):
            self.bodies.setdefault(stream, bytearray()).extend(event.data or b"")
            if self.acknowledges:
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
        elif isinstance(event, h2.events.StreamEnded):
            self.ended.add(stream)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1
        elif isinstance(event, h2.events.StreamReset):
            self.resets[stream] = int(event.error_code)

    async def until(self, holds: Callable[[], object]) -> None:
        """Read until `holds`."""
        async with asyncio.timeout(DEADLINE):
            while not holds():
                assert not self.ended_connection, f"the connection ended; {self.goaways}, {self.resets}"
                await self.read()

    async def request(self) -> int:
        """The stream of the next request."""
        await self.until(lambda: len(self.headers) > self._asked)
        self._asked += 1
        return list(self.headers)[self._asked - 1]

    def fields(self, stream: int) -> dict[bytes, bytes]:
        return dict(self.headers[stream])

    def body_of(self, stream: int) -> bytes:
        return bytes(self.bodies.get(stream, b""))

    async def whole(self, stream: int) -> bytes:
        """The whole body of a request."""
        await self.until(lambda: stream in self.ended)
        return self.body_of(stream)

    async def reset_of(self, stream: int) -> int:
        """The error code with which the proxy has reset `stream`."""
        await self.until(lambda: stream in self.resets)
        return self.resets[stream]

    async def until_ended(self) -> None:
        """Read until the proxy has ended the connection."""
        async with asyncio.timeout(DEADLINE):
            while not self.ended_connection:
                await self.read()
