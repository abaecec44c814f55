"""What is done when a connection to a service ends early: which requests are sent again, and how often.

A table of RFC 9110 §9.2.2 as the proxy reads it. Whole exchanges are in `tests/wire/`.
"""

import pytest

from devproxy.proxy.answers import Respond
from devproxy.proxy.interfaces import Snapshot
from devproxy.registry.model import Registry
from tests.proxy.fakes import Transport, accepted, connected, idle, undialled
from tests.proxy.values import LOCAL, lines, service

SWITCH = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"


class Stage:
    """A client's request for `web`, which was up a moment ago; `asked` is what is asked of a dialling."""

    def __init__(self, method: bytes, *each: bytes, pooled: bool = False):
        self.proxy, self.asked = undialled(Snapshot.of(Registry(services=(service("web"),))))
        self.address = self.proxy.pool.at(LOCAL)
        self.address.alive_at = self.proxy.loop.time()
        self.client, self.told = accepted(self.proxy)
        taken = idle(self.address, self.proxy.clock) if pooled else None
        self.client.data_received(b"%b /a HTTP/1.1\r\n%b\r\n" % (method, lines(b"Host: web.localhost", *each)))
        assert self.client.exchange is not None
        self.exchange = self.client.exchange
        if taken is not None:
            self.service, self.sent = taken
            assert self.exchange.upstream is self.service

    def connected(self) -> Transport:
        """The transport of a connection that takes the request."""
        self.service, self.sent = connected(self.exchange)
        return self.sent

    def fail(self, *, answered: bool) -> None:
        """The service closes its connection, in the middle of its response's head or before."""
        if answered:
            self.service.data_received(b"HTTP/1.1 2")
        self.service.connection_lost(None)


SAFE, IDEMPOTENT = (b"GET", b"HEAD", b"OPTIONS", b"TRACE"), (b"PUT", b"DELETE")


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("body", [True, False])
@pytest.mark.parametrize("method", [*SAFE, *IDEMPOTENT, b"POST", b"PATCH", b"get", b"PROPFIND"])
async def test_a_request_is_sent_again_only_if_that_cannot_do_it_twice(
    method: bytes, body: bool, answered: bool, pooled: bool
) -> None:
    stage = Stage(method, *([b"Content-Length: 5"] if body else []), pooled=pooled)
    assert stage.asked == ([] if pooled else ["now"])
    if not pooled:
        stage.connected()
    stage.asked.clear()
    if body:
        stage.client.data_received(b"hello")
    assert stage.sent.written.startswith(method + b" /a HTTP/1.1\r\n")
    assert stage.sent.written.endswith(b"\r\n\r\nhello" if body else b"\r\n\r\n")
    stage.fail(answered=answered)
    again = not body and not answered
    if again and pooled and method in (*SAFE, *IDEMPOTENT):
        assert stage.asked == ["now"]
    elif again and method in SAFE:
        assert stage.asked == ["later"]
    else:
        assert set(stage.asked) <= {"cancel"}
        assert stage.told.statuses == [502]
        assert b"\r\nDevproxy-Error: upstream-closed\r\n" in stage.told.written
        return
    assert stage.told.written == b""
    assert not stage.exchange._pooled


async def test_a_body_waits_for_a_connection_and_goes_out_once() -> None:
    stage = Stage(b"PUT", b"Content-Length: 11")
    assert stage.asked == ["now"]
    stage.client.data_received(b"hello ")
    sent = stage.connected().written
    assert sent.endswith(b"\r\n\r\nhello ")
    assert sent.startswith(b"PUT /a HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 11\r\n")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], b"0\r\nX: 1\r\n\r\n"),
        ([b"hello "], b"6\r\nhello \r\n0\r\nX: 1\r\n\r\n"),
        ([b"hello ", b"world"], b"b\r\nhello world\r\n0\r\nX: 1\r\n\r\n"),
    ],
)
async def test_a_chunked_body_that_had_to_wait_is_framed_anew(pieces: list[bytes], expected: bytes) -> None:
    stage = Stage(b"POST", b"Transfer-Encoding: chunked")
    for piece in pieces:
        stage.client.data_received(chunk(piece))
    stage.client.data_received(b"0\r\nX: 1\r\n\r\n")
    sent = stage.connected().written
    assert sent.partition(b"\r\n\r\n")[2] == expected


async def test_a_chunked_body_that_waited_in_part_goes_on_in_chunks() -> None:
    stage = Stage(b"POST", b"Transfer-Encoding: chunked")
    stage.client.data_received(chunk(b"hello "))
    sent = stage.connected()
    stage.client.data_received(chunk(b"world"))
    stage.client.data_received(b"0\r\n\r\n")
    assert sent.written.partition(b"\r\n\r\n")[2] == b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"


async def test_a_client_waits_once_too_much_of_its_body_does() -> None:
    stage = Stage(b"POST", b"Content-Length: 1000000")
    stage.client.data_received(b"a" * 65536)
    assert stage.told.done == []
    stage.client.data_received(b"a")
    assert stage.told.done == ["pause"]
    stage.connected()
    assert stage.told.done == ["pause", "resume"]


async def test_a_switch_that_was_not_asked_for_or_comes_too_early_is_refused() -> None:
    for each in ((), (b"Connection: upgrade", b"Upgrade: x", b"Content-Length: 5")):
        stage = Stage(b"GET", *each)
        sent = stage.connected()
        stage.service.data_received(SWITCH)
        assert sent.done == ["abort"]
        assert stage.told.statuses == [502]
        assert b"\r\nDevproxy-Error: upstream-invalid\r\n" in stage.told.written


async def test_letting_go_ends_everything_once() -> None:
    stage = Stage(b"GET")
    stage.exchange.release()
    stage.exchange.release()
    assert stage.asked == ["now", "cancel"]
    transport = stage.connected()
    stage.exchange.release()
    stage.exchange.release()
    assert transport.done == ["abort"]


async def test_however_it_ends_it_ends_once() -> None:
    stage = Stage(b"GET")
    stage.connected()
    stage.exchange.abandon()
    stage.exchange.answer(Respond(502, "upstream-closed", "x"))
    stage.exchange.cut()
    stage.exchange.abandon()
    assert stage.proxy.counts == {"web": {0: 1}}
    assert (stage.told.written, stage.told.done) == (b"", [])
