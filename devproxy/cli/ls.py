"""`devproxy ls`: every service and where it is reached.

Lives here: how the services look as a table.
Not here: the shape of `--json` (`devproxy/serializers.py`, which the API shares).
"""

from typing import TYPE_CHECKING

import click

from devproxy.cli.context import CommandContext, load_context, remark_problems, remark_stopped
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
    "exposed": "red",
}


@click.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of objects, one a service.")
def command(as_json: bool) -> None:
    """List the services and where each is reached."""
    view = load_context()
    if as_json:
        from devproxy.serializers import service_rows

        print_json(service_rows(view.registry, view.ports, view.conditions()))
        return
    if view.registry.services:
        conditions = view.conditions()
        print_table(HEADINGS, [_row(view, service, conditions) for service in view.registry.services], COLOURS)
        _remark_changes(view.registry.services)
        if for_person():
            _remark_exposed(conditions)
            remark_stopped(view)
    elif not view.registry.problems:
        remark("no services yet; give one a name: devproxy add web 5173 (or, in a project's folder: devproxy link)")
    if view.problems:
        remark("")
        remark_problems(view.problems)


def _row(view: CommandContext, service: "Service", conditions: "Mapping[str, Condition]") -> tuple[str, ...]:
    """One service; on a terminal its URL cell holds the other addresses too, one a line."""
    upstream = safe(short(service.upstream)) if service.upstream else "no port yet" if service.serves else service.kind
    condition = conditions.get(service.id)
    state, exposure = (condition.word, condition.exposure) if condition else ("unknown", "unknown")
    return (service.id, "\n".join(_addresses(view, service)), upstream, state, exposure)


def _remark_changes(services: "Sequence[Service]") -> None:
    """Say on stderr which fields do not pass as they are, since the registry says so."""
    from devproxy.serializers import field_changes

    for service in services:
        for line in field_changes(service):
            remark(f"{service.id} {line}")


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
