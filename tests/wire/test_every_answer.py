"""Every answer is an exchange: whoever gives it, it is counted once and in the access log once.

Lives here: one case a kind of answer, ours and services'. What each answer says is in the other files of this folder.
"""

from collections.abc import Awaitable, Callable

import pytest

from devproxy.proxy.answers import Respond
from devproxy.proxy.gates import Dormant, Gate
from devproxy.proxy.interfaces import AccessRecord
from devproxy.registry.model import Mount, Upstream
from tests.waiting import until
from tests.wire.harness import OK, Stage, crlf, get, service

Logged = tuple[str, bytes, bytes, int, int]  # service, method, target, status, body bytes


class Log:
    """What the proxy says of its exchanges."""

    def __init__(self, stage: Stage):
        self.records: list[AccessRecord] = []
        self.stage = stage

    async def only(self, expected: Logged) -> None:
        """This, and nothing else, was logged and counted; nothing is under way any more."""
        proxy = self.stage.proxy
        await until(lambda: self.records)
        assert [record[1:6] for record in self.records] == [expected]
        assert all(record[6] >= 0 for record in self.records)
        assert proxy.counts == {expected[0]: {expected[3]: 1}}
        assert not proxy.exchanges


@pytest.fixture
async def log(wire: Stage) -> Log:
    found = Log(wire)
    wire.proxy.access_log = found.records.append
    return found


def post(length: int, *fields: bytes) -> bytes:
    return get(b"/p", b"Content-Length: %d" % length, *fields, method=b"POST")


FOREIGN = (b"Origin: https://evil.example", b"Sec-Fetch-Site: cross-site")
LOOP = b"Devproxy-Chain: " + b", ".join([b"web;1"] * 5)
NOT_FORWARDED: list[tuple[str, bytes, Logged]] = [
    ("a request line that is none", b"\x00\x00\r\n\r\n", ("", b"", b"", 400, 0)),
    ("two Hosts", get(b"/a", b"Host: b"), ("", b"GET", b"/a", 400, 0)),
    ("a bad field", get(b"/a?b", b"X : y"), ("", b"GET", b"/a?b", 400, 0)),
    ("a page from elsewhere", get(b"/a", *FOREIGN), ("web", b"GET", b"/a", 403, 0)),
    ("an unknown name", get(b"/a", host=b"nobody.localhost"), ("", b"GET", b"/a", 404, 0)),
    ("an unknown path", get(b"/a", host=b"mounted.localhost"), ("", b"GET", b"/a", 404, 0)),
    ("own pages that are not there", get(b"/a", host=b"devproxy.localhost"), ("", b"GET", b"/a", 404, 0)),
    ("another Host", get(b"/a", host=b"evil.example"), ("", b"GET", b"/a", 421, 0)),
    ("too many fields", get(b"/a", *[b"X: y"] * 300), ("", b"GET", b"/a", 431, 0)),
    ("a head that is too long", get(b"/a", b"X: " + b"y" * 70_000), ("", b"GET", b"/a", 431, 0)),
    ("an unknown coding", get(b"/a", b"Transfer-Encoding: zip", method=b"POST"), ("", b"POST", b"/a", 501, 0)),
    ("a version", b"GET /a HTTP/2.0\r\n\r\n", ("", b"GET", b"/a", 505, 0)),
    ("a service without a port", get(b"/a", host=b"portless.localhost"), ("portless", b"GET", b"/a", 502, 0)),
    ("a scheme that is not spoken", get(b"/a", host=b"tcp.localhost"), ("tcp", b"GET", b"/a", 502, 0)),
    ("a circle", get(b"/a", LOOP), ("web", b"GET", b"/a", 508, 0)),
]


@pytest.mark.http1
@pytest.mark.parametrize(("data", "expected"), [each[1:] for each in NOT_FORWARDED], ids=[e[0] for e in NOT_FORWARDED])
async def test_one_of_our_own_before_any_dial(log: Log, data: bytes, expected: Logged) -> None:
    stage = log.stage
    mounted = service("m", stage.origin, hosts=(), mounts=(Mount("mounted.localhost", "/x"),))
    tcp = service("tcp", Upstream("tcp", ("127.0.0.1",), 1))
    stage.swap(service("web", stage.origin), service("portless", None), mounted, tcp)
    client = await stage.connect()
    await client.send(data)
    assert (await client.response()).status == expected[3]
    await log.only(expected)
    assert stage.origin.untouched()


@pytest.mark.parametrize(
    ("gate", "status"),
    [
        (Gate(Respond(503, "exposed", "open to others")), 503),
        (Gate(dormant=Dormant(service("web", None), instead=Respond(502, "start-failed", "it ended"))), 502),
    ],
    ids=["refused", "not to be started"],
)
async def test_one_at_a_gate(log: Log, gate: Gate, status: int) -> None:
    log.stage.proxy.set_gates({"web": gate})
    client = await log.stage.connect()
    await client.send(get(b"/a"))
    assert (await client.response()).status == status
    await log.only(("web", b"GET", b"/a", status, 0))


async def test_the_page_of_a_start_and_a_request_that_waited_for_it(log: Log) -> None:
    stage = log.stage
    stage.proxy.set_gates({"web": Gate(dormant=Dormant(service("web", None)))})
    client = await stage.connect()
    await client.send(get(b"/a", b"Accept: text/html"))
    assert (await client.response()).status == 503
    await log.only(("web", b"GET", b"/a", 503, 0))
    await client.send(get(b"/b"))
    await until(lambda: stage.proxy.held)
    stage.proxy.set_gates({})
    up = await stage.origin.accept()
    await up.head()
    await up.send(OK)
    await client.expect(OK)
    assert [record[1:6] for record in log.records[1:]] == [("web", b"GET", b"/b", 200, 2)]


async def head_is_late(log: Log) -> Logged:
    log.stage.swap(header_timeout=0.1)
    client = await log.stage.connect()
    await client.send(b"GET /late HTTP/1.1\r\nHost")
    assert (await log.stage.meanwhile(1.0, client.response())).status == 408
    return ("", b"GET", b"/late", 408, 0)


async def body_is_late(log: Log) -> Logged:
    client = await log.stage.connect()
    await client.send(post(5) + b"he")
    peer = await log.stage.origin.accept()
    await peer.until(b"he")  # so that it is the client that stands still
    assert (await log.stage.meanwhile(1.0, client.response())).status == 408
    return ("web", b"POST", b"/p", 408, 0)


async def body_is_malformed(log: Log) -> Logged:
    client = await log.stage.connect()
    await client.send(get(b"/p", b"Transfer-Encoding: chunked", method=b"POST") + b"nonsense\r\n")
    assert (await client.response()).status == 400
    return ("web", b"POST", b"/p", 400, 0)


async def too_many_clients(log: Log) -> Logged:
    log.stage.swap(max_connections=1)
    first = await log.stage.connect()
    await first.send(get()[:5])
    await until(lambda: log.stage.proxy.connections)
    second = await log.stage.connect()
    assert (await second.response()).status == 503
    return ("", b"", b"", 503, 0)


async def nobody_listens(log: Log) -> Logged:
    log.stage.origin.refuse()
    client = await log.stage.connect()
    await client.send(get(b"/a"))
    assert (await client.response()).status == 502
    return ("web", b"GET", b"/a", 502, 0)


async def nonsense(log: Log) -> Logged:
    client, up, _ = await log.stage.ask(get(b"/a"))
    await up.send(b"nonsense\r\n\r\n")
    assert (await client.response()).status == 502
    return ("web", b"GET", b"/a", 502, 0)


async def no_answer(log: Log) -> Logged:
    log.stage.swap(service("web", log.stage.origin, response_timeout=0.1))
    client, _, _ = await log.stage.ask(get(b"/a"))
    assert (await log.stage.meanwhile(1.0, client.response())).status == 504
    return ("web", b"GET", b"/a", 504, 0)


async def a_whole_response(log: Log) -> Logged:
    client, up, _ = await log.stage.ask(get(b"/a"))
    await up.send(OK)
    await client.expect(OK)
    return ("web", b"GET", b"/a", 200, 2)


async def a_response_that_breaks_off(log: Log) -> Logged:
    client, up, _ = await log.stage.ask(get(b"/a"))
    await up.send(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 5") + b"hel")
    await client.expect(crlf(b"HTTP/1.1 200 OK", b"Content-Length: 5") + b"hel")
    up.close()
    await client.gone()
    return ("web", b"GET", b"/a", 200, 3)


async def a_client_that_leaves(log: Log) -> Logged:
    client, _, _ = await log.stage.ask(get(b"/a"))
    client.reset()
    return ("web", b"GET", b"/a", 0, 0)


async def a_tunnel(log: Log) -> Logged:
    upgrade = (b"Connection: Upgrade", b"Upgrade: x")
    client, up, _ = await log.stage.ask(get(b"/a", *upgrade))
    await up.send(crlf(b"HTTP/1.1 101 Switching Protocols", *upgrade))
    await client.expect(crlf(b"HTTP/1.1 101 Switching Protocols", *upgrade))
    return ("web", b"GET", b"/a", 101, 0)


@pytest.mark.http1
@pytest.mark.parametrize(
    "case",
    [
        *(head_is_late, body_is_late, body_is_malformed, too_many_clients, nobody_listens, nonsense, no_answer),
        *(a_whole_response, a_response_that_breaks_off, a_client_that_leaves, a_tunnel),
    ],
)
async def test_one_that_comes_later(log: Log, case: Callable[[Log], Awaitable[Logged]]) -> None:
    expected = await case(log)
    await log.only(expected)


@pytest.mark.http1
async def test_requests_that_are_pipelined_are_counted_one_by_one(log: Log) -> None:
    client = await log.stage.connect()
    await client.send(get(b"/a", host=b"nobody.localhost") * 500)
    for _ in range(500):
        assert (await client.response()).status == 404
    assert len(log.records) == 500
    assert log.stage.proxy.counts == {"": {404: 500}}


async def test_what_is_cut_off_by_the_end_of_the_proxy_is_logged(log: Log) -> None:
    client, _, _ = await log.stage.ask(get(b"/a"))
    await log.stage.proxy.drain(0)
    await client.gone()
    await log.only(("web", b"GET", b"/a", 0, 0))
