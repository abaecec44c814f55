"""NAME on the command line: a service id (`web.shop`), a bare name where it is unique (`web`), or a hostname.

Lives here: finding the service that a person means, and completing names in a shell.
Not here: what a hostname routes to, paths and all (`routing/table.py`).
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from devproxy.errors import DevproxyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

    from devproxy.registry.model import Registry, Service

    Items = list[CompletionItem[Any]]


class Found(NamedTuple):
    """A service, and the hostname it was asked for by (its first one where it was asked for by name)."""

    service: "Service"
    host: str


def find_service(registry: "Registry", name: str) -> Found:
    """The service that `name` means.

    Raises DevproxyError: nothing is called so (with near-misses), or several services are (it lists them).
    """
    wanted = name.lower().rstrip(".")
    for service in registry.services:
        if service.id == wanted:
            return _found(service)
    bare = [service for service in registry.services if service.name == wanted]
    if len(bare) == 1:
        return _found(bare[0])
    if bare:
        raise DevproxyError(
            f"`{name}` is the name of {len(bare)} services",
            fix="say which: " + ", ".join(service.id for service in bare),
        )
    for host in (wanted, *(f"{wanted}.{tld}" for tld in registry.settings.tlds)):
        if holder := _holder(registry, host):
            return Found(holder, host)
    raise _unknown(registry, name)


def _found(service: "Service") -> Found:
    return Found(service, service.hosts[0] if service.hosts else "")


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


def _unknown(registry: "Registry", name: str) -> DevproxyError:
    from difflib import get_close_matches

    services = registry.services
    if not services:
        return DevproxyError(
            f"nothing is called `{name}`",
            why="no service is registered yet",
            fix=f"devproxy add {name} PORT (or, in a project's folder, devproxy link)",
        )
    names = {alias: service.id for service in services for alias in (service.name, *service.hosts, service.id)}
    near = dict.fromkeys(names[alias] for alias in get_close_matches(name.lower(), names, cutoff=0.55))
    if near:
        return DevproxyError(f"nothing is called `{name}`", fix=f"did you mean {_either(near)}?")
    return DevproxyError(f"nothing is called `{name}`", fix=f"devproxy ls shows {_all_of(len(services))}")


def _either(names: dict[str, None]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _all_of(count: int) -> str:
    return "the one service there is" if count == 1 else f"all {count} services"


def complete_service(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "Items":
    """For an argument that takes any service."""
    return _items(incomplete, _services(lambda _: True))


def complete_own(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "Items":
    """For an argument that takes a service of the user registry."""
    return _items(incomplete, _services(lambda service: not service.project))


def complete_project(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> "Items":
    """For an argument that takes a linked project."""
    return _items(incomplete, {service.project: "" for service in _registered() if service.project})


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
