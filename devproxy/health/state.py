"""The state of a service: the one rule that the monitor, `ls`, `health`, the pages and the exit codes share.

How it works: two witnesses. Asking its port says what anybody would find there; whoever runs its command says what it
does (`CommandRun`). A service that has no command has the first alone. What a command is said to do counts where it has
not come up yet, since another program may listen at its place, and where nothing listens any more.
Not here: asking (`probe.py`, `socket_table.py`), several checks in a row (`board.py`), the record (`runs.py`). Pure.

| its command | it answers | it listens, or is asked in vain | nothing listens |
|---|---|---|---|
| waits, or starts | starting | starting | starting |
| is up | up | down | down, or starting for a while |
| was asked to end | ending | ending | ending |
| has failed | up | down | failed |
| has ended, or was never run | up | down | stopped |

A worker and a task listen nowhere, so that nobody can ask them: a worker is up while its command runs, a task is
running until it is done.
"""

import sys
from typing import NamedTuple

import msgspec

from devproxy.health.model import NO_PORT, RUN_OVER, Check, CommandRun, Condition, State
from devproxy.registry.model import Service
from devproxy.text import devproxy_command


class AskedState(msgspec.Struct, frozen=True):
    """What asking a service came to: `state` is up, down, starting or unknown; `accepted` as in `Check`."""

    state: State
    why: str
    accepted: bool = False


class ServiceState(NamedTuple):
    """What both witnesses come to; the fields are those of `Condition`."""

    state: State
    why: str
    dormant: bool


def service_state(service: Service, asked: AskedState, run: CommandRun | None) -> ServiceState:
    """The state of `service`, by what asking it and whoever runs its command say."""
    state, why = _state(service, asked, run)
    dormant = service.starts_on_request and not asked.accepted and state != "up"
    return ServiceState(state, dormant_in_words(service) if dormant and state == "stopped" else why, dormant)


def _state(service: Service, asked: AskedState, run: CommandRun | None) -> tuple[State, str]:
    if run is not None and run.phase in ("waiting", "starting"):
        return "starting", run.why or asked.why
    if run is not None and run.phase in ("running", "done", "ending"):
        return run.phase, run.why
    if asked.state == "up" or asked.accepted or service.command is None:
        return asked.state, asked.why
    if not service.serves and (service.leased if run is None else run.phase == "up"):
        return "up", "its command runs"
    if run is None or run.phase == "up":
        if run is not None or service.leased:  # it runs, and is looked for in vain
            return asked.state, asked.why
        return "stopped", f"it is not started; {start_in_words(service)}"
    if run.phase == "failed":
        return "failed", run.why
    return "stopped", run.why or "it has ended"


def condition_of(service: Service, check: Check, run: CommandRun | None = None) -> Condition:
    """What a single check comes to, for who has nothing to compare it with (`board.py` has)."""
    asked: State = "up" if check.up else "down" if service.upstream is not None else "unknown"
    if asked != "up" and not check.accepted and service.starts_on_request and service.leased:
        asked = "starting"  # requests wait for it, however long it takes
    state, why, dormant = service_state(service, AskedState(asked, check.why, check.accepted), run)
    exposure_why = Condition().exposure_why if service.upstream is not None else nowhere(service)
    return Condition(state=state, why=why, exposure_why=exposure_why, dormant=dormant, run=run)


def dormant_in_words(service: Service) -> str:
    """Why a service does not run that nobody need start."""
    return f"it starts at its first {service.asked_by}"


def nowhere(service: Service) -> str:
    """Why a service without a port cannot be asked."""
    return NO_PORT if service.serves else f"a {service.kind} listens nowhere"


def is_over(run: CommandRun | None) -> bool:
    """Whether a command is known not to run any more."""
    return run is not None and run.phase in RUN_OVER


def start_in_words(service: Service) -> str:
    """`start it: devproxy up web.shop`; by its command where there is no `up`."""
    return f"start it: {service.command_line if sys.platform == 'win32' else devproxy_command('up', service.id)}"
