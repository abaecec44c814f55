"""One check whether a service answers: a connection that is accepted, or a request that is answered as it should be.

How it works: the request is a plain GET of our own, of HTTP/1.1 (RFC 9112 §3), on a connection that is closed after
it. It connects as the proxy does (`net/dial.py`), and reads the head of the answer by the same grammar and limits
(`http1/response.py`), so that the two cannot disagree: what the proxy would answer with a 502 is no answer here either.
Redirects are not followed: 302 is up if `status` says so.
The connection is ended as TCP has it: whoever was only connected to gets a FIN, the rest of an answer is read, and what
then does not end by itself for `FAREWELL` seconds is closed all the same. A reset would be an error in a service's log.
A service that speaks HTTP/2 (`h2c://`, and `https://` that chooses it by ALPN, as it does for the proxy) is asked in
that (`http2.py`); where the library for it cannot be imported, `h2c://` is up once it accepts.
PostgreSQL, by its `scheme`, is asked for a session (`postgres.py`): it accepts connections before it has started.
Not here: when to check (`monitor.py`, `schedule.py`), what several checks come to (`board.py`).
"""

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from devproxy.health.model import NO_PORT, Check
from devproxy.health.postgres import STARTUP, SessionReader
from devproxy.http1.framing import CHUNKED, ChunkedReader, ChunkError
from devproxy.http1.grammar import Fault
from devproxy.http1.response import ENDLESS_INTERIM, INTERIM_LIMIT, ResponseHead, read_response_head, switch_fault
from devproxy.net.dial import HTTP_1_1, HTTP_2_FIRST, DialError, connect
from devproxy.registry.model import ProxySettings, Service, Upstream

if TYPE_CHECKING:
    from devproxy.health.http2 import Http2Reader

FAREWELL = 0.25  # seconds that a service has to end a connection that has served its purpose
POSTGRES_SCHEMES: Final = ("postgresql", "postgres")
MOST_READ = 1 << 20  # bytes of an answer that are read for the sake of its end


async def probe(service: Service, settings: ProxySettings, first: str = "", *, may_choose: bool = True) -> Check:
    """Check `service` once, within its `health.timeout`. `first` is the loopback literal to try first. Never raises.

    `settings` have the limits of a head. `may_choose`: over TLS the service may choose HTTP/2, as it may for the proxy.
    """
    upstream, health = service.upstream, service.health
    if upstream is None:
        return Check(up=False, why=NO_PORT)
    connection = _conversation(service, upstream, settings, may_choose=may_choose)
    try:
        async with asyncio.timeout(health.timeout):
            # Some servers accept nobody who does not offer h2, and it is known how to ask in it where it is asked.
            alpn = HTTP_1_1 if connection.asked and connection.by_http2 is None else HTTP_2_FIRST
            _, host = await connect(upstream, lambda: connection, first=first, server_name=_name(service), alpn=alpn)
            place = upstream.place(host)
            if connection.asked:
                outcome = await connection.outcome
                if may_choose and connection.by_http2 is not None and connection.by_http2.wants_http1:
                    return await probe(service, settings, host, may_choose=False)
                return _check_of(outcome, connection.asked, service, host, place)
            return Check(up=True, why=f"accepts connections at {place}", host=host, accepted=True)
    except DialError as error:
        return Check(up=False, why=_refusal(error, upstream))
    except TimeoutError:
        accepted = connection.transport is not None
        what = f"no answer to {connection.asked}" if accepted else "no answer to a connect"
        return Check(up=False, why=f"{what} within {health.timeout:g} s", accepted=accepted, silent=accepted)
    finally:
        await connection.part()


def _conversation(
    service: Service, upstream: Upstream, settings: ProxySettings, *, may_choose: bool
) -> "_ProbeConnection":
    """What is said on the connection of a check, and who understands the answer."""
    path = service.health.path
    by_http2 = None
    if path is not None and (upstream.scheme == "h2c" or (upstream.scheme == "https" and may_choose)):
        by_http2 = _http2_reader(
            settings, "https" if upstream.scheme == "https" else "http", _host(service, upstream), path
        )
    if path is not None and (upstream.scheme in {"http", "https"} or by_http2 is not None):
        asked, by_http1 = f"GET {path}", request(service, upstream)
        return _ProbeConnection(asked, by_http1, AnswerReader(settings), polite=False, by_http2=by_http2)
    if service.protocol == "tcp" and service.scheme in POSTGRES_SCHEMES:
        return _ProbeConnection("a session", STARTUP, SessionReader(), polite=True)
    return _ProbeConnection("", b"", AnswerReader(settings), polite=True)


def _http2_reader(settings: ProxySettings, scheme: str, authority: str, path: str) -> "Http2Reader | None":
    """How it is asked by HTTP/2; None where the library for that cannot be imported."""
    try:
        from devproxy.health.http2 import Http2Reader
    except ImportError:
        return None
    return Http2Reader(settings, scheme, authority, path)


def _host(service: Service, upstream: Upstream) -> str:
    """The authority that the proxy would send."""
    return (upstream.authority if service.host_header == "upstream" else _name(service)) or "localhost"


def request(service: Service, upstream: Upstream) -> bytes:
    """The request of a check."""
    return (
        f"GET {service.health.path} HTTP/1.1\r\nHost: {_host(service, upstream)}\r\nAccept: */*\r\n"
        "User-Agent: devproxy-health\r\nConnection: close\r\n\r\n"
    ).encode("ascii", "replace")


def counts(status: str, code: int) -> bool:
    """Whether an answer `code` is in a set such as `2xx`, `204` or `200-299,304` (`registry/values.py` checks them)."""
    return any(_covers(part.strip(" "), code) for part in status.split(","))


def _covers(part: str, code: int) -> bool:
    if part.endswith("xx"):
        return code // 100 == int(part[0])
    low, _, high = part.partition("-")
    return int(low) <= code <= int(high or low)


def _refusal(error: DialError, upstream: Upstream) -> str:
    """Why nobody took the connection; shorter than the dialler's account where all addresses say the same."""
    if upstream.port and all(reason.startswith("connection refused") for _, reason in error.tried):
        return f"nothing listens on port {upstream.port}"
    return str(error)


def _check_of(outcome: int | str, asked: str, service: Service, host: str, place: str) -> Check:
    if isinstance(outcome, str):
        return Check(up=False, why=f"{asked}: {outcome}", host=host, accepted=True)
    if service.health.path is None:
        return Check(up=True, why=f"takes sessions at {place}", host=host, accepted=True)
    if counts(service.health.status, outcome):
        return Check(up=True, why=f"{asked} was answered {outcome}", host=host, accepted=True)
    why = f"{asked} was answered {outcome}, not {service.health.status}"
    return Check(up=False, why=why, host=host, accepted=True)


def _name(service: Service) -> str:
    """The hostname that requests to it carry: its first that is no wildcard."""
    return next((host for host in service.hosts if "*" not in host), "")


class AnswerReader:
    """From the bytes of an answer to its status, or a phrase why it is none; as the proxy reads it, 1xx passed over."""

    def __init__(self, settings: ProxySettings):
        self._settings = settings
        self._held = b""
        self._interim = 0

    def feed(self, data: bytes) -> int | str | None:
        """Take in some more bytes; None while neither can be told."""
        checked = len(self._held)
        self._held += data
        limit, most_fields = self._settings.max_response_header, self._settings.max_headers
        while True:
            head = read_response_head(self._held, b"", limit, most_fields, checked=checked)
            if head is None:
                return None
            if isinstance(head, Fault):
                return head.detail
            rest = self._held[len(head.head) :]
            if not head.is_interim:
                return _final_status(head, rest)
            self._interim += 1
            if self._interim > INTERIM_LIMIT:
                return ENDLESS_INTERIM.detail
            self._held = rest
            checked = 0


def _final_status(head: ResponseHead, body: bytes) -> int | str:
    """The status of a whole head; a phrase where the proxy would not pass it on with this beginning of its body."""
    if head.status == 101 and (fault := switch_fault(head, b"", None)):
        return fault.detail
    if head.length == CHUNKED:
        try:
            ChunkedReader(of_response=True).feed(body)
        except ChunkError as error:
            return str(error)
    return head.status


class _Reader(Protocol):
    """Who understands an answer."""

    def feed(self, data: bytes) -> int | str | None:
        """Take in some more bytes: a status, or why there is none; None while neither can be told."""


class _ProbeConnection(asyncio.Protocol):
    """Sends the request, if there is one; `outcome` becomes the status of the answer, or why there is none.

    `asked` is what is asked for, in words. `polite`: the service is told by FIN that nothing more comes. `by_http2`:
    how it is asked where it speaks HTTP/2.
    """

    def __init__(
        self, asked: str, request: bytes, reader: _Reader, *, polite: bool, by_http2: "Http2Reader | None" = None
    ):
        self.asked = asked
        self.by_http2 = by_http2
        self._request = request
        self._reader = reader
        self._polite = polite
        self.transport: asyncio.BaseTransport | None = None
        self._rest = MOST_READ
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.outcome: asyncio.Future[int | str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        ssl_object = transport.get_extra_info("ssl_object")
        is_http2 = ssl_object is None or ssl_object.selected_alpn_protocol() == "h2"
        if self.by_http2 is not None and is_http2:
            self._reader, self._request, self._polite = self.by_http2, self.by_http2.reply(), True
        else:
            self.by_http2 = None
        if self._request:
            self._write(self._request)

    def _write(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr] # uvloop's are no asyncio.Transport by class

    def data_received(self, data: bytes) -> None:
        self._rest -= len(data)
        if not self.outcome.done():
            outcome = self._reader.feed(data)
            if self.by_http2 is not None and (reply := self.by_http2.reply()):
                self._write(reply)
            if outcome is not None:
                self.outcome.set_result(outcome)
        elif self._rest < 0 and not self._gone.done():
            self._gone.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._gone.done():
            self._gone.set_result(None)
        if not self.outcome.done():
            self.outcome.set_result(
                "the connection was reset" if exc else "the connection was closed without an answer"
            )

    async def part(self) -> None:
        """Nothing more is wanted: let the service end the connection, then close it."""
        answered = self.outcome.done() and not self.outcome.cancelled()  # else it has had its time
        self.outcome.cancel()
        if self.transport is None:
            return
        transport: asyncio.Transport = self.transport  # type: ignore[assignment]
        if answered or not self._request:
            if self._polite and transport.can_write_eof():
                transport.write_eof()
            await asyncio.wait({self._gone}, timeout=FAREWELL)
        transport.abort()
