"""Requests that have waited long for the answer of their service, by service; pure.

Nothing of it is on the way of a request: the proxy's timer looks once a second at what is open. A request waits from
when it came, or from the last byte of its body that moved, until its response begins: an event stream or a download
whose head has come waits no more, and what a gate holds waits for a start, not for an answer.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

LONG: Final = 10.0  # seconds


class UnansweredRequest(Protocol):
    """An exchange, as far as its wait concerns it."""

    service_id: str
    responded: bool

    def waits_since(self) -> float:
        """When its wait for the service began, on the loop's clock; infinity where it does not wait for one."""


class ServiceWait(NamedTuple):
    """How many requests have waited long for one service, and since when the oldest has, on the loop's clock."""

    requests: int
    since: float
    oldest: UnansweredRequest


def long_waits(exchanges: Iterable[UnansweredRequest], now: float) -> dict[str, ServiceWait]:
    """By service id."""
    found: dict[str, ServiceWait] = {}
    for exchange in exchanges:
        since = exchange.waits_since()
        if now - since < LONG:
            continue
        known = found.get(exchange.service_id)
        if known is None or since < known.since:
            found[exchange.service_id] = ServiceWait(known.requests + 1 if known else 1, since, exchange)
        else:
            found[exchange.service_id] = known._replace(requests=known.requests + 1)
    return found
