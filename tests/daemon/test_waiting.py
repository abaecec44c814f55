"""Long waits are told once, rarely again, and when they are over."""

from devproxy.daemon.waiting import AGAIN, QUIET, WaitWatch
from devproxy.events import Abandoned, Answered, Unanswered
from devproxy.proxy.waiting import LONG, ServiceWait
from tests.proxy.test_waiting import Open


def wait(since: float, *, requests: int = 1, responded: bool = False) -> dict[str, ServiceWait]:
    return {"web": ServiceWait(requests, since, Open("web", since, responded))}


def told(watch: WaitWatch, looks: dict[float, dict[str, ServiceWait]]) -> list[object]:
    return [event for now, waits in looks.items() for event in watch.events(waits, now)]


def test_once_at_first_again_when_it_is_much_longer_and_at_the_end() -> None:
    looks = {float(now): wait(0.0) for now in range(int(LONG), 100)}
    assert told(WaitWatch(), looks | {100.0: {}}) == [
        Unanswered("web", 1, LONG),
        Unanswered("web", 1, LONG * AGAIN),
        Abandoned("web", 100.0),
    ]


def test_an_answer_ends_it() -> None:
    watch = WaitWatch()
    looks = {12.0: wait(0.0, requests=3, responded=True), 75.0: {}}
    assert told(watch, looks) == [Unanswered("web", 3, 12.0), Answered("web", 75.0)]


def test_a_service_that_is_polled_is_told_once_until_it_takes_longer_or_much_later() -> None:
    watch = WaitWatch()
    polls = {
        float(30 * n + s): wait(30.0 * n, responded=True) if s < 25 else {} for n in range(9) for s in (12, 20, 25)
    }
    assert told(watch, polls) == [Unanswered("web", 1, 12.0), Answered("web", 25.0)]
    assert told(watch, {300.0: wait(272.0)}) == [Unanswered("web", 1, 28.0)]
    assert told(watch, {310.0: {}, 320.0: wait(309.0), 321.0: {}}) == [Abandoned("web", 38.0)]
    later = 310.0 + QUIET
    assert told(watch, {later: wait(later - LONG)}) == [Unanswered("web", 1, LONG)]


def test_what_others_see_is_in_seconds_since_1970() -> None:
    watch = WaitWatch()
    watch.events(wait(5.0, requests=2), 17.0)
    (row,) = watch.rows(80.0, 1000.0, lambda _: "process 7 is stopped by a signal").values()
    assert (row.requests, row.since) == (2, 925.0)
    assert row.text("web", 1000.0) == "waiting 75 s for web (2 requests): process 7 is stopped by a signal"
