"""What happened to services, and what happens: `devproxy health --history` and `--watch`.

Not here: keeping the history (`health/history.py`), noticing changes (`health/monitor.py`).
"""

import time
from collections.abc import Iterable, Sequence

import msgspec

from devproxy.cli.context import CommandContext
from devproxy.cli.output import print_json, remark, say
from devproxy.events import AnyEvent, Checked, Exposed, Found, Tone
from devproxy.health.history import ABOUT_ALL, HistoryEntry, concerns, read, row
from devproxy.health.model import Condition, RunRecord
from devproxy.health.runs import RunsReader
from devproxy.registry.model import Service
from devproxy.text import json_text, safe

LAST = 200  # lines for a person
_COLOURS: dict[Tone, str] = {"good": "green", "warning": "yellow", "bad": "red"}


def print_history(view: CommandContext, services: Sequence[Service] | None, as_json: bool) -> None:
    """What is kept of these services, or of all; oldest first."""
    entries = _about(read(view.paths), services)
    if as_json:
        print_json([row(entry) for entry in entries])
        return
    for entry in entries[-LAST:]:
        say(f"{_stamp(entry.time)}  {text_of(entry.event, services)}", fg=_COLOURS.get(entry.event.tone))
    if len(entries) > LAST:
        remark(f"… and {len(entries) - LAST} earlier ones: --json shows all")
    if not entries:
        remark("nothing yet: devproxy keeps a history while the proxy runs")


def text_of(event: AnyEvent, services: Sequence[Service] | None) -> str:
    """One line; of a first look at many services only what concerns those asked for."""
    if services is None or not isinstance(event, Checked):
        return event.text()
    wanted = {service.id for service in services}
    return Checked(
        tuple(one for one in event.up if one in wanted), tuple(one for one in event.down if one in wanted)
    ).text()


def _about(entries: Iterable[HistoryEntry], services: Sequence[Service] | None) -> list[HistoryEntry]:
    if services is None:
        return list(entries)
    found = [entry for entry in entries if any(concerns(entry.event, service.id) for service in services)]
    # Starts and stops of the proxy matter where something was seen between them.
    return found if any(not isinstance(entry.event, ABOUT_ALL) for entry in found) else []


def _stamp(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def watch(view: CommandContext, services: Sequence[Service], as_json: bool) -> None:
    """Print every change of these services until Ctrl-C."""
    import asyncio

    from devproxy.health.board import Board
    from devproxy.health.monitor import Monitor, MonitorHooks

    registry = msgspec.structs.replace(view.registry, services=tuple(services))
    known: dict[str, Condition] = {}

    def tell(events: Sequence[AnyEvent]) -> None:
        first = not known
        known.update(monitor.board.conditions)
        for event in events:
            # A person has just read it in the report; a program learns that the watch has begun.
            if as_json or not (first and isinstance(event, Checked | Exposed | Found)):
                _print_event(HistoryEntry(time.time(), event), as_json)

    runs = _ReadRuns(view, {service.id for service in services})
    hooks = MonitorHooks(
        lambda: registry, lambda _: float("-inf"), lambda: _own(view), tell, lambda _: None, runs=runs.read
    )
    monitor = Monitor(Board(), hooks)
    monitor.board.tell_no_more(entry.event for entry in read(view.paths))
    asyncio.run(monitor.run())


class _ReadRuns:
    """What becomes of the commands of some services."""

    def __init__(self, view: CommandContext, wanted: set[str]):
        self._reader = RunsReader(view.paths)
        self._wanted = wanted

    def read(self) -> dict[str, RunRecord] | None:
        records = self._reader.read()
        return records and {name: record for name, record in records.items() if name in self._wanted}


def _own(view: CommandContext) -> tuple[int, ...]:
    ports = view.running.own_ports if view.running else ()
    return tuple(port for port in ports if port)


def _print_event(entry: HistoryEntry, as_json: bool) -> None:
    if as_json:
        say(json_text(row(entry), lines=False))
        return
    stamp = time.strftime("%H:%M:%S", time.localtime(entry.time))
    say(safe(f"{stamp}  {entry.event.text()}"), fg=_COLOURS.get(entry.event.tone))
