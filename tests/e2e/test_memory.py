"""Memory stays bounded, whatever passes through and whoever stops reading.

Lives here: ten gigabytes each way, a client and a service that stop reading, measured in the proxy's resident memory as
the kernel reports its peak, and in how far the other side could run ahead.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from tests import require
from tests.e2e.clients import open_request, read_head
from tests.e2e.origin import Handler, origin
from tests.e2e.proxy import Devproxy
from tests.waiting import DEADLINE, PROGRAM_DEADLINE, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

_SIZE = 10 * 10**9
_GROWTH = 16 << 20
_AHEAD = 8 << 20
_PIECE = memoryview(bytes(1 << 20))


@pytest.fixture(autouse=True)
def linux() -> None:
    require.linux()


class Big:
    """A service that sends `_SIZE` zeros on GET, and takes a body on PUT unless `reading` is cleared."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.ended = threading.Event()
        self.reading = threading.Event()
        self.reading.set()

    def __call__(self, handler: Handler) -> None:
        try:
            if handler.command == "PUT":
                self._take(handler)
            elif handler.path == "/big":
                self._give(handler)
            else:
                handler.reply(b"small")
        finally:
            if handler.path == "/big":
                self.ended.set()

    def _give(self, handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(_SIZE))
        handler.end_headers()
        while self.sent < _SIZE:
            self.sent += handler.connection.send(_PIECE[: _SIZE - self.sent])

    def _take(self, handler: Handler) -> None:
        self.reading.wait(PROGRAM_DEADLINE)
        buffer = bytearray(1 << 20)
        while self.received < _SIZE and (count := handler.rfile.readinto1(buffer)):
            self.received += count
        handler.reply(b"taken")


@contextmanager
def bounded(devproxy: Devproxy) -> Iterator[None]:
    """Warm devproxy up, then hold its peak growth during the block to `_GROWTH`."""
    for _ in range(20):
        assert devproxy.get("big.localhost").body == b"small"
    devproxy.reset_peak()
    before = devproxy.rss()
    yield
    growth = devproxy.peak_rss() - before
    print(f"grew by {growth / 2**20:.1f} MiB")
    assert growth < _GROWTH, f"grew by {growth / 2**20:.1f} MiB"


def drain(client: socket.socket) -> int:
    """How many bytes come until the end."""
    buffer, total = bytearray(1 << 20), 0
    while count := client.recv_into(buffer):
        total += count
    return total


def wait_still(value: Callable[[], int]) -> int:
    """Wait until `value` has not changed for a second: whoever was to be stopped stands. Returns it."""
    last, since = value(), time.monotonic()

    def still() -> bool:
        nonlocal last, since
        if value() != last:
            last, since = value(), time.monotonic()
        return time.monotonic() - since > 1

    wait_until(still, "the sender to be stopped")
    return last


def _head(devproxy: Devproxy, line: str, *fields: str) -> str:
    return "\n".join([f"{line} HTTP/1.1", f"Host: big.localhost:{devproxy.port}", "Connection: close", *fields])


def test_a_ten_gigabyte_download(serve: Callable[[str], Devproxy]) -> None:
    service = Big()
    with origin(service) as at:
        devproxy = serve(f"[services.big]\nport = {at.port}\n")
        with bounded(devproxy), closing(open_request(devproxy.port, _head(devproxy, "GET /big"))) as client:
            assert b"Content-Length: %d\r\n" % _SIZE in read_head(client)
            assert drain(client) == _SIZE


def test_a_ten_gigabyte_upload(serve: Callable[[str], Devproxy]) -> None:
    service = Big()
    with origin(service) as at:
        devproxy = serve(f"[services.big]\nport = {at.port}\n")
        head = _head(devproxy, "PUT /big", f"Content-Length: {_SIZE}")
        with bounded(devproxy), closing(open_request(devproxy.port, head)) as client:
            left = _SIZE
            while left:
                left -= client.send(_PIECE[:left])
            assert read_head(client).startswith(b"HTTP/1.1 200 ")
        assert service.received == _SIZE


@pytest.mark.parametrize(
    ("read", "buffer"),
    [
        pytest.param(0, 0, id="at-the-head"),
        # At full speed a client's own kernel buffer grows, to 32 MiB on some machines: what lies there has arrived, and
        # is not held by devproxy. A size of its own keeps it out of the figure.
        pytest.param(64 << 20, 256 << 10, id="after-64-MiB"),
    ],
)
def test_a_reader_that_stops_holds_the_service(serve: Callable[[str], Devproxy], read: int, buffer: int) -> None:
    service = Big()
    with origin(service) as at:
        devproxy = serve(f"[services.big]\nport = {at.port}\n")
        head = _head(devproxy, "GET /big")
        with bounded(devproxy), closing(open_request(devproxy.port, head, receive_buffer=buffer)) as client:
            read_head(client)
            taken = 0
            while taken < read:
                taken += len(client.recv(1 << 20))
            ahead = wait_still(lambda: service.sent) - taken
            print(f"the service is {ahead / 2**20:.1f} MiB ahead")
            assert ahead <= _AHEAD
        # The client is gone: the service is let go as well.
        assert service.ended.wait(DEADLINE)


def test_a_service_that_stops_reading_holds_the_client(serve: Callable[[str], Devproxy]) -> None:
    service = Big()
    service.reading.clear()
    with origin(service) as at:
        devproxy = serve(f"[services.big]\nport = {at.port}\n")
        head = _head(devproxy, "PUT /big", f"Content-Length: {_SIZE}")
        with bounded(devproxy), closing(open_request(devproxy.port, head)) as client:
            client.setblocking(False)
            sent = 0

            def push() -> int:
                nonlocal sent
                with suppress(BlockingIOError):
                    sent += client.send(_PIECE)
                return sent

            assert wait_still(push) <= _AHEAD
        service.reading.set()
        assert service.ended.wait(DEADLINE)
