"""One end of a connection, as a test scripts it: what to send, what must arrive, and how the connection ends.

Lives here: Peer (a socket with a script), Head (one strict HTTP head), and the framings of a body, read strictly.
Not here: the proxy, listeners, registry values (`harness.py`); anything that forgives: whatever is not HTTP by the
letter of RFC 9112 fails the test that reads it.

Every wait has a deadline and says what had arrived when it passed. `received` keeps every byte of the connection.
"""

import asyncio
import contextlib
import re
import socket
import struct
from typing import NamedTuple

from tests.waiting import DEADLINE

_START = re.compile(rb"(?:HTTP/1\.1 [1-5][0-9][0-9] [\t -~\x80-\xff]*|[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~]+ HTTP/1\.1)")
_FIELD = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?\r\n")


class Head(NamedTuple):
    """A start line and its fields, in order, as they came."""

    line: bytes
    fields: list[tuple[bytes, bytes]]

    @classmethod
    def parse(cls, raw: bytes) -> "Head":
        """`raw` ends in the empty line; anything outside the grammar of RFC 9112 is an AssertionError."""
        line, *rest = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
        assert _START.fullmatch(line), f"malformed start line: {line!r}"
        found = [(text, _FIELD.fullmatch(text)) for text in rest]
        for text, match in found:
            assert match, f"malformed field: {text!r} in {raw!r}"
        return cls(line, [(match[1], match[2]) for _, match in found if match])

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])

    @property
    def method(self) -> bytes:
        return self.line.split(b" ")[0]

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]

    def all(self, name: bytes) -> list[bytes]:
        """Every value of a field, in order; the name in any case."""
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def one(self, name: bytes) -> bytes:
        """The value of a field that must be there exactly once."""
        values = self.all(name)
        assert len(values) == 1, f"{name!r} should be there once: {self}"
        return values[0]

    def tokens(self, name: bytes) -> list[bytes]:
        """The lower-case members of a comma list."""
        return [part.strip().lower() for value in self.all(name) for part in value.split(b",") if part.strip()]


class Message(NamedTuple):
    """A whole message; `framing` is none, length, chunked or close."""

    head: Head
    body: bytes
    framing: str
    trailers: list[tuple[bytes, bytes]]

    @property
    def status(self) -> int:
        return self.head.status

    @property
    def error(self) -> str:
        """The code of one of devproxy's own answers; empty on anything else."""
        return b",".join(self.head.all(b"Devproxy-Error")).decode()


class Peer:
    """A connected socket and what it has received; `ended` is empty, `fin` or `reset`."""

    def __init__(self, sock: socket.socket, name: str):
        sock.setblocking(False)
        self.sock = sock
        self.name = name
        self.received = bytearray()
        self.ended = ""
        self._at = 0

    @property
    def pending(self) -> bytes:
        """What has arrived and was not asked for yet."""
        return bytes(self.received[self._at :])

    async def send(self, data: bytes) -> None:
        """Write all of `data`, however slowly the other end reads."""
        async with asyncio.timeout(DEADLINE):
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    def send_some(self, data: bytes) -> int:
        """Write at once what of `data` is taken; how many bytes. Raises BlockingIOError where that is none."""
        return self.sock.send(data)

    async def try_send(self, data: bytes) -> None:
        """Write what the other end takes; that it hung up is not an error."""
        with contextlib.suppress(ConnectionError):
            await self.send(data)

    async def take(self, count: int) -> bytes:
        """Exactly `count` bytes."""
        while len(self.received) - self._at < count:
            await self.more(f"{count} bytes")
        self._at += count
        return bytes(self.received[self._at - count : self._at])

    async def expect(self, data: bytes) -> None:
        """The next bytes are `data`; a difference fails at once."""
        for start in range(0, len(data), 16384):
            part = data[start : start + 16384]
            while len(self.received) - self._at < len(part) and part.startswith(self.pending):
                await self.more(repr(part[:200]))
            got = bytes(self.received[self._at : self._at + len(part)])
            assert got == part, f"{self.name}: expected {part[:500]!r}, got {self.pending[:2000]!r}"
            self._at += len(part)

    async def until(self, mark: bytes) -> bytes:
        """Everything up to `mark`, with it."""
        while (found := self.received.find(mark, self._at)) < 0:
            await self.more(repr(mark))
        start, self._at = self._at, found + len(mark)
        return bytes(self.received[start : self._at])

    async def head(self) -> Head:
        """One head, checked by the letter."""
        return Head.parse(await self.until(b"\r\n\r\n"))

    async def chunk(self) -> bytes:
        """One chunk's data; empty for the last one, whose trailers are still to be read."""
        line = await self.until(b"\r\n")
        size = _CHUNK.fullmatch(line)
        assert size, f"{self.name}: malformed chunk line {line!r}"
        length = int(size[1], 16)
        data = await self.take(length)
        if length:
            await self.expect(b"\r\n")
        return data

    async def chunked(self) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """A whole chunked body and its trailers."""
        parts = []
        while part := await self.chunk():
            parts.append(part)
        lines = []
        while (line := await self.until(b"\r\n")) != b"\r\n":
            lines.append(line[:-2])
        found = [_FIELD.fullmatch(line) for line in lines]
        assert all(found), f"{self.name}: malformed trailers {lines!r}"
        return b"".join(parts), [(match[1], match[2]) for match in found if match]

    async def response(self, method: bytes = b"GET") -> Message:
        """The next response to a `method` request, interim ones included (RFC 9112 §6.3)."""
        head = await self.head()
        if method == b"HEAD" or head.status < 200 or head.status in (204, 304):
            return Message(head, b"", "none", [])
        return await self._body(head, "close")

    async def request(self) -> Message:
        """The next request."""
        return await self._body(await self.head(), "none")

    async def _body(self, head: Head, otherwise: str) -> Message:
        coding, length = head.all(b"Transfer-Encoding"), head.all(b"Content-Length")
        assert len(coding) + len(length) < 2, f"{self.name}: two framings in {head}"
        if coding:
            assert coding[0].lower() == b"chunked", f"{self.name}: {head}"
            body, trailers = await self.chunked()
            return Message(head, body, "chunked", trailers)
        if length:
            return Message(head, await self.take(int(length[0])), "length", [])
        body = await self.rest() if otherwise == "close" else b""
        return Message(head, body, otherwise, [])

    async def rest(self) -> bytes:
        """Everything up to a clean end of the other side's bytes."""
        while not self.ended:
            await self.more("the end of the connection")
        assert self.ended == "fin", f"{self.name}: reset after {self.pending[-200:]!r}"
        return await self.take(len(self.received) - self._at)

    async def eof(self) -> None:
        """A clean end, and nothing unread before it."""
        assert await self.rest() == b"", (
            f"{self.name}: bytes before the end of the connection: {self.received[-400:]!r}"
        )

    async def gone(self) -> bytes:
        """The connection ends, cleanly or not; returns what came before that."""
        while not self.ended:
            await self.more("the end of the connection")
        return await self.take(len(self.received) - self._at)

    async def cut(self) -> bytes:
        """The connection ends, and no last chunk was sent before that; returns what came."""
        data = await self.gone()
        assert not data.endswith(b"0\r\n\r\n"), f"{self.name}: a whole body, where it should have been cut: {data!r}"
        return data

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """What the kernel does for a killed process that had not read everything: RST, at once."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    async def more(self, what: str) -> None:
        """Wait for more bytes or for the end of the connection; `what` says what for."""
        unread = f"unread: {self.pending[:2000]!r}"
        assert not self.ended, f"{self.name}: {self.ended} while waiting for {what}; {unread}"
        try:
            async with asyncio.timeout(DEADLINE):
                data = await asyncio.get_running_loop().sock_recv(self.sock, 262144)
        except TimeoutError:
            raise AssertionError(f"{self.name}: silent for {DEADLINE} s while waiting for {what}; {unread}") from None
        except ConnectionError:
            self.ended = "reset"
            return
        self.received += data
        if not data:
            self.ended = "fin"
