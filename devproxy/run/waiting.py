"""What is said of a service of `up` that is not up: what it waits for, how it ended, what that comes to. Pure.

Here since both the group and the terminal that has put it into the background say it (`group.py`, `detach.py`).
"""

from collections.abc import Sequence

from devproxy.events import exit_in_words
from devproxy.registry.model import Service
from devproxy.run.group_state import MemberPhase
from devproxy.run.logs import plain

REMIND_AFTER = 5.0  # seconds after which it is said what somebody waits for; twice as long each time
SLOW_AFTER = 3.0  # seconds of its own after which a server that nothing listens for may be none
_NEVER_UP = "is not up"
_TASK_HINT = 'if that is its work, say so: kind = "task"'


def final_state(service: Service, code: int, *, served: bool) -> tuple[MemberPhase, str]:
    """What a command that stays down has come to, and why; `served`: it was up before."""
    if code:
        return "failed", f"ended with {exit_in_words(code)}"
    if service.kind == "task":
        return "done", ""
    if served or service.kind == "worker":
        return "failed", f"it ended with exit code 0, though a {service.kind} is to run on"
    return "ended", f"it ended by itself, and never listened; {_TASK_HINT}"


def end_text(service: Service, *, served: bool) -> str:
    """How an end with exit code 0 is told, which is good news of a task alone."""
    if service.kind == "task":
        return "is done"
    if served or service.kind == "worker":
        return f"has ended with exit code 0, though a {service.kind} is to run on"
    return f"has ended, and never listened; {_TASK_HINT}"


def not_up_text(failures: int, code: int | None, ran: float) -> str:
    """That a server is not up, `ran` seconds after its start: what is said depends on what became of the one before."""
    if failures and code is not None:
        return f"ended with {exit_in_words(code)}, and is not up again"
    return _NEVER_UP if ran >= SLOW_AFTER else f"{_NEVER_UP} yet"


def waiting_text(service: Service, state: MemberPhase, why: str) -> str:
    """What somebody who looks at `up` is told of a service that is not settled yet."""
    if state == "running":
        return "is not done yet"
    is_slow = service.serves and why.startswith(f"{_NEVER_UP}:")
    hint = '; if it never listens, say so: kind = "worker"' if is_slow else ""
    return f"{why or 'starts'}{hint}"


def unmet_text(name: str, state: MemberPhase, why: str, code: int | None, lines: Sequence[str]) -> str:
    """Why a service is not started that depends on `name`: what became of that, and the last that it printed."""
    if state == "failed" and code:
        why = exit_in_words(code)
    became = {"failed": "has failed", "ended": "has ended"}.get(state, "does not run")
    return f"it depends on `{name}`, which {became}{f': {why}' if why else ''}{printed_text(lines)}"


def printed_text(lines: Sequence[str]) -> str:
    """What it last printed, to be put behind a message; programs print empty lines around what they say."""
    last = next((text for line in reversed(lines) if (text := plain(line).strip())), "")
    return f"; it last printed: {last}" if last else ""
