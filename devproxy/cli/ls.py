"""`devproxy ls`: every service and where it is reached.

Lives here: how the services look as a table.
Not here: the shape of `--json` (`devproxy/serializers.py`, which the API shares).
"""

from typing import TYPE_CHECKING

import click

from devproxy.cli.context import CommandContext, load_context, remark_astray, remark_problems, remark_stopped
from devproxy.cli.output import for_person, print_json, print_table, remark
from devproxy.text import devproxy_command, plural, safe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from devproxy.health.model import Condition
    from devproxy.registry.model import Service, Upstream

HEADINGS = ("NAME", "URL", "UPSTREAM", "STATE", "EXPOSURE")
COLOURS = {
    "up": "green",
    "done": "green",
    "running": "yellow",
    "down": "red",
    "failed": "red",
    "stopped": "yellow",
    "starting": "yellow",
    "ending": "yellow",
    "exposed": "red",
}


@click.command("ls")
@click.option("--all", "-a", "everything", is_flag=True, help="In a project's folder: those of all others, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects, one a service; always of all.")
def command(everything: bool, as_json: bool) -> None:
    """List the services and where each is reached: those of the project one stands in first, alone without --all."""
    view = load_context()
    if as_json:
        from devproxy.serializers import service_rows

        print_json(service_rows(view.registry, view.ports, view.conditions(), view.waiting()))
        return
    if view.registry.services:
        own, others = _parted(view.registry.services)
        shown = [*own, *others] if everything or not own else own
        known = view.conditions()
        conditions = {service.id: known[service.id] for service in shown if service.id in known}
        print_table(HEADINGS, [_row(view, service, conditions) for service in shown], COLOURS)
        _remark_changes(shown)
        _remark_waiting(view)
        remark_astray(shown)
        if for_person():
            if len(shown) < len(view.registry.services):
                remark(f"… and {plural(len(others), 'service')} elsewhere: devproxy ls --all")
            _remark_exposed(conditions)
            remark_stopped(view)
    elif not view.registry.problems:
        remark("no services yet; give one a name: devproxy add web 5173 (or, in a project's folder: devproxy link)")
    if view.problems:
        remark("")
        remark_problems(view.problems)


def _portless(service: "Service") -> str:
    """What stands in the place of an address: a command gets a port when it is started."""
    return service.kind if not service.serves else "-" if service.command is not None else "no port yet"


def _parted(services: "Sequence[Service]") -> "tuple[list[Service], list[Service]]":
    """Those of the project that one stands in, what `devproxy run` has added to it too, and all others."""
    from pathlib import Path

    from devproxy.cli.arguments import in_project
    from devproxy.paths import nearest_project

    file = nearest_project(Path.cwd())
    declared = in_project(services, file) if file is not None else []
    projects = {service.project for service in declared}
    own = [service for service in services if service in declared or service.project in projects]
    return own, [service for service in services if service not in own]


def _row(view: CommandContext, service: "Service", conditions: "Mapping[str, Condition]") -> tuple[str, ...]:
    """One service; on a terminal its URL cell holds the other addresses too, one a line."""
    upstream = safe(short(service.upstream)) if service.upstream else _portless(service)
    condition = conditions.get(service.id)
    state, exposure = (condition.word, condition.exposure) if condition else ("unknown", "unknown")
    return (service.id, "\n".join(_addresses(view, service)), upstream, state, exposure if service.serves else "-")


def _remark_changes(services: "Sequence[Service]") -> None:
    """Say on stderr which fields do not pass as they are, since the registry says so."""
    from devproxy.serializers import field_changes

    for service in services:
        for line in field_changes(service):
            remark(f"{service.id} {line}")


def _remark_waiting(view: CommandContext) -> None:
    """Say on stderr who keeps requests waiting."""
    import time

    for identity, wait in view.waiting().items():
        remark(wait.text(identity, time.time()), fg="yellow")


def _remark_exposed(conditions: "Mapping[str, Condition]") -> None:
    """Say on stderr what to do about services that others can reach."""
    exposed = [identity for identity, condition in conditions.items() if condition.exposure == "exposed"]
    if exposed:
        names = exposed if len(exposed) < 5 else []
        what = "this service" if len(exposed) == 1 else plural(len(exposed), "service")
        remark(f"others can reach {what}; who, and how to end it: {devproxy_command('health', *names)}", fg="red")


def _addresses(view: CommandContext, service: "Service") -> list[str]:
    if service.protocol == "tcp":
        return [view.url(service) or "-"]
    return [view.url(service, host) for host in service.hosts] + view.mount_urls(service) or ["-"]


def short(upstream: "Upstream") -> str:
    """An upstream without the scheme that goes without saying beside its URL."""
    return upstream.text.removeprefix("http://").removeprefix("tcp://")
