"""What is done when a connection to a service ends early: which requests are sent again, and how often.

A table of RFC 9110 §9.2.2 as the proxy reads it. Whole exchanges are in `tests/wire/`.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from devproxy.http1.response import read_response_head
from devproxy.proxy import exchange as module
from devproxy.proxy.answers import Respond
from devproxy.proxy.exchange import Exchange
from devproxy.proxy.pool import UpstreamAddress
from devproxy.registry.model import ProxySettings
from tests.proxy.fakes import Transport
from tests.proxy.values import CLIENT, LOCAL, reading, route

HOST = b"Host: web.localhost"


class Stage:
    """An exchange on a front and connections that note what happens."""

    def __init__(self, method: bytes, *each: bytes, minor: int = 1):
        self.events: list[Any] = []
        self.address = UpstreamAddress(LOCAL, "")
        self.transport = Transport()
        self.front = SimpleNamespace(
            proxy=SimpleNamespace(
                snapshot=SimpleNamespace(settings=ProxySettings()),
                access_log=None,
                clock=5.0,
                pool=SimpleNamespace(at=lambda *_: self.address),
            ),
            peer=CLIENT,
            transport=self.transport,
            keep_alive=True,
            deadline=1.0,
            write=self.transport.write,
            address_of=lambda _route: self.address,
            answer=lambda respond, _exchange: self.events.append(respond),
            finished=lambda _exchange: self.events.append("finished"),
            cut=lambda _exchange: self.events.append("cut"),
            pause=lambda: self.events.append("pause"),
            resume=lambda: self.events.append("resume"),
        )
        self.reading = reading(HOST, *each, minor=minor)
        head = (method, b"/a", minor, 0, 0)
        front: Any = self.front
        self.exchange = Exchange(front, self.reading, self.reading.fields, route(), head)

    def connected(self) -> Any:
        """A connection that takes the request."""
        sent: list[bytes] = []
        found = SimpleNamespace(
            sent=sent,
            begin=lambda _exchange, data: sent.append(data),
            transport=SimpleNamespace(write=sent.append),
            discard=lambda: self.events.append("discard"),
        )
        self.exchange.use(found)  # type: ignore[arg-type]
        return found


@pytest.fixture(autouse=True)
def dialling(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of a dialling; it would always dial again later."""
    asked: list[str] = []

    def later() -> bool:
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
    stage = Stage(method, *([b"Content-Length: 5"] if body else []))
    stage.exchange._pooled = pooled
    stage.connected()
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
    stage = Stage(b"PUT", b"Content-Length: 11")
    stage.exchange.start()
    assert dialling == ["now"]
    stage.exchange.on_request_body(b"hello ")
    (sent,) = stage.connected().sent
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
    stage = Stage(b"POST", b"Transfer-Encoding: chunked")
    for piece in pieces:
        stage.exchange.on_request_body(piece)
    stage.exchange.on_request_end(b"X: 1\r\n")
    (sent,) = stage.connected().sent
    assert sent.partition(b"\r\n\r\n")[2] == expected


def test_a_chunked_body_that_waited_in_part_goes_on_in_chunks() -> None:
    stage = Stage(b"POST", b"Transfer-Encoding: chunked")
    stage.exchange.on_request_body(b"hello ")
    connection = stage.connected()
    stage.exchange.on_request_body(b"world")
    stage.exchange.on_request_end(b"")
    assert b"".join(connection.sent).partition(b"\r\n\r\n")[2] == b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n"


def test_a_client_waits_once_too_much_of_its_body_does() -> None:
    stage = Stage(b"POST", b"Content-Length: 1000000")
    stage.exchange.on_request_body(b"a" * 65536)
    assert stage.events == []
    stage.exchange.on_request_body(b"a")
    assert stage.events == ["pause"]
    stage.connected()
    assert stage.events == ["pause", "resume"]


HEAD = b"HTTP/1.%d 200 OK\r\n%b\r\n"


@pytest.mark.parametrize(
    ("minor", "line", "kept", "connection"),
    [
        (1, b"Content-Length: 2\r\n", True, b""),
        (1, b"Transfer-Encoding: chunked\r\n", True, b""),
        (1, b"", False, b"Connection: close\r\n"),
        (0, b"Content-Length: 2\r\n", True, b"Connection: keep-alive\r\n"),
        (0, b"Transfer-Encoding: chunked\r\n", False, b"Connection: close\r\n"),
        (0, b"", False, b"Connection: close\r\n"),
    ],
)
def test_the_clients_connection_stays_where_it_can_tell_the_end(
    minor: int, line: bytes, kept: bool, connection: bytes
) -> None:
    stage = Stage(b"GET", minor=minor)
    plan: Any = read_response_head(HEAD % (1, line), b"", 10)
    stage.exchange.added = b"Devproxy-Warning: x\r\n"
    stage.exchange.on_head(plan, b"ok")
    assert stage.front.keep_alive is kept
    head, _, body = stage.transport.written.partition(b"\r\n\r\n")
    chunked = line.startswith(b"Transfer") and minor == 1
    assert body == (b"2\r\nok\r\n" if chunked else b"ok")
    told = line if minor == 1 or not line.startswith(b"Transfer") else b""
    assert head + b"\r\n" == b"HTTP/1.1 200 OK\r\n" + told + connection + b"Devproxy-Warning: x\r\n"
    assert stage.front.deadline == float("inf")
    assert stage.address.alive_at == 5.0
    assert stage.exchange.bytes_out == 2


@pytest.mark.parametrize("minor", [0, 1])
def test_interim_answers_are_for_clients_that_know_them(minor: int) -> None:
    stage = Stage(b"GET", minor=minor)
    plan: Any = read_response_head(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", b"", 10)
    stage.exchange.on_informational(plan)
    assert stage.transport.written == (plan.head if minor else b"")


def test_a_switch_that_was_not_asked_for_or_comes_too_early_is_refused() -> None:
    plan: Any = read_response_head(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", b"", 10)
    for each in ((), (b"Connection: upgrade", b"Upgrade: x", b"Content-Length: 5")):
        stage = Stage(b"GET", *each)
        stage.connected()
        stage.exchange.on_switch(plan, b"")
        discarded, respond = stage.events
        assert discarded == "discard"
        assert isinstance(respond, Respond)
        assert respond.code == "upstream-invalid"


def test_letting_go_ends_everything_once(dialling: list[str]) -> None:
    stage = Stage(b"GET")
    stage.exchange.start()
    stage.exchange.release()
    stage.exchange.release()
    assert dialling == ["now", "cancel"]
    stage.connected()
    stage.exchange.release()
    stage.exchange.release()
    assert stage.events == ["discard"]
