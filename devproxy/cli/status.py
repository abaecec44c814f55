"""`devproxy status`: whether the proxy runs, where, and whether all is well with it.

Not here: the state of services (`ls`). Exit code 3 says that it does not run.
"""

from typing import Any

import click

from devproxy import __version__
from devproxy.build import own_build, own_version, version_and_build
from devproxy.cli.context import START, CommandContext, load_context, remark_problems
from devproxy.cli.output import aligned, print_json, remark, say
from devproxy.daemon.runtime import watched
from devproxy.errors import Exit
from devproxy.text import plural
from devproxy.urls import control_url

_COUNTED = ("up", "down", "failed")  # said also where there is none


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(as_json: bool) -> int:
    """Say whether the proxy runs, and on which ports. Exit code 3: it does not."""
    view = load_context()
    facts = status(view)
    if as_json:
        print_json(facts)
    else:
        _print(view, facts)
        _remarks(view)
    return Exit.GOOD if view.running else Exit.NOT_RUNNING


def status(view: CommandContext) -> dict[str, Any]:
    """The facts as JSON: `started` in seconds since 1970, ports as the proxy really has them (null: none); `version`
    and `build` are the running proxy's, and `command` has those of this command."""
    from devproxy.serializers import problem_row

    running = view.running
    services = view.registry.services
    found = dict.fromkeys([*view.registry.problems, *(running.problems if running else ())])
    http = [service for service in services if service.protocol == "http"]
    return {
        "running": running is not None,
        "pid": running.pid if running else None,
        "started": running.started if running else None,
        "version": running.version if running else None,
        "build": (running.build or None) if running else None,
        "command": {"version": __version__, "build": own_build()},
        "http": running.http if running else None,
        "https": running.https if running else None,
        "protocols": list(running.protocols) if running and running.https else [],
        "url_scheme": view.ports.scheme,
        "services": len(services),
        **_health(view),
        "routes": sum(len(service.hosts) + len(service.mounts) for service in http),
        "registry": str(view.paths.registry),
        "problems": [problem_row(problem) for problem in found],
    }


def _health(view: CommandContext) -> dict[str, Any]:
    """How many services are in each state, and exposed, as the running proxy knows; null without one."""
    if watched(view.paths, view.running) is None:
        return dict.fromkeys((*_COUNTED, "exposed", "states"))
    conditions = view.conditions()
    states = [condition.word for condition in conditions.values()]
    exposed = sum(condition.exposure == "exposed" for condition in conditions.values())
    found = {word: states.count(word) for word in _COUNTED}
    return {**found, "exposed": exposed, "states": {word: states.count(word) for word in sorted(set(states))}}


def _print(view: CommandContext, facts: dict[str, Any]) -> None:
    lines = [("proxy", "not running")]
    if facts["running"]:
        lines = [
            ("proxy", f"running (pid {facts['pid']}), version {version_and_build(facts['version'], facts['build'])}"),
            ("since", _since(facts["started"])),
            ("http", f"port {facts['http']} on this machine only" if facts["http"] else "off"),
            ("https", f"port {facts['https']} on this machine only{_spoken(facts)}" if facts["https"] else "off"),
        ]
    if facts["http"]:
        lines.append(("pages", control_url(view.registry.settings.tlds, view.ports)))
    lines.append(("command", f"version {own_version()}"))
    lines.append(("services", f"{facts['services']}, reached by {plural(facts['routes'], 'route')}"))
    if facts["up"] is not None:
        others = {word: number for word, number in facts["states"].items() if word not in _COUNTED}
        counted = {**{word: facts[word] for word in _COUNTED}, **others, "exposed": facts["exposed"]}
        lines.append(("health", ", ".join(f"{number} {word}" for word, number in counted.items())))
    lines.append(("registry", facts["registry"]))
    for line in aligned(lines):
        say(line)


def _spoken(facts: dict[str, Any]) -> str:
    return "" if "h2" in facts["protocols"] else ", without HTTP/2 (the library ngh2 cannot be imported)"


def _remarks(view: CommandContext) -> None:
    if view.running is None:
        remark(f"start it: {START}")
    elif version_and_build(view.running.version, view.running.build) != own_version():
        remark(f"this command is version {own_version()}: restart the proxy to run the same", fg="yellow")
    remark_problems(dict.fromkeys([*view.registry.problems, *(view.running.problems if view.running else ())]))


def _since(started: float) -> str:
    """When, and how long ago."""
    import time

    ago = max(0, int(time.time() - started))
    units = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((pair for pair in units if ago >= pair[0]), units[-1])
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started))
    return f"{moment} ({plural(ago // size, unit)} ago)"
