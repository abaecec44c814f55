"""What `devproxy health` prints for a person: a line a service, and below it each finding with proof, who and fix.

Not here: checking, exit codes (`health.py`). Nothing is folded in a pipe.
"""

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from devproxy.cli.context import counted
from devproxy.cli.output import for_person, remark, say
from devproxy.health.model import Condition, Finding
from devproxy.registry.model import Service

COLOURS = {"up": "green", "down": "red", "starting": "yellow", "unknown": "yellow", "on-request": None}
SEVERITIES = {"error": "red", "warning": "yellow", "note": "blue"}
_INDENT = " " * 11  # as wide as `  shadowed ` and every label below it


def print_report(services: Sequence[Service], conditions: Mapping[str, Condition], *, notes: bool) -> None:
    """Every service; findings that are mere notes only where `notes` are wanted."""
    width = max(len(service.id) for service in services)
    widest = max(8, *(len(conditions[service.id].word) for service in services))
    spacious = False
    for index, service in enumerate(services):
        condition = conditions[service.id]
        findings = [one for one in condition.findings if notes or one.severity != "note"]
        if index and (findings or spacious):
            say()
        spacious = bool(findings)
        say(
            f"{service.id.ljust(width)}  {condition.word.ljust(widest)}  {about(condition)}", fg=COLOURS[condition.word]
        )
        for finding in findings:
            _print_finding(finding)
    _summarise([conditions[service.id] for service in services])


def about(condition: Condition) -> str:
    """Why the state is what it is, and who can reach it."""
    if condition.state != "up":
        return condition.why
    if condition.exposure == "unknown":
        return f"{condition.why}; who can reach it is not known: {condition.exposure_why}"
    return condition.why + ("; others can reach it" if condition.exposure == "exposed" else "")


def _print_finding(finding: Finding) -> None:
    _print_lines(finding.code, [finding.message], fg=SEVERITIES[finding.severity], bold=True)
    for label, text in (("proof", finding.proof), ("who", finding.who), ("fix", finding.fix), ("run", finding.command)):
        if text:
            _print_lines(label, [text])


def _print_lines(label: str, texts: Iterable[str], **style: object) -> None:
    """`label` and the text beside it; on a terminal folded, but for a command, which gets copied."""
    for text in texts:
        lines = [text]
        if for_person() and label != "run":
            width = max(40, shutil.get_terminal_size().columns) - len(_INDENT)
            lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
        first, *rest = lines or [""]
        say(f"  {label:<9}{first}", **style)
        for line in rest:
            say(f"{_INDENT}{line}", **style)


def _summarise(conditions: Sequence[Condition]) -> None:
    states = [counted_state for state in COLOURS if (counted_state := _count(conditions, state))]
    exposed = sum(condition.exposure == "exposed" for condition in conditions)
    parts = [*states, *([f"{exposed} exposed"] if exposed else [])]
    good = not exposed and all(condition.state == "up" or condition.dormant for condition in conditions)
    remark("")
    remark(f"{counted(len(conditions), 'service')}: {', '.join(parts)}", fg="green" if good else "yellow")


def _count(conditions: Sequence[Condition], state: str) -> str:
    number = sum(condition.word == state for condition in conditions)
    return f"{number} {state}" if number else ""
