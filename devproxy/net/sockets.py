"""What the loop does not do for a socket: is its peer still there, how much may wait in it, and ending it with RST.

- Neither asyncio nor uvloop reports FIN or RST while reading is paused, and a FIN alone does not say whether the peer
  has closed or only finished sending. The kernel is asked instead: `TCP_INFO` (tcp(7)) and, for this machine's own
  other end, the socket table (`sockdiag.py`). Where the platform cannot tell, the answer is "still there": the next
  write finds out.
- Left alone, Linux lets a buffer grow to several MiB a direction (socket(7), tcp(7)), so that a service could run 10
  MiB ahead of a reader that has stopped. A fixed size keeps what is under way on a connection small, and costs nothing
  on loopback.
- Both loops drop what has arrived on a connection once a write to it fails. It is still in the kernel's buffer.
- A connection that broke off in the middle ends with RST, so that its peer cannot take what it got for whole.
"""

import contextlib
import os
import socket
import struct
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from devproxy.net.sockdiag import peer_is_orphan, peer_unread

if TYPE_CHECKING:
    import asyncio  # `ls` has no time to import it

if sys.platform != "win32":
    import fcntl
    import termios

_ESTABLISHED, _CLOSE, _CLOSE_WAIT = 1, 7, 8


Connected: TypeAlias = "asyncio.BaseTransport | socket.socket"


def family_of(host: str) -> socket.AddressFamily:
    """The family of an IP literal."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def socket_of(connected: Connected) -> Any:
    """The socket of a connection, None where there is none."""
    return connected if isinstance(connected, socket.socket) else connected.get_extra_info("socket")


def is_tls(transport: "asyncio.BaseTransport") -> bool:
    """Whether it is a TlsTransport, which encrypts what is written to it."""
    return transport.get_extra_info("sslcontext") is not None


def _state(connected: Connected) -> int | None:
    if sys.platform != "linux":
        return None
    sock = socket_of(connected)
    if sock is None or sock.family == socket.AF_UNIX:
        return None
    try:
        return int(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])
    except OSError:
        return _CLOSE


def is_at_rest(transport: "asyncio.BaseTransport") -> bool:
    """False where the peer has closed or reset the connection, or has sent something, read or not."""
    return _state(transport) in (None, _ESTABLISHED) and not _queued(transport, received=True)


def _queued(transport: "asyncio.BaseTransport", *, received: bool) -> int:
    """Bytes that wait in our end's receive queue, else in its send queue (FIONREAD, TIOCOUTQ: tcp(7), unix(7))."""
    sock = transport.get_extra_info("socket")
    if sock is None or sys.platform == "win32":
        return 0
    try:
        answer = fcntl.ioctl(sock.fileno(), termios.FIONREAD if received else termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(answer, sys.byteorder)


def undelivered(transport: "asyncio.Transport") -> int:
    """Bytes of what was written that the peer has not read yet, wherever they are, as far as can be told."""
    waiting = transport.get_write_buffer_size() + _queued(transport, received=False)
    local, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    if isinstance(local, tuple) and isinstance(peer, tuple):
        waiting += peer_unread(local[:2], peer[:2])
    return waiting


def is_reset(connected: Connected) -> bool:
    """Whether the connection has been reset, read or not."""
    return _state(connected) == _CLOSE


def is_gone(connected: Connected) -> bool:
    """Whether nobody is left to read what we send: the connection was reset, or the peer's socket has no owner."""
    state = _state(connected)
    if state == _CLOSE:
        return True
    if state != _CLOSE_WAIT:
        return False
    local, peer = _names(connected)
    return bool(local and peer and peer_is_orphan(local[:2], peer[:2]))


def _names(connected: Connected) -> tuple[Any, Any]:
    """The addresses of the two ends; a transport remembers them, when its socket does not know them any more."""
    if not isinstance(connected, socket.socket):
        return connected.get_extra_info("sockname"), connected.get_extra_info("peername")
    try:
        return connected.getsockname(), connected.getpeername()
    except OSError:
        return None, None


_READ: Final = 1 << 16
_MOST_UNREAD: Final = 4 << 20  # bytes; the buffer holds less, but a unix socket's peer may still be sending


def unread(transport: "asyncio.BaseTransport") -> bytes:
    """What had arrived on a connection that failed; to be asked within `connection_lost`, before the socket is closed.

    Nothing on Windows, without TLS.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or (sys.platform == "win32" and not is_tls(transport)):
        return b""
    read = sock.recv if is_tls(transport) else partial(os.read, sock.fileno())
    found = bytearray()
    with contextlib.suppress(OSError):
        while len(found) < _MOST_UNREAD and (piece := read(_READ)):
            found += piece
    return bytes(found)


# Bytes asked for; Linux grants the double, to hold its own bookkeeping as well. A smaller send buffer costs CPU: what
# does not fit is sent in the receiver's time instead of ours, in smaller pieces.
SEND: Final = 1 << 20
RECEIVE: Final = 1 << 19


def bound_buffers(sock: socket.socket) -> None:
    """Fix the buffers of a socket that is not connected yet; what a listening socket accepts inherits them."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE)


# SO_LINGER with no time: close sends RST, socket(7).
_NOW: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def reset(transport: "asyncio.Transport") -> None:
    """Close with RST, at once; what waits to be sent is lost."""
    _close_with_reset(transport)
    transport.abort()


def reset_when_sent(transport: "asyncio.Transport") -> None:
    """Close with RST once the kernel has taken what waits to be sent; over TLS without close_notify, which would say
    that all of it has been. A transport that has its own way to do it tells it by that name (`get_extra_info`)."""
    by_itself = transport.get_extra_info("reset_when_sent")
    if by_itself is not None:
        by_itself()
    else:
        _close_with_reset(transport)
        transport.close()


def _close_with_reset(transport: "asyncio.Transport") -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        resets_at_close(sock)


def resets_at_close(sock: socket.socket) -> None:
    """Have the socket's close send RST."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)


# Probes of a connection on which nothing moves: after a minute, six of them, ten seconds apart (tcp(7))
_KEEP_ALIVE: Final = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))


def keep_alive(sock: socket.socket) -> None:
    """Have the kernel find out when the peer is gone without a word, as after a machine has slept."""
    if sock.family == socket.AF_UNIX:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
