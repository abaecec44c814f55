"""`devproxy up`: a project's services, in the order of what they depend on.

Lives here: what is started, what is said before, and the way into the background.
Not here: running them (`devproxy/run/group.py`, `run/group_process.py`). Commands of a file are run because somebody
typed `devproxy up`: a project file that is not linked yet is linked here, and its commands shown. `--on-request` is
what the proxy starts where nobody typed anything: it runs trusted commands alone.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from devproxy.cli.arguments import complete_service, declared_by, services_meant
from devproxy.cli.context import load_context, remark_taken
from devproxy.cli.output import Prefixed, print_table, remark, say
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths, nearest_project
from devproxy.registry.loader import read
from devproxy.registry.model import Registry, Service
from devproxy.text import devproxy_command, safe
from devproxy.urls import Ports

if TYPE_CHECKING:
    from devproxy.run.group_state import MemberState


@click.command("up")
@click.argument("names", nargs=-1, metavar="[SERVICE...]", shell_complete=complete_service)
@click.option("--detach", "-d", is_flag=True, help="Run them in the background; return once they are healthy.")
@click.option("--group", is_flag=True, hidden=True, help="The process that `--detach` starts.")
@click.option("--on-request", is_flag=True, hidden=True, help="The process that the proxy starts: SERVICE is an id.")
def command(names: tuple[str, ...], detach: bool, group: bool, on_request: bool) -> int:
    """Run a project's services.

    All of them, or SERVICE and what it depends on; each when its dependencies are healthy. What runs already is left
    alone, and, unless it is named, what starts at its first request. Ctrl-C ends those that this command started, in
    reverse order.
    """
    _refuse_windows()
    paths = Paths.from_environment()
    if on_request:
        return _keep_for_requests(paths, names)
    registry = None if group else _link_if_new(paths)
    if detach:
        return start_in_background(paths, names, registry)
    from devproxy.run.group_state import start_lock

    with nullcontext() if group else start_lock(paths):  # whoever starts a group in the background has the lock for it
        plan = _take(paths, names, publish=True, registry=registry)
    settings = plan.registry.settings
    ports = _prepare(paths, plan) if not group else _proxy_ports(paths, plan) if plan.todo else None
    if ports is None:
        return Exit.GOOD
    from devproxy.run.group_process import OWN, run_group

    show = None
    if not group:
        _announce(plan.todo, ports)
        show = Prefixed([OWN, *(service.id for service in plan.todo)]).line
    return run_group(paths, plan.todo, plan.outside, ports=ports, show=show, settings=settings)


def _keep_for_requests(paths: Paths, ids: Sequence[str]) -> int:
    """Run what the proxy asks for; the proxy is there, and starts nothing else than what is trusted."""
    from devproxy.daemon.runtime import ports_for_urls, read_running
    from devproxy.run.group_process import run_group
    from devproxy.run.group_state import start_lock

    with start_lock(paths):
        plan = _take(paths, ids, publish=True, on_request=True)
    if not plan.todo:
        return Exit.GOOD
    settings = plan.registry.settings
    ports = ports_for_urls(paths, read_running(paths), settings)
    return run_group(paths, plan.todo, plan.outside, ports=ports, show=None, settings=settings, requested=ids)


def _refuse_windows() -> None:
    if sys.platform == "win32":
        raise DevproxyError(
            "devproxy up does not work on Windows yet",
            why="ending a command with all that it started is done with POSIX process groups",
            fix="start the services by themselves; their names lead to the ports of the registry",
        )


def _link_if_new(paths: Paths) -> Registry | None:
    """Take the project one stands in into the registry, if it is not there; the registry, if it was loaded for that."""
    from devproxy.cli.link import is_linked, take

    file = nearest_project(Path.cwd())
    if file is None:
        return None
    if is_linked(paths, file):
        registry = read(paths)  # the only load before a service starts: whether the link gives any, and the plan
        if declared_by(registry, file):
            return registry
    project, registry = take(paths, file)  # which loads the registry to validate the link: the plan is made of that
    remark(safe(f"`{project}` is linked now: {file}"))
    return registry


class UpPlan(NamedTuple):
    """What is to be started, in order; what that depends on and is not started here (it runs already, or
    has no command); what is left to its first request."""

    registry: Registry
    todo: list[Service]
    outside: list[Service]
    left: list[Service]


def _take(
    paths: Paths, names: Sequence[str], *, publish: bool, on_request: bool = False, registry: Registry | None = None
) -> UpPlan:
    """What is to be done, under `start_lock`; with `publish`, what is to be started is this process's from now on.

    `registry` where it has just been loaded: who runs what is read here in any case.
    """
    from devproxy.run import group_state
    from devproxy.run.activation import refuse_untrusted

    registry = registry or read(paths)
    if on_request:
        meant = [service for service in registry.services if service.id in names]
    else:
        meant = services_meant(registry, names, Path.cwd())
    plan = _plan(paths, registry, meant, named=bool(names))
    if on_request:
        refuse_untrusted(plan.todo)
    if plan.todo and publish:
        group_state.expect_requests(paths)
        group_state.publish(paths, {one.id: group_state.MemberState("waiting", one.command_line) for one in plan.todo})
    return plan


def _prepare(paths: Paths, plan: UpPlan) -> Ports | None:
    """What is said before anything starts; the ports of the proxy, which runs now; None where nothing is to start."""
    from devproxy.cli.link import remark_without_main

    if not (plan.todo or plan.left):
        return None
    remark_without_main(plan.todo, plan.registry)
    ports = _proxy_ports(paths, plan)
    _tell_left(plan.left, ports)
    return ports if plan.todo else None


def _plan(paths: Paths, registry: Registry, meant: Sequence[Service], *, named: bool) -> UpPlan:
    from devproxy.run.group import in_order

    running = _running(paths)
    if named:
        running -= {service.id for service in meant if service.kind == "task" and service.id not in _leased(paths)}
    left = [] if named else [one for one in meant if one.awaits_requests and one.id not in running]
    everything = in_order(registry.services, [service.id for service in meant if service not in left])
    left = [service for service in left if service not in everything]
    todo = [service for service in everything if service.command is not None and service.id not in running]
    outside = [service for service in everything if service not in todo]
    for service in outside:
        if service.id in running:
            _tell_running(paths, service)
        elif service in meant:
            remark(f"`{service.id}` has no command: it is not started here")
    if meant and not (todo or left or running & {service.id for service in everything}):
        raise _commandless(meant[0])
    return UpPlan(registry, todo, outside, left)


def _running(paths: Paths) -> set[str]:
    """The services that run, or that another `up` is about to start; and the tasks that one that runs has done."""
    from devproxy.run.group_state import OVER, read_groups

    found = _leased(paths)
    for group in read_groups(paths):
        found |= {name for name, part in group.services.items() if part.state not in OVER or part.state == "done"}
    return found


def _leased(paths: Paths) -> set[str]:
    from devproxy.registry.leases import read_leases

    return {lease.service for lease in read_leases(paths)}


def _commandless(service: Service) -> DevproxyError:
    return DevproxyError(
        "none of these services has a command",
        why="a command tells how a service is started",
        fix='add it to its table: command = "npm run dev"',
        where=service.source.where,
    )


def _tell_left(left: Sequence[Service], ports: Ports) -> None:
    from devproxy.registry.resolve import trust_command
    from devproxy.urls import service_url

    for service in left:
        url = service_url(service, ports) or "it has no name of its own"
        if service.trusted:
            say(f"`{service.id}` starts at its first {service.asked_by}: {url}")
        else:
            trust = trust_command(service.source.file)
            say(f"`{service.id}` starts at its first {service.asked_by}, once its commands are trusted: {trust}")


def _tell_running(paths: Paths, service: Service) -> None:
    from devproxy.run.group_state import group_of

    group = group_of(paths, service.id)
    member = group.services[service.id] if group is not None else None
    if member is not None and member.state == "ending":
        remark(f"`{service.id}` is ending; once it has: {devproxy_command('up', service.id)}", fg="yellow")
        return
    say(f"`{service.id}` {'is done' if member is not None and member.state == 'done' else 'runs'} already")
    old = member.command if member is not None else None
    if old is not None and service.command is not None and old != service.command_line:
        end = devproxy_command("down", service.id)
        remark(f"its command has changed since; to take the new one: {end}", fg="yellow")


def _proxy_ports(paths: Paths, plan: UpPlan) -> Ports:
    """The ports of the proxy, which is started if none runs; where it is not, those that it would take, and what it
    does beside forwarding is done for it."""
    from devproxy.cli.start import ensure_proxy
    from devproxy.daemon.runtime import ports_for_urls

    settings = plan.registry.settings
    running = ensure_proxy(paths, settings)
    ports = ports_for_urls(paths, running, settings)
    if running is None:
        _write_env_files(plan, ports)
    return ports


def _write_env_files(plan: UpPlan, ports: Ports) -> None:
    """What the proxy does while it runs: bring the files up to date in which projects want variables (`write_env`)."""
    from devproxy.variables.env_file import write_env_file

    projects = {service.project for service in plan.todo}
    for file in plan.registry.env_files:
        if file.project in projects:
            try:
                write_env_file(file, plan.registry, ports)
            except DevproxyError as error:
                remark(str(error), fg="yellow")


def _announce(services: Sequence[Service], ports: Ports) -> None:
    from devproxy.urls import service_url

    rows = [(service.id, service_url(service, ports) or "-", safe(service.command_line)) for service in services]
    print_table(("NAME", "URL", "COMMAND"), rows)


def start_in_background(paths: Paths, names: Sequence[str], registry: Registry | None = None) -> int:
    """Start a group that outlives us, and wait until each of its services is healthy or has failed; the exit code.

    Nobody else starts or ends anything meanwhile, until the group has said what it runs: `down` must not miss it.
    """
    from devproxy.run.detach import launch_group
    from devproxy.run.group_state import start_lock
    from devproxy.run.logs import time_stamp

    began = time_stamp()
    with ExitStack() as turn:
        turn.enter_context(start_lock(paths))
        plan = _take(paths, names, publish=False, registry=registry)
        ports = _prepare(paths, plan)
        if ports is None:
            return Exit.GOOD
        todo = {one.id: one for one in plan.todo}
        states = launch_group(paths, list(todo), remark, todo, published=turn.close)
    return tell_states(paths, states, ports, began)


def tell_states(paths: Paths, states: Mapping[str, "MemberState"], ports: Ports, began: str) -> int:
    """A table of what came of services; of those that are not well why, and their last lines. The exit code.

    What stands in a log from before `began` (as its lines have the time) is another run's, and is not shown.
    """
    from devproxy.run.group_state import ASKED_TO_END
    from devproxy.urls import service_url

    registry = read(paths)  # again: the URL of a TCP service has the port that it has got meanwhile
    urls = {service.id: service_url(service, ports) for service in registry.services}
    view = load_context(registry)
    conditions = view.conditions()  # in the words of `ls`
    words = {name: conditions[name].word if name in conditions else one.state for name, one in states.items()}
    print_table(("NAME", "STATE", "URL"), [(name, word, urls.get(name, "")) for name, word in words.items()])
    bad = {name: one for name, one in states.items() if one.state not in {"up", "done", "ended"}}
    by_themselves = [name for name, one in states.items() if one.state == "ended" and one.why not in {"", ASKED_TO_END}]
    for name in by_themselves:
        remark(f"`{name}` is not up: {states[name].why}", fg="yellow")
    if bad:
        _show_tails(paths, bad, began)
    remark_taken(view, [service for service in registry.services if service.id in states])
    return Exit.BAD_NEWS if bad or by_themselves else Exit.GOOD


def _show_tails(paths: Paths, states: Mapping[str, "MemberState"], began: str) -> None:
    from devproxy.run.logs import last, plain

    for name, state in states.items():
        why = f", {state.why}" if state.why else ""
        logs = devproxy_command("logs", name)
        lines = [plain(entry.text) for entry in last(paths, name, 15) if entry.time >= began]
        shown = f"its last lines (more: {logs}):" if lines else f"what it printed: {logs}"
        remark(f"`{name}` is not healthy{why}; {shown}", fg="yellow")
        for line in lines:
            remark(f"  | {line}")
