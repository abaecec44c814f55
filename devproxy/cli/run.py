"""`devproxy run`: one service in the foreground, with a port and a name.

Lives here: the command line, and what is said before the command has the terminal.
Not here: everything else (`devproxy/run/`). What devproxy says goes to stderr: stdout is the command's.
"""

import sys
from pathlib import Path
from typing import Any

import click

from devproxy.cli.arguments import complete_service
from devproxy.cli.output import remark
from devproxy.daemon.runtime import ports_for_urls, read_running
from devproxy.errors import DevproxyError, Exit
from devproxy.paths import Paths
from devproxy.registry.loader import read
from devproxy.registry.model import ProxySettings, Registry
from devproxy.text import devproxy_command
from devproxy.urls import Ports


class _WithCommand(click.Command):
    """A command whose line ends with another one, behind `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.meta["command"] = tuple(args[at + 1 :])
        words = [index for index, arg in enumerate(args[:at]) if not arg.startswith("-")]
        if len(words) > 1:
            second = words[1]
            typed = [*args[second:at], *args[at + 1 :]]  # options of the command's own among them
            raise DevproxyError(
                f"devproxy run: `{args[second]}` is one word too many",
                why="the command to run stands behind `--`",
                fix=devproxy_command("run", *args[:second], "--", *typed),
                exit_code=Exit.USAGE,
            )
        return super().parse_args(ctx, args[:at])


@click.command("run", cls=_WithCommand, options_metavar="[--force]")
@click.argument("name", required=False, shell_complete=complete_service, metavar="[NAME] [-- COMMAND...]")
@click.option("--force", is_flag=True, help="Take the name over from a process that has it.")
@click.pass_context
def command(ctx: click.Context, name: str | None, force: bool) -> int:
    """Run one service with a port and a name.

    NAME is a service of the registry, or a new name; without it, the one of this folder (where a linked project has
    several, they are listed). COMMAND is what to run,
    instead of the service's own. It gets the port as PORT, and its name leads there for as long as it runs. The proxy
    is started in the background if none runs. Inside of the very service that it names (a script of package.json that
    `devproxy up` starts) it is COMMAND, with the port that the service has.
    """
    argv: tuple[str, ...] = ctx.meta["command"]
    return _run(Paths.from_environment(), name, argv, force)


def _run(paths: Paths, name: str | None, argv: tuple[str, ...], force: bool) -> int:
    from devproxy.run.foreground import run
    from devproxy.run.launch import launch
    from devproxy.run.selection import select_service

    folder = Path.cwd()
    registry = read(paths)  # which service is meant; `launch` loads it once more, when it is this one's turn
    if sys.platform != "win32":
        _take_the_place(paths, registry, name, argv)
    named = select_service(name, folder, registry, has_command=bool(argv))
    ports = _proxy(paths, registry.settings)
    ready = launch(paths, named, folder=folder, ports=ports, argv=argv, force=force)
    _announce(ready, ports)
    return run(paths, ready, notify=lambda text: remark(text, fg="yellow"))


def _take_the_place(paths: Paths, registry: Registry, name: str | None, argv: tuple[str, ...]) -> None:
    """Become the command if the service that is meant runs already, and we are a part of it; else return."""
    from devproxy.run.command import prepare, with_certificates
    from devproxy.run.nested import execute, given_port, own_leases, refuse_endless
    from devproxy.run.selection import select_service

    leases = own_leases(paths)
    if not leases:
        return
    identity = leases[0].service if name is None else select_service(name, Path.cwd(), registry).id
    lease = next((one for one in leases if one.service == identity), None)
    service = next((one for one in registry.services if one.id == identity), None)
    if lease is None or service is None:
        return
    refuse_endless(lease, argv)
    ports = ports_for_urls(paths, read_running(paths), registry.settings)
    prepared = prepare(service, port=given_port(lease), registry=registry, ports=ports, argv=argv)
    prepared = with_certificates(prepared, service, paths, ports)
    for note in prepared.notes:
        remark(note)
    execute(prepared)


def _proxy(paths: Paths, settings: ProxySettings) -> Ports:
    """The ports of the proxy, started if none runs; those it would take where it does not start."""
    from devproxy.cli.start import ensure_proxy

    return ports_for_urls(paths, ensure_proxy(paths, settings), settings)


def _announce(ready: Any, ports: Ports) -> None:
    from devproxy.urls import service_url

    for note in ready.prepared.notes:
        remark(note)
    url = service_url(ready.service, ports) or ready.service.id
    where = f"port {ready.lease.port}" if ready.service.serves else f"a {ready.service.kind}, which listens nowhere"
    remark(f"{url} → {where}", bold=True)
