"""NAME on the command line: a service id (`web.shop`), a bare name where it is unique or in its project's
folder (`web`), or a hostname.

Lives here: finding the service that a person means, and completing names in a shell; which services `up`, `down` and
`logs` mean: those of the project one stands in, or the ones that are named.
Not here: what a hostname routes to, paths and all (`routing/table.py`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from devproxy.errors import DevproxyError, Exit
from devproxy.paths import PROJECT_FILE, nearest_project
from devproxy.registry.model import Project, Registry, Service
from devproxy.text import devproxy_command, did_you_mean, listed, near_words, plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from devproxy.problems import Problem
    from devproxy.registry.model import Registry, Service

    Items = list[CompletionItem[Any]]


class FoundService(NamedTuple):
    """A service, and the hostname it was asked for by (its first one where it was asked for by name)."""

    service: "Service"
    host: str


def find_service(registry: "Registry", name: str, own: "Sequence[Service]" = ()) -> FoundService:
    """The service that `name` means; `own` are those of the project at hand: a bare name is theirs first, and hints
    stay among them if they can.

    Raises DevproxyError: nothing is called so (with near-misses), or several services are (it lists them).
    """
    wanted = name.lower().rstrip(".")
    for service in own:
        if service.name == wanted:
            return _found(service)
    for service in registry.services:
        if service.id == wanted:
            return _found(service)
    bare = [service for service in registry.services if service.name == wanted]
    if len(bare) == 1:
        return _found(bare[0])
    if bare:
        raise DevproxyError(
            f"`{name}` is the name of {plural(len(bare), 'service')}",
            fix="say which: " + ", ".join(service.id for service in bare),
        )
    for host in (wanted, *(f"{wanted}.{tld}" for tld in registry.settings.tlds)):
        if holder := _holder(registry, host):
            return FoundService(holder, host)
    raise _unknown(registry, name, own)


def find_service_here(registry: "Registry", name: str) -> FoundService:
    """The same for who stands in the current folder."""
    file = nearest_project(Path.cwd())
    return find_service(registry, name, in_project(registry.services, file) if file is not None else ())


def _found(service: "Service") -> FoundService:
    return FoundService(service, service.hosts[0] if service.hosts else "")


def _holder(registry: "Registry", host: str) -> "Service | None":
    """The service that answers at `host`: an exact hostname beats a wildcard, a longer wildcard a shorter one."""
    fitting = [
        (not pattern.startswith("*."), len(pattern), service)
        for service in registry.services
        for pattern in service.hosts
        if _matches(pattern, host)
    ]
    return max(fitting, key=lambda match: match[:2])[2] if fitting else None


def _matches(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) and host != pattern[2:] if pattern.startswith("*.") else host == pattern


def _unknown(registry: "Registry", name: str, own: "Sequence[Service]") -> DevproxyError:
    for problem in registry.problems:
        if problem.severity == "error" and _is_about(problem, name.lower(), registry):
            what = f"`{name}` is left out, for an error in its file: {problem.message}"
            return DevproxyError(what, why=problem.why, fix=problem.fix, where=problem.where)
    if own:
        mine = [service.name for service in own]
        close = near_words(name, mine)
        fix = did_you_mean(close) if close else f"this project has {listed(mine)}; all there are: devproxy ls --all"
        return DevproxyError(f"nothing is called `{name}`", fix=fix)
    services = registry.services
    if not services:
        return DevproxyError(
            f"nothing is called `{name}`",
            why="no service is registered yet",
            fix=f"{devproxy_command('add', name, 'PORT')} (or, in a project's folder, devproxy link)",
        )
    names = {alias: service.id for service in services for alias in (service.name, *service.hosts, service.id)}
    near = dict.fromkeys(names[alias] for alias in near_words(name, names))
    if near:
        return DevproxyError(f"nothing is called `{name}`", fix=did_you_mean(near))
    return DevproxyError(f"nothing is called `{name}`", fix=f"devproxy ls shows {_all_of(len(services))}")


def _is_about(problem: "Problem", name: str, registry: "Registry") -> bool:
    """Whether a service called `name` is the one that a problem is about, by its name or with its project's."""
    if not problem.service or problem.service == name:
        return problem.service == name
    folder = Path(problem.file).parent
    beside = (one.project for one in registry.services if one.project and Path(one.source.file).parent == folder)
    return any(name == f"{problem.service}.{project}" for project in beside)


def _all_of(count: int) -> str:
    return "the one service there is" if count == 1 else f"all {plural(count, 'service')}"


def complete_service(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "Items":
    """For an argument that takes any service: those of the project at hand by their names; else all by their ids."""
    file = nearest_project(Path.cwd())
    here = {service.id for service in in_project(_registered(), file)} if file is not None else set()
    own = {identity.partition(".")[0]: about for identity, about in _services(lambda one: one.id in here).items()}
    return _items(incomplete, own) or _items(incomplete, _services(lambda _: True))


def complete_own(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "Items":
    """For an argument that takes a service of the user registry."""
    return _items(incomplete, _services(lambda service: not service.project))


def complete_project(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "Items":
    """For an argument that takes a linked project."""
    return _items(incomplete, {str(service.project): "" for service in _registered() if service.project})


def _items(incomplete: str, names: dict[str, str]) -> "Items":
    """Names that begin as typed so far, each with what a shell may show beside it."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(name, help=about) for name, about in names.items() if name.startswith(incomplete)]


def _services(wanted: "Callable[[Service], bool]") -> dict[str, str]:
    return {s.id: s.upstream.text if s.upstream else "" for s in _registered() if wanted(s)}


def _registered() -> "tuple[Service, ...]":
    from devproxy.paths import Paths
    from devproxy.registry.loader import read

    try:
        return read(Paths.from_environment()).services
    except (DevproxyError, OSError):
        return ()  # a shell's prompt is no place for an error


def declared_by(registry: Registry, file: Path) -> list[Service]:
    """The services of a project file, and of the local file beside it."""
    return in_project(registry.services, file)


def in_project(services: Sequence[Service], file: Path) -> list[Service]:
    """Those of `services` that a project file declares, or the local file beside it."""
    folder = file.parent.resolve()
    return [one for one in services if one.project and Path(one.source.file).parent.resolve() == folder]


def services_meant(registry: Registry, names: Sequence[str], folder: Path) -> list[Service]:
    """The services called `names`; without names, all of the project that `folder` is in, else of the only one linked.

    A bare name is the project's own first. Raises DevproxyError.
    """
    file = nearest_project(folder)
    own = declared_by(registry, file) if file is not None else []
    if names:
        found = (find_service(registry, name, own).service for name in names)
        return list({one.id: one for one in found}.values())
    if own:
        return own
    projects = sorted({service.project for service in registry.services if service.project})
    if file is None and len(projects) == 1:
        return [service for service in registry.services if service.project == projects[0]]
    raise _none_linked(projects) if file is None else _none_of(file, registry)


def _none_of(file: Path, registry: Registry) -> DevproxyError:
    if any(Path(problem.file).parent.resolve() == file.parent.resolve() for problem in registry.problems):
        why, fix = "every service in its file has an error, or the whole file", devproxy_command("check", file)
    else:
        why = "its file is not linked yet, or declares none"
        fix = "devproxy up links it and starts its services; devproxy link only links it"
    return DevproxyError("this project has no services that could be used", why=why, fix=fix, where=str(file))


def _none_linked(projects: Sequence[Project]) -> DevproxyError:
    fix = f"go to a project's folder, or name services as in web.{projects[0]}" if projects else ""
    return DevproxyError(
        f"no {PROJECT_FILE} here or in any folder above",
        why=f"{len(projects)} projects are linked" if projects else "no project is linked either",
        fix=fix or "devproxy init writes one from what is in this folder",
        exit_code=Exit.USAGE,
    )
