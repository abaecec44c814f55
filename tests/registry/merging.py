"""Texts to a merged registry, for the tests of the modules that merge."""

from typing import Any

import msgspec

from devproxy.registry.decode import decode_local, decode_project, decode_user
from devproxy.registry.layers import Linked, of_project
from devproxy.registry.merge import merge
from devproxy.registry.model import Project, Registry, Service
from devproxy.registry.resolve import trust_digest

BOTH = ("127.0.0.1", "::1")
USER = "/home/you/.config/devproxy/registry.toml"
SHOP = "/home/you/shop/devproxy.toml"
LOCAL = "/home/you/shop/devproxy.local.toml"


def services(registry: Registry) -> dict[str, Service]:
    """The services by id."""
    return {service.id: service for service in registry.services}


def linked(project: str, local: str | None = None, name: str = "shop", *, trusted: bool = False) -> Linked:
    """A linked project of these texts; `trusted`: with its commands as they are."""
    link = Linked(
        Project.of(name), decode_project(project, SHOP), None if local is None else decode_local(local, LOCAL)
    )
    return msgspec.structs.replace(link, trust=trust_digest(SHOP, of_project(link))) if trusted else link


def of(user: str = "", *projects: Linked, **more: Any) -> dict[str, Service]:
    """The services by id, where nothing is wrong."""
    registry = merge(decode_user(user, USER), projects, **more)
    assert registry.problems == ()
    return services(registry)
