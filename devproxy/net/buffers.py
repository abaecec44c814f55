"""How much the kernel may hold for one of our sockets (socket(7), tcp(7)).

Left alone, Linux lets a buffer grow to several MiB a direction, so that a service could run 10 MiB ahead of a reader
that has stopped. A fixed size keeps what is under way on a connection small, and costs nothing on loopback.
"""

import contextlib
import socket
from typing import Final

# Bytes asked for; Linux grants the double, to hold its own bookkeeping as well. A smaller send buffer costs CPU: what
# does not fit is sent in the receiver's time instead of ours, in smaller pieces.
SEND: Final = 1 << 20
RECEIVE: Final = 1 << 19


def bound_buffers(sock: socket.socket) -> None:
    """Fix the buffers of a socket that is not connected yet; what a listening socket accepts inherits them."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE)
