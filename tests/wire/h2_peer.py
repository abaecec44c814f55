"""A client that speaks HTTP/2 on the wire and HTTP/1.1 to the test, so that one script is run over both.

Lives here: `Http2Peer`. What a test sends is read as requests of HTTP/1.1, and each becomes a stream; what comes back
on the streams is written down as responses of HTTP/1.1, in the order of the requests. Names are in lower case then, the
reason is gone, and a body without a length is chunked; `expect` knows that. A WebSocket is asked for as RFC 8441 does.
Not here: HTTP/2 itself, which the library `h2` (python-hyper) speaks here: another one than the proxy's, so that each
judges the other.
"""

import asyncio
import contextlib
import re
import socket
from collections import deque

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from tests.waiting import DEADLINE
from tests.wire.h2_frames import GOAWAY, Frames
from tests.wire.peer import Head, Peer

_DROPPED = frozenset((b"host", b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_CHUNK = re.compile(rb"([0-9a-fA-F]+)[^\r\n]*\r\n")


class _Answer:
    """What has come back on one stream, as HTTP/1.1."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.chunked = False
        self.is_websocket = False
        self.ended = ""


class Http2Peer(Peer):
    """One connection over HTTP/2. `ended` is `reset` once the stream that is read was reset."""

    def __init__(self, sock: socket.socket, name: str):
        super().__init__(sock, name)
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = h2.connection.H2Connection(config)
        self._frames = Frames()
        self.goaway: int | None = None
        self._answers: deque[_Answer] = deque()
        self._by_stream: dict[int, _Answer] = {}
        self._unsent = b""  # of a script
        self._stream = 0  # whose request is being sent
        self._left = 0  # bytes of its body; -1: chunked
        self._started = False
        self._reading = asyncio.Lock()
        self._reads = 0

    # What the test sends.

    async def send(self, data: bytes) -> None:
        if not self._started:
            self._started = True
            self.h2.initiate_connection()
        self._unsent += data
        while self._unsent and await self._step():
            pass
        await self._write()

    async def _step(self) -> bool:
        """Send one head or piece of a body; False where more of the script is needed."""
        if not self._stream:
            if self._unsent.startswith(b"\r\n"):
                self._unsent = self._unsent[2:]
                return True
            head, empty_line, rest = self._unsent.partition(b"\r\n\r\n")
            if not empty_line:
                return False
            self._unsent = rest
            self._begin(head)
            return True
        if self._left >= 0:
            piece, self._unsent = self._unsent[: self._left], self._unsent[self._left :]
            self._left -= len(piece)
            await self._data(piece, last=not self._left)
            return True
        line = _CHUNK.match(self._unsent)
        if line is None:
            return False
        size = int(line[1], 16)
        if not size:
            return self._trailers(line.end())
        end = line.end() + size + 2
        if len(self._unsent) < end:
            return False
        piece, self._unsent = self._unsent[line.end() : end - 2], self._unsent[end:]
        await self._data(piece, last=False)
        return True

    def _begin(self, head: bytes) -> None:
        line, *lines = head.split(b"\r\n")
        method, target, _ = line.split(b" ")
        pairs = [(name.lower(), value.strip()) for name, _, value in (one.partition(b":") for one in lines)]
        fields = dict(pairs)
        is_websocket = fields.get(b"upgrade", b"").lower() == b"websocket"
        listed = [(b":method", b"CONNECT" if is_websocket else method)]
        if is_websocket:
            listed.append((b":protocol", b"websocket"))
        listed += [(b":scheme", b"http"), (b":path", target)]
        if b"host" in fields:
            listed.append((b":authority", fields[b"host"]))
        listed += [pair for pair in pairs if pair[0] not in _DROPPED]
        self._stream = self.h2.get_next_available_stream_id()
        self._left = -1 if b"transfer-encoding" in fields else int(fields.get(b"content-length", b"0"))
        answer = self._by_stream[self._stream] = _Answer()
        answer.is_websocket = is_websocket
        self._answers.append(answer)
        last = not self._left and not is_websocket
        self.h2.send_headers(self._stream, listed, end_stream=last)
        if last:
            self._stream = 0
        elif is_websocket:
            self._left = 1 << 62

    async def _data(self, piece: bytes, *, last: bool) -> None:
        stream = self._stream
        while True:
            try:
                room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
                if room or not piece:
                    now, piece = piece[:room], piece[room:]
                    self.h2.send_data(stream, now, end_stream=last and not piece)
                    await self._write()
                    if not piece:
                        break
                    continue
            except h2.exceptions.ProtocolError:  # the stream is closed: the answer came early
                break
            await self._read()
        if last:
            self._stream = 0

    def _trailers(self, at: int) -> bool:
        end = at if self._unsent.startswith(b"\r\n", at) else self._unsent.find(b"\r\n\r\n", at)
        if end < 0:
            return False
        lines = self._unsent[at:end].split(b"\r\n") if end > at else []
        self._unsent = self._unsent[end + (4 if lines else 2) :]
        with contextlib.suppress(h2.exceptions.ProtocolError):
            if lines:
                pairs = [(name.lower(), value.strip()) for name, _, value in (one.partition(b":") for one in lines)]
                self.h2.send_headers(self._stream, pairs, end_stream=True)
            else:
                self.h2.send_data(self._stream, b"", end_stream=True)
        self._stream = 0
        return True

    def half_close(self) -> None:
        """The request under way ends here; there is no other half-close."""
        if self._stream:
            self.h2.end_stream(self._stream)
            self._stream = 0
            self.sock.setblocking(True)
            self.sock.sendall(self.h2.data_to_send())
            self.sock.setblocking(False)

    async def _write(self) -> None:
        data = self.h2.data_to_send()
        if data:
            async with asyncio.timeout(DEADLINE):
                await asyncio.get_running_loop().sock_sendall(self.sock, data)

    # What comes back.

    async def more(self, what: str) -> None:
        before = len(self.received)
        assert not self.ended, f"{self.name}: {self.ended} while waiting for {what}; unread: {self.pending[:2000]!r}"
        while len(self.received) == before and not self.ended:
            await self._read()
            self._write_down()

    async def _read(self) -> None:
        """One read, by whoever comes first: who had to wait for that looks at what it has brought."""
        seen = self._reads
        async with self._reading:
            if self._reads == seen:
                await self._read_now()
                self._reads += 1

    async def _read_now(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE):
                data = await asyncio.get_running_loop().sock_recv(self.sock, 262144)
        except TimeoutError:
            raise AssertionError(f"{self.name}: silent for {DEADLINE} s; unread: {self.pending[:2000]!r}") from None
        except ConnectionError:
            self.ended = "reset"
            return
        if not data:
            self.ended = "fin"
            return
        for frame in self._frames.cut(data):
            if frame[3] == GOAWAY:
                self.goaway = int.from_bytes(frame[13:17], "big")
                continue
            for event in self.h2.receive_data(frame):
                self._note(event)
        with contextlib.suppress(ConnectionError):
            await self._write()

    def _note(self, event: h2.events.Event) -> None:
        stream = getattr(event, "stream_id", None)
        answer = self._by_stream.get(stream or 0)
        if answer is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived | h2.events.ResponseReceived):
            self._head(answer, event)
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            data = event.data or b""
            if data:
                answer.written += b"%x\r\n%b\r\n" % (len(data), data) if answer.chunked else data
        elif isinstance(event, h2.events.TrailersReceived):
            lines = b"".join(b"%b: %b\r\n" % (bytes(name), bytes(value)) for name, value in event.headers or ())
            answer.written += b"0\r\n" + lines + b"\r\n" if answer.chunked else b""
            answer.chunked = False
        elif isinstance(event, h2.events.StreamEnded):
            answer.written += b"0\r\n\r\n" if answer.chunked else b""
            answer.ended = "fin"
        elif isinstance(event, h2.events.StreamReset):
            if event.stream_id == self._stream:
                self._stream = 0
                self._unsent = b""
            answer.ended = answer.ended or "reset"

    def _head(
        self, answer: _Answer, event: "h2.events.InformationalResponseReceived | h2.events.ResponseReceived"
    ) -> None:
        pairs = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
        status = dict(pairs)[b":status"]
        names = {name for name, _ in pairs}
        lines = [b"%b: %b" % pair for pair in pairs if pair[0] != b":status"]
        final = isinstance(event, h2.events.ResponseReceived)
        if answer.is_websocket and status == b"200":  # RFC 8441 §5
            status = b"101"
            lines += [b"connection: Upgrade", b"upgrade: websocket"]
        bodiless = status in (b"101", b"204", b"304") or getattr(event, "stream_ended", None) is not None
        if final and not bodiless and b"content-length" not in names:
            answer.chunked = True
            lines.append(b"transfer-encoding: chunked")
        answer.written += b"\r\n".join([b"HTTP/1.1 %b " % status, *lines]) + b"\r\n\r\n"

    def _write_down(self) -> None:
        """In the order of the requests, as far as answers have come."""
        while self._answers:
            answer = self._answers[0]
            self.received += answer.written
            answer.written.clear()
            if answer.ended == "reset":
                self.ended = "reset"
            if not answer.ended:
                return
            self._answers.popleft()

    async def expect(self, data: bytes) -> None:
        """The next bytes are `data`, but for how a head is written: names, the reason, what speaks of a connection."""
        while data.startswith(b"HTTP/1.1 "):
            raw, _, data = data.partition(b"\r\n\r\n")
            wanted, got = Head.parse(raw + b"\r\n\r\n"), await self.head()
            assert _as_list(got) == _as_list(wanted), f"{self.name}: expected {wanted}, got {got}"
        await super().expect(data)


def _as_list(head: Head) -> tuple[int, list[tuple[bytes, bytes]]]:
    return head.status, [(name.lower(), value) for name, value in head.fields if name.lower() not in _DROPPED]
