"""Real sockets of which the proxy has one end: what the kernel does between them can't be noted by a double."""

import asyncio
import socket


async def connected_transport() -> tuple[asyncio.Transport, socket.socket]:
    """A transport on a socket, and the other end, which does not block."""
    near, far = socket.socketpair()
    for end in (near, far):
        end.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
    return transport, far
