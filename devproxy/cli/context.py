"""What the read commands look at: the registry as the files say it now, and the proxy if it runs.

Lives here: reading both, the URL of a service as it works right now, and how open problems are told.
Not here: what each command makes of it. Reading never needs the proxy, and never writes.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from devproxy.cli.output import remark
from devproxy.daemon.runtime import HealthReport, Running, ports_for_urls, read_running, waiting, watched
from devproxy.health.model import CommandRun, Condition, WaitingRequests
from devproxy.paths import Paths
from devproxy.problems import OF_RUNNING, PORT_TAKEN, Problem
from devproxy.registry.loader import read
from devproxy.registry.model import Registry, Service
from devproxy.text import devproxy_command
from devproxy.urls import Ports, mount_url, service_url

MAX_PROBLEMS = 10
START = "devproxy start"


class CommandContext(msgspec.Struct, frozen=True):
    """The registry, the running proxy or None, and the ports that URLs bear."""

    paths: Paths
    registry: Registry
    running: Running | None
    ports: Ports

    def url(self, service: Service, host: str = "") -> str:
        """`service`'s URL, at `host` instead of its first hostname if that is given."""
        return service_url(msgspec.structs.replace(service, hosts=(host,)) if host else service, self.ports)

    def conditions(self) -> Mapping[str, Condition]:
        """By service id, as of now: what the proxy's monitor knows as far as that is still so, else a look of our own.

        The monitor may not have seen yet what another command has just done or said.
        """
        from devproxy.health.runs import command_runs, read_runs
        from devproxy.health.socket_table import from_socket_table

        runs = command_runs(read_runs(self.paths))
        known = watched(self.paths, self.running)
        looked = from_socket_table(self.registry.services, runs)
        found = {} if known is None else _still_so(known, self.registry.services, runs, looked)
        anew = [service for service in self.registry.services if service.id not in found]
        unclear = [service for service in anew if _has_to_be_asked(service, looked)]
        return {**looked, **found, **_ask(self.registry, unclear, looked)}

    def waiting(self) -> Mapping[str, WaitingRequests]:
        """By service id, requests that have waited long for an answer, as the running proxy knows."""
        return waiting(self.paths, self.running)

    @property
    def problems(self) -> list[Problem]:
        """Those of the files as they are now, and those that only the running proxy has met."""
        running = self.running.problems if self.running else ()
        return [*self.registry.problems, *(problem for problem in running if problem.code in OF_RUNNING)]

    def mount_urls(self, service: Service) -> list[str]:
        return [mount_url(mount, self.ports) for mount in service.mounts]


def load_context(registry: Registry | None = None) -> CommandContext:
    """Both, now; `registry` where it has just been loaded.

    While a file has an error, the services are those the running proxy has kept.
    """
    paths = Paths.from_environment()
    registry, running = registry or read(paths), read_running(paths)  # the one load of a command that reads
    if running is not None and running.in_force is not None and registry.has_errors:
        registry = msgspec.structs.replace(running.in_force, problems=registry.problems)
    return CommandContext(paths, registry, running, ports_for_urls(paths, running, registry.settings))


def _still_so(
    known: HealthReport,
    services: Iterable[Service],
    runs: Mapping[str, CommandRun],
    looked: Mapping[str, Condition],
) -> dict[str, Condition]:
    """What the monitor knew, of those services whose upstream, command and listeners are as they were then."""
    found = {}
    for service in services:
        condition, now = known.services.get(service.id), looked.get(service.id)
        upstream = service.upstream.text if service.upstream else ""
        if condition is None or known.upstreams.get(service.id, upstream) != upstream:
            continue
        if condition.run != runs.get(service.id) or (condition.state == "unknown" and not condition.since):
            continue
        if now is None or _places(condition) == _places(now):
            found[service.id] = condition
    return found


def _places(condition: Condition) -> set[tuple[str, int]]:
    return {(one.address, one.port) for one in condition.listeners}


def _has_to_be_asked(service: Service, looked: Mapping[str, Condition]) -> bool:
    """Whether the socket table does not tell how it is."""
    upstream, condition = service.upstream, looked.get(service.id)
    if upstream is None or condition is None:
        return False
    return bool(upstream.path) or (service.health.path is not None and condition.state == "up")


def _ask(registry: Registry, services: Sequence[Service], looked: Mapping[str, Condition]) -> Mapping[str, Condition]:
    if not services:
        return {}
    import asyncio

    from devproxy.health.one_shot import ask_once

    return asyncio.run(ask_once(registry, services, looked))


def remark_stopped(view: CommandContext) -> None:
    """Say on stderr that URLs do not answer yet, if they do not."""
    if view.running is None:
        remark(f"the proxy is not running; start it: {START}", fg="yellow")


def remark_left(paths: Paths, names: Iterable[str]) -> None:
    """Say on stderr which services go on under a name that has just been taken out of the registry; `names` are theirs
    (`web`), or those of their projects (`fix-ui.shop`)."""
    from devproxy.registry.leases import read_leases

    names = set(names)
    left = [one.service for one in read_leases(paths) if {one.service, one.service.partition(".")[2]} & names]
    if left:
        services = ", ".join(f"`{name}`" for name in left)
        verb = "still runs" if len(left) == 1 else "still run"
        remark(f"{services} {verb}, under a name that is linked no more; to end: {devproxy_command('down', *left)}")


def remark_astray(services: Iterable[Service]) -> None:
    """Say on stderr that a name does not lead to the address that its service alone has, if one does not."""
    own = [service for service in services if service.listen is not None and service.listen.own]
    if not own:
        return
    from devproxy.net.hosts_file import own_lines
    from devproxy.net.name_lookup import astray

    wrong = astray(own_lines(own))
    if wrong is not None:
        remark(f"{wrong.text}; tell the system so: devproxy hosts --apply", fg="yellow")


def remark_taken(view: CommandContext, services: Iterable[Service]) -> None:
    """Say on stderr where another program has the address of one of these, and who: clients reach that one."""
    places = {(service.source.file, service.name) for service in services}
    remark_problems(one for one in view.problems if one.code == PORT_TAKEN and (one.file, one.service) in places)


def remark_problems(problems: Iterable[Problem]) -> None:
    """The open problems on stderr, the first ten in full."""
    problems = list(problems)
    for problem in problems[:MAX_PROBLEMS]:
        remark(problem.text(), fg="red" if problem.severity == "error" else "yellow")
    if len(problems) > MAX_PROBLEMS:
        remark(f"… and {len(problems) - MAX_PROBLEMS} more: devproxy check")
