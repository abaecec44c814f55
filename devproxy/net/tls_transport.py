"""TLS on a socket of ours, in the event loop: the handshake, and then a transport like any other (asyncio.Transport).

Lives here: reading, writing, and the end of a connection, for either side of the proxy.
Not here: certificates and contexts (`tls/contexts.py`), who accepts (`proxy/tls_accept.py`) and dials (`dial.py`).

How it works: OpenSSL reads and writes the socket itself (SSL_read(3), SSL_write(3)); the loop only says when it is
ready. The transports for TLS that asyncio and uvloop have stand on one for TCP, and pass everything through memory that
they keep: a connection through which bodies have gone costs 120 to 210 KiB with uvloop's, 280 and more with asyncio's,
and 15 here, nearly all of it OpenSSL's. Neither says when all has been sent, or ends a connection so that a peer which
sends more than was asked for can read why. There is one recv(2) more for each record, whose length comes first.

The end (RFC 8446 §6.1): what waits is sent, then close_notify, then FIN; what still comes is thrown away until the
peer has closed as well, so that no reset takes from it what it has not read. A connection that is cut gets no
close_notify. A peer that has sent its close_notify may still read; we cannot do likewise: after SSL_shutdown(3) Python
reads on by itself, and loses what comes.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from devproxy.net.sockets import is_reset, resets_at_close

_RECORD: Final = 1 << 14  # bytes that SSL_read gives at most (RFC 8446 §5.1)
_MANY: Final = 1 << 12  # bytes: behind a record of so many there probably is another
_TURN: Final = 1 << 16  # bytes read before the protocol gets them
_PIECE: Final = 1 << 16  # bytes given to SSL_write at once: where it has to wait, it wants the same ones again
_HIGH_WATER: Final = 1 << 16
_PATIENCE = 30.0  # seconds for the peer to read some of what waits, and to close in the end
_NOBODY: Final = asyncio.Protocol()  # in whose place a protocol was that has lost its connection
_FIN_IS_AN_END: Final = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # none before OpenSSL 3
_WAITS: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


def _nothing(_: ssl.SSLSocket) -> None:
    pass


async def shake_hands(
    context: ssl.SSLContext,
    sock: socket.socket,
    server_name: str | None = None,
    *,
    on_step: Callable[[ssl.SSLSocket], None] = _nothing,
) -> ssl.SSLSocket:
    """Begin TLS on a connected socket that does not block, which belongs to the result then, or is closed: as a client
    of `server_name`, or as the server. Raises OSError, which ssl.SSLError is; an alert has been sent by then.

    `on_step` is called after each step but the last: ALPN may have chosen by then.

    The context is told that a FIN without close_notify is no error (many programs end so): OpenSSL 3 would answer it
    with an alert, and from that on it could not be told from a reset.
    """
    context.options |= _FIN_IS_AN_END
    encrypted = context.wrap_socket(
        sock,
        server_side=server_name is None,
        server_hostname=server_name,
        do_handshake_on_connect=False,
        suppress_ragged_eofs=False,
    )
    try:
        while (wait := _step(encrypted)) is not None:
            on_step(encrypted)
            await _until_over(wait, encrypted.fileno())
    except BaseException:
        encrypted.close()
        raise
    return encrypted


def _step(sock: ssl.SSLSocket) -> ssl.SSLError | None:
    """Go on with the handshake; what it waits for, None where it is over."""
    try:
        sock.do_handshake()
    except _WAITS as wait:
        return wait
    return None


async def _until_over(wait: ssl.SSLError, descriptor: int) -> None:
    """Return once the socket is ready for what it waits for."""
    loop = asyncio.get_running_loop()
    begin, end = loop.add_reader, loop.remove_reader
    if isinstance(wait, ssl.SSLWantWriteError):
        begin, end = loop.add_writer, loop.remove_writer
    ready = loop.create_future()
    begin(descriptor, _set, ready)
    try:
        await ready
    finally:
        end(descriptor)


def _set(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)


class TlsTransport(asyncio.Transport):
    """A connection whose handshake is over. `protocol.connection_made` is called at once."""

    __slots__ = (
        "_about",
        "_closing",
        "_descriptor",
        "_ends",
        "_eof",
        "_high",
        "_is_open",
        "_is_watching",
        "_is_writing",
        "_loop",
        "_low",
        "_many",
        "_patience",
        "_paused",
        "_pieces",
        "_protocol",
        "_reads_after_write",
        "_receive",
        "_send",
        "_sock",
        "_stopped_writer",
        "_tells_end",
        "_waiting",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: ssl.SSLSocket, protocol: asyncio.BaseProtocol):
        # Not super().__init__, which keeps it in a slot of its own: compiled, what a base outside keeps is never freed.
        self._about = {
            "socket": sock,
            "sockname": sock.getsockname(),
            "peername": sock.getpeername(),
            "sslcontext": sock.context,
            "ssl_object": sock,
            "server_name": getattr(sock.context, "hostname", ""),
        }
        self._loop = loop
        self._sock = sock
        self._descriptor = sock.fileno()
        self._many = 1 if sock.selected_alpn_protocol() == "h2" else _MANY  # its streams each have a record
        self._receive = sock.recv
        self._send = sock.send
        self._is_open = True  # until `connection_lost` is on its way
        self._closing = False  # what is written from now on is lost
        self._tells_end = True  # with close_notify
        self._eof = False  # the peer has finished
        self._paused = False
        self._is_watching = False  # the loop calls `_readable`
        self._is_writing = False  # the loop calls `_writable`
        self._ends = False  # OpenSSL has seen an end or a failure that nobody has been told
        self._reads_after_write = False
        self._pieces: list[bytes | memoryview] = []  # what waits for the kernel
        self._waiting = 0  # bytes in them
        self._high, self._low = _HIGH_WATER, _HIGH_WATER // 4
        self._stopped_writer = False
        self._patience: asyncio.TimerHandle | None = None
        self.set_protocol(protocol)
        protocol.connection_made(self)
        self._watch()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.cut if name == "reset_when_sent" else self._about.get(name, default)

    # Reading.

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def is_reading(self) -> bool:
        return not (self._paused or self._closing or self._eof)

    def pause_reading(self) -> None:
        self._paused = True
        self._watch()

    def resume_reading(self) -> None:
        self._paused = False
        self._watch()

    def _watch(self) -> None:
        """Have the loop tell us what we want to know."""
        wanted = self._is_open and not self._eof and (not self._paused or self._closing)
        if wanted is not self._is_watching:
            self._is_watching = wanted
            if wanted:
                self._loop.add_reader(self._descriptor, self._readable)
                if self._ends:
                    self._loop.call_soon(self._readable)
            else:
                self._loop.remove_reader(self._descriptor)

    def _readable(self) -> None:
        if not self._is_watching:  # it was called for what is not wanted any more
            return
        if self._closing:
            self._throw_away()
            return
        try:
            data = self._receive(_RECORD)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:  # it answers a new key first (RFC 8446 §4.6.3)
            self._reads_after_write = True
            self._await_room()
            return
        except ssl.SSLEOFError:  # Python says so of a reset, and before OpenSSL 3 of a FIN
            if is_reset(self._sock):
                self._lose(ConnectionResetError())
                return
            data = b""
        except OSError as error:
            self._lose(error)
            return
        if len(data) >= self._many:
            data = self._read_more(data)
        self._deliver(data)

    def _deliver(self, data: bytes) -> None:
        """Tell the protocol what has come; nothing is the end."""
        try:
            if data:
                self._protocol.data_received(data)
            else:
                self._end_reading()
        except Exception as error:  # it ends this connection, and no other
            self._break(error)

    def _read_more(self, first: bytes) -> bytes:
        """And what else is there, up to a turn's worth."""
        pieces = [first]
        size = len(first)
        try:
            while size < _TURN:
                data = self._receive(_RECORD)
                if not data:
                    self._tell_end_soon()
                    break
                pieces.append(data)
                size += len(data)
        except _WAITS:
            pass
        except OSError:
            self._tell_end_soon()
        return b"".join(pieces)

    def _tell_end_soon(self) -> None:
        """Behind what came before it. It shows once more when it is asked for, but the socket is not ready again."""
        self._ends = True
        self._loop.call_soon(self._readable)

    def _end_reading(self) -> None:
        self._eof = True
        self._watch()
        if not self._protocol.eof_received():
            self.close()

    def _break(self, error: Exception) -> None:
        self._loop.call_exception_handler(
            {"message": "a protocol over TLS failed", "exception": error, "transport": self, "protocol": self._protocol}
        )
        self._lose(error)

    # Writing.

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high if high is not None else _HIGH_WATER if low is None else 4 * low
        self._low = low if low is not None else self._high // 4
        self._mind_limits()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or not data:
            return
        if not self._pieces and len(data) <= _PIECE:
            try:
                self._send(data)  # all of it, or it raises: Python does not ask for SSL_MODE_ENABLE_PARTIAL_WRITE
                return
            except _WAITS:
                self._await_room()
            except OSError as error:
                self._lose(error)
                return
        self._keep(data)
        if self._is_writing:
            self._mind_limits()
        else:
            self._writable()

    def _keep(self, data: bytes | bytearray | memoryview) -> None:
        whole = data if isinstance(data, bytes) else bytes(data)
        self._waiting += len(whole)
        if len(whole) <= _PIECE:
            self._pieces.append(whole)
            return
        view = memoryview(whole)
        self._pieces.extend(view[start : start + _PIECE] for start in range(0, len(whole), _PIECE))

    def can_write_eof(self) -> bool:
        return False

    def _await_room(self) -> None:
        if not self._is_writing:
            self._is_writing = True
            self._loop.add_writer(self._descriptor, self._writable)

    def _writable(self) -> None:
        pieces = self._pieces
        try:
            while pieces:
                self._send(pieces[0])
                self._waiting -= len(pieces.pop(0))
        except _WAITS:
            self._await_room()
            self._mind_limits()
            return
        except OSError as error:
            self._lose(error)
            return
        if self._is_writing:
            self._is_writing = False
            self._loop.remove_writer(self._descriptor)
        self._mind_limits()
        if self._closing and not pieces:
            self._say_end()
        elif self._reads_after_write:
            self._reads_after_write = False
            self._readable()

    def _mind_limits(self) -> None:
        if self._stopped_writer:
            if self._waiting <= self._low:
                self._stopped_writer = False
                self._protocol.resume_writing()
        elif self._waiting > self._high:
            self._stopped_writer = True
            self._protocol.pause_writing()

    # The end.

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Send what waits, and close_notify; then wait for the peer to close, 30 s after it last read something."""
        if self._closing:
            return
        self._closing = True
        self._watch()
        if self._pieces:
            self._wait_for_peer()
        else:
            self._say_end()

    def cut(self) -> None:
        """Close with RST once what waits has been sent, without close_notify, which would say that it is all."""
        self._tells_end = False
        resets_at_close(self._sock)
        self.close()

    def abort(self) -> None:
        """End at once; what waits is lost."""
        self._lose(None)

    def _wait_for_peer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self._loop.call_later(_PATIENCE, self._look_after, self._waiting)

    def _look_after(self, waited: int) -> None:
        if 0 < self._waiting < waited:
            self._wait_for_peer()
        else:
            self._lose(None)

    def _say_end(self) -> None:
        if not self._is_open:  # it was lost, and a cut one is not to look whole
            return
        if self._tells_end:
            try:
                self._sock.unwrap()
            except ssl.SSLWantWriteError:
                self._await_room()
                return
            except (OSError, ValueError):  # it would wait for the peer's, or the peer is gone, or it has been said
                pass
            with suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_WR)  # SSLSocket's would forget that there is TLS
        if self._eof or not self._tells_end:
            self._lose(None)
        else:
            self._wait_for_peer()

    def _throw_away(self) -> None:
        """What comes after our end: nobody reads it, encrypted or not."""
        try:
            for _ in range(_TURN // _RECORD):
                if not socket.socket.recv(self._sock, _RECORD):
                    self._eof = True
                    self._watch()
                    if not self._pieces:
                        self._lose(None)
                    return
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        """Let the protocol know in the next turn, and close the socket then."""
        if not self._is_open:
            return
        self._is_open = False
        self._closing = True
        self._watch()
        if self._is_writing:
            self._is_writing = False
            self._loop.remove_writer(self._descriptor)
        if self._patience is not None:
            self._patience.cancel()
        self._pieces.clear()
        self._waiting = 0
        self._loop.call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        protocol, self._protocol = self._protocol, _NOBODY
        try:
            protocol.connection_lost(error)
        finally:
            self._sock.close()
