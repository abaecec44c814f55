"""Parsers alone: microseconds per head of devproxy's grammar, of httptools (llhttp) and of h11, on the same bytes.

Lives here: a reader for each, from bytes to method, target and fields (or status and fields). devproxy's is measured
twice: with lines it has read before, as nearly all are, and with lines that are all new.
"""

import time
from collections.abc import Callable, Iterator

import h11
import httptools

from devproxy.http1 import fields, grammar
from tests.bench.load import head
from tests.bench.process import BenchError

Reader = Callable[[bytes], object]

REQUEST = head("app.localhost").replace("{number}", "1000001").encode("ascii")
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 0\r\nConnection: keep-alive\r\n"
    b'Cache-Control: max-age=0, private, must-revalidate\r\nETag: W/"5d8c72a5edda8d6a5d8c72a5edda8d6a"\r\n'
    b"Vary: Accept-Encoding\r\nX-Request-Id: c6a1bb3f-0f6a-4c7e-9a5e-2d1f8b8f6a11\r\n\r\n"
)
MAX_HEADERS = 256


class Fields:
    """Collects what httptools calls back with."""

    def __init__(self) -> None:
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []

    def on_message_begin(self) -> None:
        self.fields = []

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))


def devproxy_request(data: bytes) -> object:
    """The request line, then the whole field section."""
    head = grammar.request_head(data)
    if head is None or isinstance(head, grammar.Fault):
        raise BenchError(f"devproxy's grammar refuses the bench's request: {head}")
    return head, fields.section(data[head[3] : head[4] - 4], MAX_HEADERS)


def devproxy_response(data: bytes) -> object:
    """The status line, then the whole field section."""
    head = grammar.status_line(data)
    if head is None or isinstance(head, grammar.Fault):
        raise BenchError(f"devproxy's grammar refuses the bench's response: {head}")
    return head, fields.section(data[head[3] : head[4] - 4], MAX_HEADERS)


def with_new_lines(read: Reader) -> Reader:
    """`read` with nothing remembered."""

    def read_anew(data: bytes) -> object:
        fields.forget()
        return read(data)

    return read_anew


def httptools_reader(parser: Callable[[Fields], object]) -> Reader:
    """httptools': one parser for all messages, as on a kept-alive connection."""
    into = Fields()
    feed: Reader = getattr(parser(into), "feed_data")  # noqa: B009 - it has no type stubs

    def read(data: bytes) -> object:
        feed(data)
        return into.url, into.fields

    return read


def h11_reader(role: type[h11.CLIENT] | type[h11.SERVER]) -> Reader:
    """h11's: a connection object a message, since it would want the answer first."""

    def read(data: bytes) -> object:
        connection = h11.Connection(role)
        if role is h11.CLIENT:
            connection.send(h11.Request(method="GET", target="/", headers=[("Host", "app.localhost")]))
            connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        return connection.next_event()

    return read


def readers() -> Iterator[tuple[str, str, bytes, Reader]]:
    """(parser, kind of message, its bytes, the reader)."""
    yield "devproxy", "request", REQUEST, devproxy_request
    yield "devproxy", "response", RESPONSE, devproxy_response
    yield "devproxy, new lines", "request", REQUEST, with_new_lines(devproxy_request)
    yield "devproxy, new lines", "response", RESPONSE, with_new_lines(devproxy_response)
    yield "httptools", "request", REQUEST, httptools_reader(httptools.HttpRequestParser)
    yield "httptools", "response", RESPONSE, httptools_reader(httptools.HttpResponseParser)
    yield "h11", "request", REQUEST, h11_reader(h11.SERVER)
    yield "h11", "response", RESPONSE, h11_reader(h11.CLIENT)


def microseconds(read: Reader, data: bytes, seconds: float) -> float:
    """Microseconds of CPU per call of `read(data)`: the best of five windows that last `seconds` together."""
    best = float("inf")
    for _ in range(5):
        calls, begin = 0, time.process_time()
        while (spent := time.process_time() - begin) < seconds / 5:
            for _ in range(500):
                read(data)
            calls += 500
        best = min(best, spent / calls * 1e6)
    return best
