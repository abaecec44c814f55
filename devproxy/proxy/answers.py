"""What a person is told when a service does not answer as it should.

Lives here: failures of a service as a `Respond`: what was tried, why, and how to start or mend it; pure.
Not here: when an attempt counts as failed (`exchange.py`), how the answer looks (`error_pages.py`).
"""

from typing import TYPE_CHECKING

from devproxy.proxy.decide import Respond
from devproxy.proxy.grammar import Fault
from devproxy.proxy.remedy import start
from devproxy.registry.model import Service

if TYPE_CHECKING:
    from devproxy.net.dial import DialError


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
    if error.timeout:
        return Respond(
            504, "upstream-timeout", f"{service.id} takes no connection: {tried}", start(service), reload=True
        )
    return Respond(502, "upstream-refused", f"{service.id} is not running: tried {tried}", start(service), reload=True)


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


def no_answer(service: Service, seconds: float, *, whole: bool) -> Respond:
    """Nothing happened for `seconds`; `whole` says whether the request had been sent completely."""
    if not whole:
        detail = f"the request's body made no progress for {seconds:g} s"
        return Respond(408, "request-timeout", detail, "send the whole body", close=True)
    return Respond(
        504,
        "upstream-timeout",
        f"{service.id} took the request and did not answer within {seconds:g} s",
        f'look at its log; if it needs longer: response_timeout = "5m" under [services.{service.name}], '
        f"{service.source.file}",
    )


def invalid_answer(service: Service, fault: Fault) -> Respond:
    """The service's response is not HTTP."""
    fix = f"mend the server behind {service.id}; the bytes are shown as they came, escaped"
    return Respond(fault.status, fault.code, f"{service.id} answered wrongly: {fault.detail}", fix)
