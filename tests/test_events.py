"""The event log: numbered, bounded, told to whoever subscribed."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.events import AnyEvent, Entry, Event, EventLog, Failed, Idle, Notice, Problems, Services, Started, Waking


def log(capacity: int = 3) -> EventLog:
    ticks = iter(range(10_000))
    return EventLog(lambda: float(next(ticks)), capacity)


def messages(entries: list[Entry]) -> list[str]:
    return [entry.event.text() for entry in entries]


def test_events_are_numbered_and_dated() -> None:
    kept = log()
    assert kept.last == 0
    assert kept.add(Notice("a")) == Entry(1, 0.0, Notice("a"))
    assert kept.add(Notice("b")) == Entry(2, 1.0, Notice("b"))
    assert kept.last == 2


def test_only_the_last_ones_are_kept() -> None:
    kept = log(capacity=2)
    for name in "abc":
        kept.add(Notice(name))
    assert messages(kept.since(0)) == ["b", "c"]


def test_a_reader_gets_what_came_after_the_last_it_saw() -> None:
    kept = log()
    for name in "abc":
        kept.add(Notice(name))
    assert messages(kept.since(1)) == ["b", "c"]
    assert kept.since(3) == []


def test_a_number_from_an_earlier_life_gets_everything() -> None:
    kept = log()
    kept.add(Notice("a"))
    assert messages(kept.since(99)) == ["a"]


@given(st.integers(1, 20), st.integers(0, 50), st.integers(-5, 80))
def test_since_is_a_run_that_ends_with_the_newest(capacity: int, count: int, last: int) -> None:
    kept = log(capacity)
    for number in range(count):
        kept.add(Notice(str(number)))
    ids = [entry.id for entry in kept.since(last)]
    assert ids == list(range(count - len(ids) + 1, count + 1))
    assert len(ids) <= capacity


def test_a_subscriber_is_told_until_it_ends_and_may_end_while_told() -> None:
    kept = log()
    first: list[int] = []
    second: list[int] = []

    def once(entry: Entry) -> None:
        first.append(entry.id)
        end()

    end = kept.subscribe(once)
    kept.subscribe(lambda entry: second.append(entry.id))
    kept.add(Notice("a"))
    kept.add(Notice("b"))
    end()
    assert (first, second) == ([1], [1, 2])


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Started("1.2.3", 7080), "devproxy 1.2.3 started on port 7080"),
        (Started("1.2.3", 7080, 7443), "devproxy 1.2.3 started on ports 7080 and 7443 (https)"),
        (Services(added=("a", "b"), removed=("c",)), "added a, b; removed c"),
        (Services(changed=("a",), settings=True), "changed a; [proxy] settings changed"),
        (Services(added=tuple("abcdefghij")), "added a, b, c, d, e, f, g, h and 2 more"),
        (Problems(appeared=("f:1: bad",), mended=("f:2: worse",), open=1), "f:1: bad; mended: f:2: worse"),
        (Notice("x"), "x"),
    ],
)
def test_an_event_is_one_line_and_survives_json(event: AnyEvent, text: str) -> None:
    assert event.text() == text
    entry = Entry(1, 2.5, event)
    encoded = msgspec.json.encode(entry)
    assert msgspec.json.decode(encoded, type=Entry) == entry
    assert msgspec.json.decode(encoded)["event"]["kind"] == type(event).__name__.lower()


def test_a_service_that_requests_start_is_told_of_in_sentences() -> None:
    assert Waking("web.shop").text() == "web.shop is started: a request came"
    assert Waking("db.shop", "connection").text() == "db.shop is started: a connection came"
    assert Failed("web.shop", "its command has ended").text() == "web.shop did not start: its command has ended"
    assert Idle("web.shop", 1800.0).text() == "web.shop was ended after 30 min without a request"
    assert Idle("db.shop", 60.0, "connection").text() == "db.shop was ended after 60 s without a connection"


def kinds(base: type[Event]) -> set[type[Event]]:
    """The events below a class; one that has others below it is none itself."""
    below = base.__subclasses__()
    return {base}.union(*map(kinds, below)) - {base} if below else {base}


def test_every_kind_of_event_can_be_read_back() -> None:
    assert kinds(Event) == set(get_args(AnyEvent))
