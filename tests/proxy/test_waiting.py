"""Who has waited long: once a service, the oldest first."""

from dataclasses import dataclass

from devproxy.proxy.waiting import LONG, ServiceWait, long_waits


@dataclass
class Open:
    """A request that waits since `since`; infinity: it does not."""

    service_id: str
    since: float
    responded: bool = False

    def waits_since(self) -> float:
        return self.since


def test_it_is_counted_by_service_with_the_oldest_however_they_are_found() -> None:
    first, second, other = Open("web", 5.0), Open("web", 7.0), Open("api", 6.0)
    for found in ([first, second, other], [other, second, first]):
        waits = long_waits(found, 5.0 + 2 * LONG)
        assert waits == {"web": ServiceWait(2, 5.0, first), "api": ServiceWait(1, 6.0, other)}


def test_what_has_not_waited_long_or_does_not_wait_is_not() -> None:
    assert long_waits([Open("web", 5.0), Open("web", float("inf"))], 4.9 + LONG) == {}
    assert list(long_waits([Open("web", 5.0)], 5.0 + LONG)) == ["web"]
