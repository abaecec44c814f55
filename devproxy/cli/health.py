"""`devproxy health`: check now, explain, propose the fix; `--history` says what was when.

Lives here: how conditions and findings read (a line a service, and below it each finding with proof, who and fix), and
which of them make the exit code 1.
Not here: checking (`health/one_shot.py`), the past (`health/history.py`). The proxy is not needed.
"""

import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import click

from devproxy.cli.arguments import complete_service, find_service_here
from devproxy.cli.context import CommandContext, load_context, remark_astray, remark_taken
from devproxy.cli.output import for_person, print_json, remark, say
from devproxy.errors import Exit
from devproxy.health.model import SEVERITIES, CommandRun, Condition, Finding
from devproxy.registry.model import Service
from devproxy.text import devproxy_command, plural, safe

WORDS = ("down", "failed", "stopped", "starting", *SEVERITIES)
DEFAULT = ",".join(
    ("down", "failed", "stopped", *(code for code, severity in SEVERITIES.items() if severity != "note"))
)


def fail_on(_ctx: click.Context, _param: click.Parameter, text: str) -> frozenset[str]:
    """Words by comma, `all` and `none` among them. Raises BadParameter."""
    words = {word.strip() for word in text.split(",") if word.strip()}
    if words <= {"none"}:
        return frozenset()
    if words == {"all"}:
        return frozenset(WORDS)
    if unknown := sorted(words.difference(WORDS)):
        raise click.BadParameter(f"'{unknown[0]}' is none of {', '.join(WORDS)}, all, none")
    return frozenset(words)


@click.command("health")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_service)
@click.option(
    "--fail-on",
    callback=fail_on,
    default=DEFAULT,
    metavar="LIST",
    help=f"What makes the exit code 1, by comma: {', '.join(WORDS)}; or all, or none. Default: {DEFAULT}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects, one a service, as ls does.")
@click.option("--watch", is_flag=True, help="Go on, and print a line for every change, until Ctrl-C.")
@click.option("--history", is_flag=True, help="Print what happened, and when, instead of checking.")
def command(names: tuple[str, ...], fail_on: frozenset[str], as_json: bool, watch: bool, history: bool) -> int:
    """Check services now: are they up, who else can reach them. What is wrong comes with proof and fix.

    NAME is a service (web.shop), its bare name, or a hostname; without one all services are checked. The proxy need not
    run. The exit code is 1 where a service is down, has failed or is stopped, or where something else is wrong with it.
    A service whose exposure is allowed in the registry never counts as exposed for the exit code, and one that a
    request starts never as stopped.
    """
    view = load_context()
    services = _chosen(view, names)
    if history:
        from devproxy.cli.history import print_history

        print_history(view, services if names else None, as_json)
        return Exit.GOOD
    conditions = _check(view, services)
    if as_json:
        _print_json(view, services, conditions)
    elif services:
        print_report(services, conditions, notes=bool(names))
        remark_taken(view, services)
        remark_astray(services)
    else:
        remark("no services yet; give one a name: devproxy add web 5173 (or, in a project's folder: devproxy link)")
    if watch:
        from devproxy.cli.history import watch as follow

        follow(view, services, as_json)
    bad = any(is_bad(condition, fail_on) for condition in conditions.values())
    return Exit.BAD_NEWS if bad else Exit.GOOD


def is_bad(condition: Condition, words: frozenset[str]) -> bool:
    """Whether anything about it is among `words`; what the registry allows, or starts on request, is not."""
    codes = {finding.code for finding in condition.findings if finding.code != "exposed" or finding.severity != "note"}
    return bool(words & {condition.word, *codes})


def _chosen(view: CommandContext, names: tuple[str, ...]) -> Sequence[Service]:
    if not names:
        return view.registry.services
    found = (find_service_here(view.registry, name).service for name in names)
    return list({one.id: one for one in found}.values())


def _check(view: CommandContext, services: Sequence[Service]) -> Mapping[str, Condition]:
    import asyncio

    from devproxy.daemon.runtime import read_health, watched
    from devproxy.health.findings import with_answers
    from devproxy.health.one_shot import check_once
    from devproxy.health.runs import command_runs, read_runs

    known = read_health(view.paths)
    own = view.running.own_ports if view.running else ()
    owners, runs = known.owners if known else None, command_runs(read_runs(view.paths))
    found = asyncio.run(check_once(view.registry, services, own_ports=own, owners=owners, runs=runs))
    seen = watched(view.paths, view.running)
    return found if seen is None else with_answers(found, seen.services)


def _print_json(view: CommandContext, services: Sequence[Service], conditions: Mapping[str, Condition]) -> None:
    from devproxy.serializers import service_rows

    wanted = {service.id for service in services}
    print_json([row for row in service_rows(view.registry, view.ports, conditions) if row["id"] in wanted])


COLOURS = {
    "up": "green",
    "running": "yellow",
    "done": "green",
    "starting": "yellow",
    "ending": "yellow",
    "down": "red",
    "failed": "red",
    "stopped": "yellow",
    "unknown": "yellow",
    "on-request": None,
}
LOG_LINES = 5  # of a command that has failed
SEVERITY_COLOURS = {"error": "red", "warning": "yellow", "note": "blue"}
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
        spacious = bool(findings) or condition.state == "failed"
        told = about(condition) if service.serves else condition.why  # what listens nowhere, nobody can reach
        say(safe(f"{service.id.ljust(width)}  {condition.word.ljust(widest)}  {told}"), fg=COLOURS[condition.word])
        if condition.run is not None and condition.state == "failed":
            _print_run(service, condition.run)
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


def _print_run(service: Service, run: CommandRun) -> None:
    """How its command ended: the last lines of its log, and what to type once that is mended."""
    if run.restarts:
        _print_lines("restarts", [str(run.restarts)])
    for line in run.lines[-LOG_LINES:]:
        say(f"  {'log':<9}{line}", dim=True)
    _print_lines("fix", [f"mend that, then: {devproxy_command('up', service.id)}"])


def _print_finding(finding: Finding) -> None:
    _print_lines(finding.code, [finding.message], fg=SEVERITY_COLOURS[finding.severity], bold=True)
    for label, text in (("proof", finding.proof), ("who", finding.who), ("fix", finding.fix), ("run", finding.command)):
        if text:
            _print_lines(label, [text])


def _print_lines(label: str, texts: Iterable[str], **style: object) -> None:
    """`label` and the text beside it; on a terminal folded, but for a command, which gets copied."""
    for text in map(safe, texts):
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
    good = not exposed and all(
        condition.state in {"up", "running", "done"} or condition.dormant for condition in conditions
    )
    remark("")
    remark(f"{plural(len(conditions), 'service')}: {', '.join(parts)}", fg="green" if good else "yellow")


def _count(conditions: Sequence[Condition], state: str) -> str:
    number = sum(condition.word == state for condition in conditions)
    return f"{number} {state}" if number else ""
