"""One check whether a service answers: a connection that is accepted, or a request that is answered as it should be.

Lives here: the check, and which answers count as up.
Not here: when to check (`monitor.py`), what several checks come to (`board.py`), connecting (`net/dial.py`, the same as
the proxy's, so that the two cannot disagree).

The request is a plain HTTP/1.1 GET of our own (RFC 9112 §3) on a connection that is closed after it; of the answer only
the status line is read. Redirects are not followed: 302 is up if `status` says so. 1xx answers are passed over.
"""

import asyncio
import re

from devproxy.health.model import NO_PORT, Check
from devproxy.net.dial import DialError, connect
from devproxy.registry.model import Service, Upstream

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_MOST = 16384  # bytes of an answer that are read in search of its status


async def probe(service: Service, first: str = "") -> Check:
    """Check `service` once, within its `health.timeout`. `first` is the loopback literal to try first. Never raises."""
    upstream, health = service.upstream, service.health
    if upstream is None:
        return Check(up=False, why=NO_PORT)
    speaks = health.path is not None and upstream.scheme in {"http", "https"}
    answer = _Answer(request(service, upstream) if speaks else b"")
    try:
        async with asyncio.timeout(health.timeout):
            _, host = await connect(upstream, lambda: answer, first=first, server_name=_name(service))
            if not speaks:
                return Check(up=True, why=f"accepts connections at {_place(upstream, host)}", host=host, accepted=True)
            return _judged(await answer.status, service, host)
    except DialError as error:
        return Check(up=False, why=_refusal(error, upstream))
    except TimeoutError:
        accepted = answer.transport is not None
        what = f"no answer to GET {health.path}" if accepted else "no answer to a connect"
        return Check(up=False, why=f"{what} within {health.timeout:g} s", accepted=accepted)
    finally:
        answer.close()


def request(service: Service, upstream: Upstream) -> bytes:
    """The request of a check; its Host is what the proxy would send."""
    own = f"[{upstream.hosts[0]}]" if upstream.hosts and ":" in upstream.hosts[0] else "".join(upstream.hosts[:1])
    host = _name(service) if service.host_header == "keep" or not own else f"{own}:{upstream.port}"
    return (
        f"GET {service.health.path} HTTP/1.1\r\nHost: {host or 'localhost'}\r\nAccept: */*\r\n"
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


def _judged(code: int | str, service: Service, host: str) -> Check:
    asked = f"GET {service.health.path}"
    if isinstance(code, str):
        return Check(up=False, why=f"{asked}: {code}", host=host, accepted=True)
    if counts(service.health.status, code):
        return Check(up=True, why=f"{asked} was answered {code}", host=host, accepted=True)
    why = f"{asked} was answered {code}, not {service.health.status}"
    return Check(up=False, why=why, host=host, accepted=True)


def _name(service: Service) -> str:
    """The hostname that requests to it carry: its first that is no wildcard."""
    return next((host for host in service.hosts if "*" not in host), "")


def _place(upstream: Upstream, host: str) -> str:
    if upstream.path:
        return upstream.path
    return f"[{host}]:{upstream.port}" if ":" in host else f"{host}:{upstream.port}"


class _Answer(asyncio.Protocol):
    """Sends the request, if there is one; `status` becomes the answer's status code, or a phrase why there is none."""

    def __init__(self, request: bytes):
        self._request = request
        self._seen = b""
        self.transport: asyncio.BaseTransport | None = None
        self.status: asyncio.Future[int | str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self._request:
            transport.write(self._request)  # type: ignore[attr-defined] # uvloop's are no asyncio.Transport by class

    def data_received(self, data: bytes) -> None:
        if self.status.done():
            return
        self._seen += data
        while found := _STATUS_LINE.match(self._seen):
            code = int(found[1])
            if code >= 200 or code == 101:
                self._settle(code)
                return
            end = self._seen.find(b"\r\n\r\n")
            if end < 0:
                break
            self._seen = self._seen[end + 4 :]
        if b"\n" in self._seen[:_MOST] and not self._seen.startswith(b"HTTP/1."):
            self._settle("the answer is no HTTP/1.x")
        elif len(self._seen) > _MOST:
            self._settle("the answer has no status line")

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle("the connection was reset" if exc else "the connection was closed without an answer")

    def _settle(self, outcome: int | str) -> None:
        if not self.status.done():
            self.status.set_result(outcome)

    def close(self) -> None:
        """Nothing more is wanted: the connection goes without waiting for its peer."""
        self.status.cancel()
        if self.transport is not None:
            self.transport.abort()  # type: ignore[attr-defined]
