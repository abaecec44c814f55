"""Ending a connection so that its peer cannot take what it got for whole.

Not here: when that is called for (`proxy/connection.py`).
"""

import asyncio
import socket
import struct
import sys
from typing import Final

# SO_LINGER with no time: close sends RST, socket(7).
_NOW: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Close with RST, at once; what waits to be sent is lost."""
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)
    transport.abort()
