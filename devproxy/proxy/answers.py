"""What a person is told when a service does not answer as it should.

Lives here: failures of a service as a `Respond`: what was tried, why, and how to start or mend it; pure.
Not here: when an attempt counts as failed (`exchange.py`), how the answer looks (`error_pages.py`).
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from devproxy.health.state import start_in_words
from devproxy.http1.grammar import TLS_HELLO, Fault
from devproxy.http1.h2_fields import REFUSED_STREAM
from devproxy.registry.model import Service
from devproxy.registry.resolve import trust_command

if TYPE_CHECKING:
    from devproxy.net.dial import DialError

BUG: Final = "bug"  # the code of a fault of our own, and what is to be done about it
REPORT_BUG: Final = "see what happened with devproxy logs proxy, and report it"


class Respond(NamedTuple):
    """An answer of our own: the status, a stable code, what happened, and what mends it.

    `names` is what the page may list (near names, a chain); `port` the one that the client named, for links; `reload`
    lets a page load itself again once the service is up, `again` gives it a link to itself; `close` ends the connection
    after the answer; `lines` are the last ones of a log; `service` the id of the service it is about, empty for none.
    `run` is a whole command line that mends it; `command` what is running, `since` then, in seconds since 1970 (0: not
    known). `content` is what to send instead of a page: bytes, and one field line that goes with them.
    `location` is where a redirect leads.
    """

    status: int
    code: str
    detail: str
    fix: str = ""
    names: tuple[str, ...] = ()
    reload: bool = False
    close: bool = False
    port: int | None = None
    lines: tuple[str, ...] = ()
    service: str = ""
    again: bool = False
    run: str = ""
    command: str = ""
    since: float = 0.0
    content: tuple[bytes, str] | None = None
    location: str = ""

    @classmethod
    def to(cls, fault: Fault, https_port: int | None = None) -> "Respond":
        """The answer to a head that is not HTTP; what follows on the connection cannot be trusted. Where it is TLS, it
        says where that is spoken."""
        fix = fault.fix or _FAULT_FIXES.get(fault.code, "")
        respond = cls(fault.status, fault.code, fault.detail, fix, close=True)
        if fault is not TLS_HELLO:
            return respond
        if https_port is not None:
            respond = respond._replace(fix=f"{fix}, or port {https_port}, where https is spoken")
        return respond._replace(content=_plain_text(respond))


def _plain_text(respond: "Respond") -> tuple[bytes, str]:
    """A sentence for those who read what came instead of a TLS handshake."""
    text = f"{respond.detail[:1].upper()}{respond.detail[1:]}: {respond.fix}.\n"
    return text.encode(), "Content-Type: text/plain; charset=utf-8"


_FAULT_FIXES: Final = {
    "header-too-large": "clear the site's cookies, or raise `max_header` / `max_headers` under [proxy]",
    "unsupported-version": "use HTTP/1.1",
}


_RESET_CODES: Final = {
    0x0: "NO_ERROR",
    0x1: "PROTOCOL_ERROR",
    0x2: "INTERNAL_ERROR",
    0x3: "FLOW_CONTROL_ERROR",
    0x5: "STREAM_CLOSED",
    0x7: "REFUSED_STREAM",
    0x8: "CANCEL",
    0xB: "ENHANCE_YOUR_CALM",
    0xD: "HTTP_1_1_REQUIRED",
}


# What a person can do about a service that does not run, as one line; pure.


def start(service: Service) -> str:
    """How a service that nobody answers for is started."""
    if service.awaits_requests and not service.trusted:
        return trust(service)
    if service.command:
        return start_in_words(service)
    if service.leased:  # by `devproxy run` alone: no file says its port
        return "see why in the terminal of its devproxy run: what that started does not listen there (yet)"
    return f"start it, or correct its port: {service.source.where}"


def give_port(service: Service) -> str:
    """How a service gets a port that nothing says yet: from `up`, if it has a command."""
    if service.awaits_requests and not service.trusted:
        return trust(service)
    if service.command:
        return start_in_words(service)
    return f"give it one: port = 3000 under [services.{service.name}], {service.source.where}"


def trust(service: Service) -> str:
    """How a request may come to start it."""
    return f"its first request may start it once its commands are trusted: {trust_command(service.source.file)}"


def allow_other_user(service: Service) -> str:
    """How another user of this machine may come to answer for a service."""
    return f'other_user = "allow" under [services.{service.name}], {service.source.file}'


def dial_failed(service: Service, error: "DialError") -> Respond:
    """Nothing took the connection."""
    if error.exhausted:
        return Respond(
            503,
            "too-many-connections",
            f"devproxy has no descriptor left to reach {service.id}",
            "close connections, or raise the limit before it starts: ulimit -n 65536",
            reload=True,
        )
    tried = "; ".join(f"{address} ({reason})" for address, reason in error.tried)
    if error.other_user:
        return Respond(
            503,
            "other-user",
            f"{service.id} is not what answers, but a program of another user of this machine: tried {tried}",
            f"{start(service)}; if {error.other_user} is to answer for it: {allow_other_user(service)}",
            reload=True,
        )
    if error.timeout:
        return Respond(
            504, "upstream-timeout", f"{service.id} takes no connection: {tried}", start(service), reload=True
        )
    return Respond(502, "upstream-refused", f"{service.id} is not running: tried {tried}", start(service), reload=True)


def too_many_waiting(service: Service) -> Respond:
    """There is no room for one more request that waits for its service to be started."""
    return Respond(
        503,
        "too-many-waiting",
        f"{service.id} is starting, and the requests that wait keep as much memory as devproxy gives them",
        "ask again once it is up: devproxy ls shows when",
        reload=True,
    )


def closed_early(service: Service, error: Exception | None, *, answered: bool) -> Respond:
    """The connection ended before a whole response head."""
    how = "reset the connection" if isinstance(error, ConnectionResetError) else "closed the connection"
    when = "in the middle of its response header" if answered else "without answering"
    return Respond(
        502,
        "upstream-closed",
        f"{service.id} {how} {when}",
        "look at its log; it may have crashed or restarted on this request",
        reload=True,
    )


def own_fault(error: Exception) -> Respond:
    """Something of ours failed in a request: as its service was dialled, or its answer was read."""
    what = f"devproxy ran into a bug of its own in this request ({type(error).__name__})"
    return Respond(500, BUG, what, REPORT_BUG)


def reset_early(service: Service, code: int, *, is_lost: bool) -> Respond:
    """The service has reset the request's stream of HTTP/2, and its connection goes on. `is_lost`: it could be asked
    again, but what was sent of the request's body is not there any more."""
    name = _RESET_CODES.get(code, f"{code:#x}")
    why = ": it may have no room for more, or be about to end" if code == REFUSED_STREAM else ""
    if is_lost:
        why += "; send the request again: too much of its body was sent for devproxy to repeat it"
    return Respond(
        502,
        "upstream-closed",
        f"{service.id} reset the request without answering ({name}, RFC 9113 §7)",
        f"look at its log{why}",
        reload=True,
    )


def no_web_socket(service: Service) -> Respond:
    """A WebSocket to a service that speaks HTTP/2, and opens none on a stream of it."""
    return Respond(
        501,
        "unsupported-upgrade",
        f"{service.id} speaks HTTP/2, and does not say that it opens WebSockets there (extended CONNECT, RFC 8441)",
        "let it announce SETTINGS_ENABLE_CONNECT_PROTOCOL; or give what answers WebSockets over HTTP/1.1 a service of "
        "its own whose upstream is http://, mounted at their path",
    )


def no_http2(service: Service) -> Respond:
    """The library for HTTP/2 is not there."""
    return Respond(
        502,
        "unsupported-upstream",
        f"{service.id} is an h2c upstream, and the library for HTTP/2 (ngh2) cannot be imported here",
        "let the service listen for HTTP/1.1 as well, and write http:// in its upstream setting",
    )


def no_answer(service: Service, seconds: float, *, whole: bool, unread: int = 0) -> Respond:
    """Nothing happened for `seconds`: who stood still.

    `whole` says whether the request had come completely, `unread` how many of its bytes the service had not read.
    """
    if not whole and not unread:
        detail = f"the client stopped sending the request's body: no progress for {seconds:g} s"
        return Respond(408, "request-timeout", detail, "send the whole body", close=True)
    took = f"{service.id} took the request and did not answer within {seconds:g} s"
    return Respond(
        504,
        "upstream-timeout",
        took if not unread else f"{service.id} read nothing more of the request's body for {seconds:g} s",
        f'look at its log; if it needs longer: response_timeout = "5m" under [services.{service.name}], '
        f"{service.source.file}",
    )


def invalid_answer(service: Service, fault: Fault) -> Respond:
    """The service's response is not HTTP."""
    fix = fault.fix or f"mend the server behind {service.id}; the bytes are shown as they came, escaped"
    return Respond(fault.status, fault.code, f"{service.id} answered wrongly: {fault.detail}", fix)
