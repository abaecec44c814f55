"""What is done when a connection to a service ends early: which requests are sent again, and how often.

A table of RFC 9110 §9.2.2 as the proxy reads it. Whole exchanges are in `tests/wire/`.
"""

from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

from devproxy.http1.response import read_response_head
from devproxy.proxy import exchange as module
from devproxy.proxy.answers import Respond
from devproxy.proxy.exchange import Exchange
from devproxy.proxy.pool import UpstreamAddress
from devproxy.proxy.upstream import UpstreamConnection
from devproxy.registry.model import ProxySettings
from tests.proxy.fakes import Transport, real
from tests.proxy.values import CLIENT, LOCAL, reading, route

HOST = b"Host: web.localhost"


class Stage:
    """An exchange on a client's stream and connections that note what happens."""

    def __init__(self, method: bytes, *each: bytes):
        self.events: list[Any] = []
        self.counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.address = UpstreamAddress(LOCAL, "")
        proxy = SimpleNamespace(
            snapshot=SimpleNamespace(settings=ProxySettings()),
            access_log=None,
            clock=5.0,
            control=None,
            exchanges=set(),
            held=set(),
            counts=self.counts,
        )
        stream: Any = SimpleNamespace(
            proxy=proxy,
            peer=CLIENT,
            address_of=lambda _route: self.address,
            send_request_body=lambda exchange: exchange.start(),
            answer=lambda _exchange, respond: self.events.append(respond),
            cut=lambda _exchange: self.events.append("cut"),
            pause=lambda: self.events.append("pause"),
            resume=lambda: self.events.append("resume"),
        )
        found = reading(HOST, *each)
        self.exchange = Exchange(stream, method, b"/a", found, found.fields)

    def forwarded(self) -> "Stage":
        """With its way known."""
        self.exchange.forward(route())
        return self

    def connected(self) -> Transport:
        """The transport of a connection that takes the request."""
        found = UpstreamConnection(self.address)
        transport = Transport()
        found.connection_made(real(transport))
        self.exchange.use(found)
        return transport


@pytest.fixture(autouse=True)
def dialling(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of a dialling; it would always dial again later."""
    asked: list[str] = []

    def later(*, is_up: bool = False) -> bool:
        asked.append("later")
        return True

    made = SimpleNamespace(start=lambda: asked.append("now"), schedule=later, cancel=lambda: asked.append("cancel"))
    monkeypatch.setattr(module, "Retry", lambda _exchange: made)
    return asked


SAFE, IDEMPOTENT = (b"GET", b"HEAD", b"OPTIONS", b"TRACE"), (b"PUT", b"DELETE")


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("body", [True, False])
@pytest.mark.parametrize("method", [*SAFE, *IDEMPOTENT, b"POST", b"PATCH", b"get", b"PROPFIND"])
def test_a_request_is_sent_again_only_if_that_cannot_do_it_twice(
    method: bytes, body: bool, answered: bool, pooled: bool, dialling: list[str]
) -> None:
    stage = Stage(method, *([b"Content-Length: 5"] if body else [])).forwarded()
    stage.connected()
    dialling.clear()
    stage.exchange._pooled, stage.exchange._retry = pooled, None
    if body:
        stage.exchange.on_request_body(b"hello")
    stage.exchange.on_closed(None, answered=answered)
    again = not body and not answered
    if again and pooled and method in (*SAFE, *IDEMPOTENT):
        assert dialling == ["now"]
    elif again and method in SAFE:
        assert dialling == ["later"]
    else:
        assert dialling == []
        (respond,) = stage.events
        assert respond.code == "upstream-closed"
    assert not stage.exchange._pooled or not dialling


def test_a_body_waits_for_a_connection_and_goes_out_once(dialling: list[str]) -> None:
    stage = Stage(b"PUT", b"Content-Length: 11").forwarded()
    assert dialling == ["now"]
    stage.exchange.on_request_body(b"hello ")
    sent = stage.connected().written
    assert sent.endswith(b"\r\n\r\nhello ")
    assert sent.startswith(b"PUT /a HTTP/1.1\r\nHost: web.localhost\r\nContent-Length: 11\r\n")


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], b"0\r\nX: 1\r\n\r\n"),
        ([b"hello "], b"6\r\nhello \r\n0\r\nX: 1\r\n\r\n"),
        ([b"hello ", b"world"], b"b\r\nhello world\r\n0\r\nX: 1\r\n\r\n"),
    ],
)
def test_a_chunked_body_that_had_to_wait_is_framed_anew(pieces: list[bytes], expected: bytes) -> None:
    stage = Stage(b"POST", b"Transfer-Encoding: chunked").forwarded()
    for piece in pieces:
        stage.exchange.on_request_body(piece)
    stage.exchange.on_request_end(b"X: 1\r\n")
    sent = stage.connected().written
    assert sent.partition(b"\r\n\r\n")[2] == expected


def test_a_chunked_body_that_waited_in_part_goes_on_in_chunks() -> None:
    stage = Stage(b"POST", b"Transfer-Encoding: chunked").forwarded()
    stage.exchange.on_request_body(b"hello ")
    connection = stage.connected()
    stage.exchange.on_request_body(b"world")
    stage.exchange.on_request_end(b"")
    assert connection.written.partition(b"\r\n\r\n")[2] == b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"


def test_a_client_waits_once_too_much_of_its_body_does() -> None:
    stage = Stage(b"POST", b"Content-Length: 1000000").forwarded()
    stage.exchange.on_request_body(b"a" * 65536)
    assert stage.events == []
    stage.exchange.on_request_body(b"a")
    assert stage.events == ["pause"]
    stage.connected()
    assert stage.events == ["pause", "resume"]


def test_a_switch_that_was_not_asked_for_or_comes_too_early_is_refused() -> None:
    plan: Any = read_response_head(
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", b"", 65536, 10
    )
    for each in ((), (b"Connection: upgrade", b"Upgrade: x", b"Content-Length: 5")):
        stage = Stage(b"GET", *each).forwarded()
        transport = stage.connected()
        stage.exchange.on_switch(plan, b"")
        (respond,) = stage.events
        assert transport.done == ["abort"]
        assert isinstance(respond, Respond)
        assert respond.code == "upstream-invalid"


def test_letting_go_ends_everything_once(dialling: list[str]) -> None:
    stage = Stage(b"GET").forwarded()
    stage.exchange.release()
    stage.exchange.release()
    assert dialling == ["now", "cancel"]
    transport = stage.connected()
    stage.exchange.release()
    stage.exchange.release()
    assert transport.done == ["abort"]


def test_however_it_ends_it_ends_once() -> None:
    stage = Stage(b"GET").forwarded()
    stage.connected()
    stage.exchange.abandon()
    stage.exchange.answer(Respond(502, "upstream-closed", "x"))
    stage.exchange.cut()
    stage.exchange.abandon()
    assert stage.counts == {"web": {0: 1}}
    assert stage.events == []
