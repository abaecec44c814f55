"""A large body through the proxy: CPU per 100 MB.

Lives here: one measurement of one proxy. The origin sends a sparse file by sendfile(2); the client reads into one
buffer and throws it away; both are on the other core.
"""

import socket

from tests.bench.cpu import used
from tests.bench.origin import LARGE_BYTES, LARGE_PATH
from tests.bench.process import BenchError

BUFFER_BYTES = 1 << 20
HUNDRED_MB = 100_000_000


def download(port: int, host: str) -> None:
    """GET the large file over a connection of its own; raises BenchError if it does not come whole."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        receive_large(connection, host)


def receive_large(connection: socket.socket, host: str) -> None:
    """GET the large file on `connection`."""
    request = f"GET {LARGE_PATH} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n"
    buffer = memoryview(bytearray(BUFFER_BYTES))
    connection.sendall(request.encode("ascii"))
    start = connection.recv(BUFFER_BYTES)
    while b"\r\n\r\n" not in start and (more := connection.recv(BUFFER_BYTES)):
        start += more
    head, _, body = start.partition(b"\r\n\r\n")
    missing = LARGE_BYTES - len(body)
    while missing and (count := connection.recv_into(buffer)):
        missing -= count
    if b" 200 " not in head[:16] or missing:
        raise BenchError(f"a download ended {missing} bytes short, after {head[:40]!r}")


def measure(pid: int, port: int, host: str, count: int) -> float:
    """CPU milliseconds per 100 MB over `count` downloads, after one that is not counted."""
    download(port, host)
    before = used(pid)
    for _ in range(count):
        download(port, host)
    return (used(pid) - before).total * 1e3 * HUNDRED_MB / (LARGE_BYTES * count)
