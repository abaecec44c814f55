"""Both ends of many idle WebSockets; each is a process of its own, for the descriptors.

`idle_sockets.py origin` takes them and prints its port; `idle_sockets.py client PORT HOST COUNT` opens COUNT
through the proxy at PORT and prints `open COUNT`. Both then wait to be stopped. Opened, a socket echoes one byte, so
that each has carried something both ways.
"""

import asyncio
import base64
import hashlib
import os
import re
import resource
import sys

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_AT_ONCE = 100


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    key = re.search(rb"\r\nSec-WebSocket-Key: *(\S+)", head, re.IGNORECASE)
    if not key:
        raise SystemExit(f"no WebSocket key reached the service: {head!r}")
    accepted = base64.b64encode(hashlib.sha1(key[1] + _GUID).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accepted + b"\r\n\r\n"
    )
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


async def origin() -> None:
    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=1024)
    print(f"listening {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


async def connect(port: int, host: str, gate: asyncio.Semaphore) -> asyncio.StreamWriter:
    async with gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise SystemExit(f"not a WebSocket: {head!r}")
        writer.write(b"x")
        await reader.readexactly(1)
        return writer


async def client(port: int, host: str, count: int) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)
    sockets = await asyncio.gather(*(connect(port, host, gate) for _ in range(count)))
    print(f"open {len(sockets)}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if sys.argv[1] == "origin":
        asyncio.run(origin())
    else:
        asyncio.run(client(int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
