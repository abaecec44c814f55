"""`devproxy start`: the proxy in the background, or with names services.

Lives here: which `up` is asked to start a service once more, and what is left to a new one; the proxy that `up` and
`run` start on the way (`ensure_proxy`).
Not here: how they get there (`devproxy/daemon/control.py`, `up.py`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devproxy.cli.arguments import complete_service
from devproxy.cli.output import remark, say
from devproxy.cli.serve import port_options
from devproxy.errors import DevproxyError, Exit
from devproxy.text import devproxy_command

if TYPE_CHECKING:
    from devproxy.daemon.control import Launched
    from devproxy.daemon.runtime import Running
    from devproxy.paths import Paths
    from devproxy.registry.model import HttpsPort, Lease, ProxySettings
    from devproxy.run.group_state import Request


@click.command("start")
@click.argument("names", nargs=-1, metavar="[SERVICE...]", shell_complete=complete_service)
@port_options
def command(names: tuple[str, ...], http: int | None, https: "HttpsPort") -> int:
    """Run the proxy in the background, or SERVICE.

    Without SERVICE the proxy: it outlives this terminal, and takes connections when the command returns. If it runs
    already, all is well. SERVICE is started by the `devproxy up` that has it, where it has ended, else in the
    background with what it depends on.
    """
    from devproxy.daemon.control import start
    from devproxy.paths import Paths

    paths = Paths.from_environment()
    if names:
        return start_services(paths, names, "start")
    launched = start(paths, http=http, https=https)
    tell(launched)
    for scheme, port in (("http", http), ("https", https)):
        stays = getattr(launched.running, scheme) or "off"
        if not launched.is_new and port not in {None, 0, stays}:
            move = devproxy_command("restart", f"--{scheme}", str(port))
            where = f"on port {stays}" if isinstance(stays, int) else "without https"
            remark(f"it stays {where}; to move it: {move}", fg="yellow")
    if launched.is_new:
        remark(f"its log: {paths.proxy_log}")
    return Exit.GOOD


def ensure_proxy(paths: "Paths", settings: "ProxySettings") -> "Running | None":
    """The proxy that runs, which is started if none does; None, with a remark, where it may not or cannot be: what was
    asked for goes on all the same, and names lead to it later."""
    from devproxy.cli.context import START
    from devproxy.daemon.runtime import read_running

    running = read_running(paths)
    if running is not None:
        return running
    if not settings.autostart:
        remark(f"the proxy is not running; start it: {START}", fg="yellow")
        return None
    from devproxy.daemon.control import start

    try:
        launched = start(paths)
    except DevproxyError as error:
        remark(str(error), fg="yellow")
        return None
    if launched.is_new:
        remark(f"the proxy runs in the background now (pid {launched.running.pid}); to end it: devproxy stop")
    return launched.running


def start_services(paths: "Paths", names: Sequence[str], request: "Request") -> int:
    """Start or restart services, each where it is at home; the exit code of what came of it."""
    from devproxy.cli.arguments import services_meant
    from devproxy.cli.up import start_in_background, tell_states
    from devproxy.daemon.runtime import ports_for_urls, read_running
    from devproxy.registry.leases import read_leases
    from devproxy.registry.loader import read
    from devproxy.run.detach import wait_settled
    from devproxy.run.group_state import OVER, ask, group_of
    from devproxy.run.logs import time_stamp

    registry = read(paths)
    services = {service.id: service for service in services_meant(registry, names, Path.cwd())}
    began = time_stamp()
    alone = {lease.service: lease for lease in read_leases(paths)}
    asked: dict[str, int] = {}
    others: list[str] = []
    for name in list(services):
        group = group_of(paths, name)
        is_over = group is None or group.services[name].state in OVER
        if group is None or (is_over and name in alone):
            if request == "restart" and name in alone:
                raise _runs_by_itself(alone[name])
            others.append(name)
        elif request == "start" and not is_over:
            is_ending = group.services[name].state == "ending"
            say(f"`{name}` {'is ending: start it once it has' if is_ending else 'runs already'}")
        else:
            asked[name] = group.services[name].starts
            ask(paths, group, request, [name])
    code: int = Exit.GOOD
    if asked:
        states = wait_settled(paths, asked, remark, services)
        code = tell_states(paths, states, ports_for_urls(paths, read_running(paths), registry.settings), began)
    return max(code, start_in_background(paths, others)) if others else code


def _runs_by_itself(lease: "Lease") -> DevproxyError:
    return DevproxyError(
        f"`{lease.service}` was started by `devproxy run`",
        why=f"process {lease.pid} has it, in a terminal of its own",
        fix="end it there with Ctrl-C, and start it again",
    )


def tell(launched: "Launched") -> None:
    """One line: it runs, as which process, and where its own pages are."""
    from devproxy.cli.context import load_context
    from devproxy.urls import control_url

    state = "started" if launched.is_new else "running already"
    view = load_context()
    pages = control_url(view.registry.settings.tlds, view.ports)
    say(f"{state} (pid {launched.running.pid}): {pages}")
