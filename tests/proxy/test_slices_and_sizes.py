"""Cuts and sizes of the data path beside plain Python, on bytes that end anywhere and numbers of any size.

The data path may be compiled, this module never is: what the data path cuts out of its bytes, and what it counts, is
worked out here once more in the plainest way, and has to be the same in both builds. Lengths lie around 2**31 and
2**62, where C's numbers and mypyc's small ones end.
"""

import asyncio
import re
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devproxy.http1.edits import FieldEdit, PathMove
from devproxy.http1.fields import Section, section
from devproxy.http1.framing import ChunkedReader, ChunkError, request_length, response_length
from devproxy.http1.grammar import Fault, early_fault, head_too_large, known_request, request_head, status_line
from devproxy.http1.h2_fields import Pair, connect_list, lines_of_list, list_of_lines, pseudo_fields, request_list
from devproxy.http1.response import ResponseHead, read_response_head
from devproxy.proxy.in_process import connect_in_process
from devproxy.proxy.interfaces import Snapshot
from devproxy.proxy.splice import Splice
from devproxy.registry.model import Registry
from devproxy.tcp.request_line import is_request
from tests import require
from tests.proxy.fakes import accepted, connected, idle, receive, undialled
from tests.proxy.sockets import connected_transport
from tests.proxy.values import CLIENT, LOCAL, fields, lines, route, service

SETTINGS = settings(
    max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
CUTS = st.lists(st.integers(0, 300), max_size=8)
EDGES = [0, 1, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**59, 2**60 - 1, 2**61, 2**62 - 1, 2**62, 2**63, 2**64, 10**30]
NUMBERS = st.one_of(st.sampled_from(EDGES), st.integers(0, 2**70))
LONGEST = 10**18  # the first length that is refused
PIECES = st.lists(st.binary(min_size=1, max_size=30), max_size=6)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` in reads that end at `cuts`."""
    ends = sorted({min(at, len(data)) for at in cuts} | {len(data)})
    return [data[before:at] for before, at in zip([0, *ends], ends, strict=False) if at > before]


# Lengths


@SETTINGS
@given(number=NUMBERS, zeros=st.integers(0, 3))
def test_a_length_is_the_number_it_says_or_none(number: int, zeros: int) -> None:
    text = b"0" * zeros + b"%d" % number
    found = fields(b"Content-Length: " + text)
    fits = len(text) <= 18
    for length in (request_length(found, 1), response_length(found, 1, 200, b"")):
        assert length == number if fits else isinstance(length, Fault)
        assert fits or number >= LONGEST or zeros
    if fits:
        assert found.up == b"Content-Length: %d\r\n" % number


@SETTINGS
@given(size=NUMBERS, zeros=st.integers(0, 3), sent=PIECES)
def test_a_chunk_has_as_many_bytes_as_it_says(size: int, zeros: int, sent: list[bytes]) -> None:
    text = b"0" * zeros + b"%x" % size
    reader = ChunkedReader()
    if len(text) > 15:
        with pytest.raises(ChunkError):
            reader.feed(text + b"\r\n")
        return
    assert reader.feed(text + b"\r\n") == b""
    left = size
    for piece in sent:
        if not size or len(piece) > left:
            return
        assert reader.feed(piece) == piece
        left -= len(piece)
        assert not reader.done
    assert reader._left == left


@SETTINGS
@given(payload=st.binary(max_size=60), length=st.integers(0, 80), cuts=CUTS)
async def test_a_response_ends_where_its_length_says_wherever_it_is_cut(
    payload: bytes, length: int, cuts: list[int]
) -> None:
    proxy, _ = undialled(Snapshot.of(Registry(services=(service("web"),))))
    connection, client = accepted(proxy)
    connection.data_received(b"GET / HTTP/1.1\r\nHost: web.localhost\r\n\r\n")
    assert connection.exchange is not None
    service_end, transport = connected(connection.exchange)
    receive(
        service_end, transport, b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: %d\r\n\r\n" % length + payload, cuts
    )
    assert client.written.partition(b"\r\n\r\n")[2] == payload[:length]
    assert (connection.exchange is None) is (len(payload) >= length)
    assert transport.is_closing() is (len(payload) > length)
    proxy.close()


@SETTINGS
@given(length=st.sampled_from([one for one in EDGES if 2**31 <= one < LONGEST]), sent=PIECES, is_upload=st.booleans())
async def test_a_body_longer_than_any_that_comes_whole_passes_as_it_comes(
    length: int, sent: list[bytes], is_upload: bool
) -> None:
    proxy, _ = undialled(Snapshot.of(Registry(services=(service("web"),))))
    connection, client = accepted(proxy)
    told = b"Content-Length: %d\r\n" % length
    begun = lines(b"GET / HTTP/1.1", b"Host: web.localhost") + (told if is_upload else b"") + b"\r\n"
    connection.data_received(begun)
    exchange = connection.exchange
    assert exchange is not None
    service_end, transport = connected(exchange)
    if not is_upload:
        service_end.data_received(b"HTTP/1.1 200 OK\r\n" + told + b"\r\n")
    for piece in sent:
        (connection if is_upload else service_end).data_received(piece)
    assert (transport if is_upload else client).written.partition(b"\r\n\r\n")[2] == b"".join(sent)
    assert (connection if is_upload else service_end)._left == length - sum(map(len, sent))
    assert not exchange.ended
    proxy.close()


@SETTINGS
@given(bodies=st.lists(st.binary(max_size=40), min_size=1, max_size=4), cuts=CUTS)
async def test_requests_that_come_at_once_are_cut_apart_where_their_bodies_end(
    bodies: list[bytes], cuts: list[int]
) -> None:
    proxy, _ = undialled(Snapshot.of(Registry(services=(service("web"),))))
    taken = [idle(proxy.pool.at(LOCAL), proxy.clock) for _ in bodies]
    connection, client = accepted(proxy)
    head = b"PUT /%d HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: %d\r\n\r\n"
    receive(connection, client, b"".join(head % (at, len(body)) + body for at, body in enumerate(bodies)), cuts)
    for at, body in enumerate(bodies):
        (asked,) = [(end, sent) for end, sent in taken if b"PUT /%d " % at in sent.written]
        assert asked[1].written.endswith(b"\r\n\r\n" + body)
        asked[1].written = b""
        asked[0].data_received(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.statuses == [204] * len(bodies)
    assert (connection.exchange, connection._buffer) == (None, b"")
    proxy.close()


# Chunks and sections


@SETTINGS
@given(
    payloads=PIECES,
    trailers=st.lists(st.sampled_from([b"X-T: 1", b"Digest: a", b"X-Empty:"]), max_size=3),
    rest=st.binary(max_size=20),
    length=st.integers(0, 400),
    cuts=CUTS,
)
def test_chunks_are_cut_out_wherever_the_reads_end(
    payloads: list[bytes], trailers: list[bytes], rest: bytes, length: int, cuts: list[int]
) -> None:
    whole = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in payloads) + b"0\r\n" + lines(*trailers) + b"\r\n"
    data = (whole + rest)[:length]
    reader, payload, unread = ChunkedReader(), b"", []
    for piece in cut(data, cuts):
        if reader.done:
            unread.append(piece)
        else:
            payload += reader.feed(piece)
    assert reader.done is (length >= len(whole))
    if reader.done:
        assert payload == b"".join(payloads)
        assert reader.trailers == lines(*trailers)
        assert reader.rest + b"".join(unread) == rest[: max(0, length - len(whole))]
    else:
        assert b"".join(payloads).startswith(payload)


@SETTINGS
@given(data=st.text(alphabet='0aF;= "x\r\n', max_size=40).map(str.encode), cuts=CUTS)
def test_a_body_that_is_none_is_refused_however_short_it_is(data: bytes, cuts: list[int]) -> None:
    """Never anything but a ChunkError, and the same one for one read as for many."""

    def outcome(reads: list[bytes]) -> tuple[bytes, bool, bytes] | None:
        reader, payload, unread = ChunkedReader(), b"", b""
        try:
            for read in reads:
                if reader.done:
                    unread += read
                else:
                    payload += reader.feed(read)
        except ChunkError:
            return None
        return payload, reader.done, reader.rest + unread

    assert outcome(cut(data, cuts)) == outcome(cut(data, []))


@SETTINGS
@given(
    named=st.lists(st.tuples(st.sampled_from([b"A", b"x-b", b"Host", b"Cookie"]), st.binary(max_size=12)), max_size=6)
)
def test_a_section_is_its_lines(named: list[tuple[bytes, bytes]]) -> None:
    raw = b"\r\n".join(b"%b:%b" % pair for pair in named)
    found = section(raw, 100)
    bad = any(set(value) & {*range(9), *range(10, 32), 127} for _, value in named)
    assert isinstance(found, Fault if bad else Section)
    if isinstance(found, Section):
        plain = [(name.lower(), value.strip(b" \t")) for name, value in named]
        assert [(field.name, field.value) for field in found.fields] == plain
        assert found.raw == raw
        assert found.up == (raw + b"\r\n" if raw else b"")


# Heads, in any kind of bytes


@SETTINGS
@given(
    data=st.one_of(st.binary(max_size=30), st.sampled_from([b"GET / HTTP/1.1\r\nHost: x\r\n\r\nbody"])),
    end=st.integers(0, 40),
)
def test_a_head_that_is_begun_is_the_same_in_a_bytearray(data: bytes, end: int) -> None:
    begun = data[:end]
    for look in (known_request, lambda head: head_too_large(head, 10), lambda head: early_fault(head, 0)):
        assert look(bytearray(begun)) == look(begun)
    head = request_head(begun)
    if isinstance(head, tuple) and not isinstance(head, Fault):
        method, target, _, start, stop = head
        assert (method, target, begun[:start]) == (b"GET", b"/", b"GET / HTTP/1.1\r\n")
        assert b"body".startswith(begun[stop:])


@SETTINGS
@given(
    status=st.integers(100, 599),
    phrase=st.sampled_from([b"", b" ", b" OK", b" Not Found"]),
    more=st.lists(st.sampled_from([b"A: b", b"Content-Length: 0", b"Date: x"]), max_size=3, unique=True),
    behind=st.binary(max_size=10),
    short=st.integers(0, 60),
)
def test_a_response_head_ends_where_it_ends(
    status: int, phrase: bytes, more: list[bytes], behind: bytes, short: int
) -> None:
    head = b"HTTP/1.1 %d%b\r\n%b\r\n" % (status, phrase, lines(*more))
    line = status_line(head + behind)
    assert isinstance(line, tuple)
    assert not isinstance(line, Fault)
    assert (line[0], line[1], line[4]) == (1, status, len(head))
    assert line[2] == b"%d%b\r\n" % (status, phrase or b" ")
    assert head[: line[3]] == b"HTTP/1.1 %d%b\r\n" % (status, phrase)
    found = read_response_head(head + behind, b"", 65536, 100)
    if isinstance(found, ResponseHead):
        assert found.head == head
        assert found.fields.raw == b"\r\n".join(more)
    else:
        assert isinstance(found, Fault)  # of what a status may not bear
    if short < len(head):
        assert read_response_head(head[:short], b"", 65536, 100) is None


@SETTINGS
@given(word=st.binary(max_size=12), rest=st.sampled_from([b"", b"/", b"/ HTTP/1.1\r\n", b"/ HTTP/1.\n", b"x\r", b"\n"]))
def test_what_is_no_request_is_none_however_short(word: bytes, rest: bytes) -> None:
    first = word + b" " + rest
    line, ending, _ = first.partition(b"\n")
    is_path = line.partition(b" ")[2][:1] == b"/" and re.fullmatch(
        rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", line.partition(b" ")[0]
    )
    known = line.partition(b" ")[0] in (b"GET", b"PUT", b"POST", b"HEAD")
    verdict = is_request(first)
    assert verdict is not True or (ending and (is_path or known))
    if is_path and ending:
        assert verdict is (line.removesuffix(b"\r").rpartition(b" ")[2].startswith(b"HTTP/"))


# Prefixes


PATHS = st.lists(st.sampled_from([b"a", b"api", b"apis", b"b", b"?q"]), max_size=4).map(
    lambda parts: b"/" + b"/".join(parts)
)


@SETTINGS
@given(
    rest=st.sampled_from([b"", b"/", b"/x", b"?q", b"/?q", b"//"]), prefix=st.sampled_from([b"/api", b"/a/b", b"/a"])
)
def test_a_prefix_is_cut_off_and_a_path_remains(rest: bytes, prefix: bytes) -> None:
    expected = rest if rest.startswith(b"/") else b"/" + rest
    assert route(prefix, strip=True).target(prefix + rest) == expected
    assert route(prefix).target(prefix + rest) == prefix + rest


@SETTINGS
@given(path=PATHS, prefix=st.sampled_from([b"/api", b"/api/b", b"/a"]))
def test_a_path_is_below_a_prefix_or_comes_below_it(path: bytes, prefix: bytes) -> None:
    move = PathMove(b"web.localhost", prefix, frozenset())
    below = path == prefix or path.startswith(prefix + b"/")
    assert move.response(b"Location: " + path + b"\r\n") == b"Location: " + (path if below else prefix + path) + b"\r\n"
    rest = path.removeprefix(prefix) or b"/"
    expected = rest if below else path
    assert move.request(b"Destination: " + path + b"\r\n", b"x").split() == [b"Destination:", expected]


@SETTINGS
@given(pairs=st.lists(st.tuples(st.sampled_from([b"a", b"x-b"]), st.sampled_from([b"", b"1", b"a b"])), max_size=5))
def test_lists_of_http_2_and_lines_are_the_same(pairs: list[Pair]) -> None:
    written = lines_of_list(pairs)
    assert written == b"".join(name + b": " + value + b"\r\n" for name, value in pairs)
    assert list_of_lines(written) == pairs
    head = b"GET /x HTTP/1.1\r\nHost: h\r\n" + written + b"\r\n"
    assert request_list(head, b"http")[4:] == pairs
    assert connect_list(head, b"http")[5:] == pairs
    control = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"h"), (b":path", b"/x")]
    pseudo = pseudo_fields([*control, *pairs])
    assert (pseudo.end, pseudo.target) == (4, b"/x")
    assert FieldEdit.of(["a"], (), ()).apply(written) == lines_of_list([pair for pair in pairs if pair[0] != b"a"])


# Bytes that pass by


class Heard(asyncio.Protocol):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.came = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.came += data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@SETTINGS
@given(pieces=st.lists(st.binary(max_size=30), max_size=6))
def test_a_transport_takes_any_kind_of_bytes(kind: Callable[[bytes], bytes], pieces: list[bytes]) -> None:
    async def pass_on() -> bytes:
        ends = [Heard(), Heard()]
        connect_in_process(ends[0], ends[1], CLIENT)
        for piece in pieces:
            ends[0].transport.write(kind(piece))
        ends[0].transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return ends[1].came

    assert asyncio.run(pass_on()) == b"".join(pieces)


@pytest.mark.parametrize("left", [2**31 - 1, 2**31, 2**32 + 5, 2**53 + 1, 2**62 - 1, 2**62, 2**64 + 1])
async def test_what_the_kernel_moves_is_counted_whatever_is_left(left: int) -> None:
    require.linux()
    loop = asyncio.get_running_loop()
    source, sender = await connected_transport()
    sink, receiver = await connected_transport()
    with sender, receiver:
        transfer = Splice(source, sink, first=b"first", left=left, ended=lambda _: None)
        assert transfer.held == 5
        moved = 0
        for piece in (b"x" * 5, b"y" * 70_000):
            expected = (b"" if moved else b"first") + piece
            sending = asyncio.create_task(loop.sock_sendall(sender, piece))
            came = b""
            while len(came) < len(expected):
                came += await loop.sock_recv(receiver, len(expected) - len(came))
            await sending
            assert came == expected
            moved += len(piece)
            assert transfer.progressed()
            assert not transfer.progressed()
            assert (transfer._left, transfer.held) == (left - moved, 0)
        transfer.close()
    source.abort()
    sink.abort()
