"""`devproxy up`: a project's services, in the order of what they depend on.

Lives here: what is started, what is said before, and the way into the background.
Not here: running them (`devproxy/run/crew.py`, `upkeep.py`). Commands of a file are run because somebody typed
`devproxy up`, and for no other reason: a project file that is not linked yet is linked here, and its commands shown.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from devproxy.cli.names import complete_service
from devproxy.cli.output import print_table, remark, say
from devproxy.cli.prefixed import Prefixed
from devproxy.cli.project import declared_by, nearest, services_meant
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths
from devproxy.registry.load import read
from devproxy.registry.model import Registry, Service


@click.command("up")
@click.argument("names", nargs=-1, metavar="[SERVICE...]", shell_complete=complete_service)
@click.option("--detach", "-d", is_flag=True, help="Run them in the background; return once they are healthy.")
@click.option("--crew", is_flag=True, hidden=True, help="The process that `--detach` starts.")
def command(names: tuple[str, ...], detach: bool, crew: bool) -> int:
    """Run a project's services.

    All of them, or SERVICE and what it depends on; each when its dependencies are healthy. What runs already is left
    alone. Ctrl-C ends those that this command started, in reverse order.
    """
    _refuse_windows()
    paths = Paths.from_environment()
    if not crew:
        _link_if_new(paths)
    registry, todo, besides = _take(paths, names, publish=not detach)
    if not todo:
        return Exit.GOOD
    port = _proxy_port(paths, registry.settings.autostart)
    if detach:
        return _detach(paths, [service.id for service in todo], port)
    from devproxy.run.upkeep import OWN, keep

    show = None
    if not crew:
        _announce(todo, port or registry.settings.http)
        show = Prefixed([OWN, *(service.id for service in todo)]).line
    return keep(paths, todo, besides, http_port=port, show=show, grace=registry.settings.grace)


def _refuse_windows() -> None:
    if sys.platform == "win32":
        raise DevproxyError(
            "devproxy up does not work on Windows yet",
            why="ending a command with all that it started is done with POSIX process groups",
            fix="start the services by themselves; their names lead to the ports of the registry",
        )


def _link_if_new(paths: Paths) -> None:
    """Take the project one stands in into the registry, if it is not there."""
    file = nearest(Path.cwd())
    if file is None or declared_by(read(paths), file):
        return
    from devproxy.cli.link import take

    remark(f"`{take(paths, file)}` is linked now: {file}")


def _take(paths: Paths, names: Sequence[str], *, publish: bool) -> tuple[Registry, list[Service], list[Service]]:
    """The registry and `_todo`; with `publish`, what is to be started is this process's from now on."""
    from devproxy.run import crewfile
    from devproxy.run.crew import shown

    with crewfile.turn(paths):
        registry = read(paths)
        todo, besides = _todo(paths, registry, services_meant(registry, names, Path.cwd()))
        if todo and publish:
            crewfile.publish(paths, {one.id: crewfile.Part("waiting", shown(one)) for one in todo})
    return registry, todo, besides


def _todo(paths: Paths, registry: Registry, meant: Sequence[Service]) -> tuple[list[Service], list[Service]]:
    """What is to be started, in order; and what else that depends on: it runs already, or has no command."""
    from devproxy.registry.leases import read_leases
    from devproxy.run.crewfile import OVER, crews
    from devproxy.run.order import in_order

    leased = {lease.service for lease in read_leases(paths)}
    for other in crews(paths):
        leased |= {name for name, part in other.services.items() if part.state not in OVER}
    everything = in_order(registry.services, [service.id for service in meant])
    todo = [service for service in everything if service.command is not None and service.id not in leased]
    besides = [service for service in everything if service not in todo]
    for service in besides:
        if service.id in leased:
            _tell_running(paths, service)
        elif service in meant:
            remark(f"`{service.id}` has no command: it is not started here")
    if not everything or not (todo or leased & {service.id for service in everything}):
        service = meant[0]
        raise DevproxyError(
            "none of these services has a command",
            why="a command tells how a service is started",
            fix='add it to its table: command = "npm run dev"',
            where=f"{service.source.file}:{service.source.line}",
        )
    return todo, besides


def _tell_running(paths: Paths, service: Service) -> None:
    from devproxy.run.crew import shown
    from devproxy.run.crewfile import crews

    say(f"`{service.id}` runs already")
    old = next((crew.services[service.id].command for crew in crews(paths) if service.id in crew.services), None)
    if old is not None and service.command is not None and old != shown(service):
        remark(f"its command has changed since; to take the new one: devproxy down {service.id}", fg="yellow")


def _proxy_port(paths: Paths, autostart: bool) -> int | None:
    """The port of the proxy, which is started if none runs; None, with a remark, where it may not or cannot be."""
    from devproxy.background import start
    from devproxy.running import read_running

    if not autostart and read_running(paths) is None:
        remark("the proxy is not running; start it: devproxy start", fg="yellow")
        return None
    try:
        launched = start(paths)
    except DevproxyError as error:
        remark(str(error), fg="yellow")
        return None
    if launched.is_new:
        remark(f"the proxy runs in the background now (pid {launched.running.pid}); to end it: devproxy stop")
    return launched.running.http


def _announce(services: Sequence[Service], port: int | None) -> None:
    from devproxy.listing import service_url
    from devproxy.run.crew import shown

    rows = [(service.id, service_url(service, port) or "-", shown(service)) for service in services]
    print_table(("NAME", "URL", "COMMAND"), rows)


def _detach(paths: Paths, names: list[str], port: int | None) -> int:
    """Start a crew that outlives us, and wait until each of its services is healthy or has failed."""
    from devproxy.listing import service_url
    from devproxy.run.detached import launch_crew

    parts = launch_crew(paths, names)
    registry = read(paths)
    urls = {service.id: service_url(service, port or registry.settings.http) for service in registry.services}
    print_table(("NAME", "STATE", "URL"), [(name, part.state, urls.get(name, "")) for name, part in parts.items()])
    bad = [name for name, part in parts.items() if part.state not in {"up", "ended"}]
    if bad:
        _show_tails(paths, bad)
    return Exit.BAD_NEWS if bad else Exit.GOOD


def _show_tails(paths: Paths, names: list[str]) -> None:
    from devproxy.run.lines import plain
    from devproxy.run.servicelog import last

    for name in names:
        remark(f"`{name}` is not healthy; its last lines (more: devproxy logs {name}):", fg="yellow")
        for entry in last(paths, name, 15):
            remark(f"  | {plain(entry.text)}")
