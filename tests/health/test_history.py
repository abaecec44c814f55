"""The history: what is kept, of whom, and that it stays bounded and readable."""

from pathlib import Path

import pytest

from devproxy import events
from devproxy.health import history
from devproxy.health.history import History, HistoryEntry, concerns, is_kept, read
from devproxy.paths import Paths

ALL: tuple[events.AnyEvent, ...] = (
    events.Started("0.1.0", 80),
    events.Checked(("web",), ("api",)),
    events.Down("web", "refused"),
    events.Up("web", "listens", 4.0),
    events.Waking("web"),
    events.Failed("web", "its command has ended"),
    events.Idle("web", 1800.0),
    events.Exposed("web", "0.0.0.0", "--host 127.0.0.1"),
    events.Mended("web", "exposed", "0.0.0.0"),
    events.Owner("api", "vite", "python"),
    events.Found("api", "shadowed", "two"),
    events.Stopped(),
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "config", tmp_path / "state")


def test_what_is_written_reads_the_same(paths: Paths) -> None:
    entries = [HistoryEntry(float(number), event) for number, event in enumerate(ALL)]
    kept = History(paths)
    kept.append(entries[:4])
    kept.append([])
    kept.append(entries[4:])
    assert read(paths) == entries
    assert read(paths, last=2) == entries[-2:]
    assert paths.history.stat().st_mode & 0o777 == 0o600


def test_of_one_service_with_the_starts_and_stops_between(paths: Paths) -> None:
    History(paths).append(HistoryEntry(0.0, event) for event in ALL)
    assert [type(entry.event).__name__ for entry in read(paths, "api")] == [
        "Started",
        "Checked",
        "Owner",
        "Found",
        "Stopped",
    ]


def test_nothing_yet(paths: Paths) -> None:
    assert read(paths) == []


def test_it_stays_bounded(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LIMIT", 2000)
    kept = History(paths)
    for number in range(200):
        kept.append([HistoryEntry(float(number), events.Down("web", "refused"))])
    sizes = [file.stat().st_size for file in paths.state.iterdir()]
    assert len(sizes) == 2
    assert max(sizes) <= 2000
    times = [entry.time for entry in read(paths)]
    assert times == [float(number) for number in range(200 - len(times), 200)]


def test_lines_that_cannot_be_read_are_passed_over(paths: Paths) -> None:
    History(paths).append([HistoryEntry(1.0, events.Stopped())])
    with paths.history.open("ab") as file:
        file.write(b'{"time":2,"event":{"kind":"of another version"}}\n\xff\n{"time":3,"ev')
    assert [entry.time for entry in read(paths)] == [1.0]


@pytest.mark.parametrize("event", ALL)
def test_these_are_kept(event: events.AnyEvent) -> None:
    assert is_kept(event)


@pytest.mark.parametrize("event", [events.Notice("x"), events.Problems(), events.Services()])
def test_these_are_not(event: events.AnyEvent) -> None:
    assert not is_kept(event)
    assert not concerns(event, "web")
