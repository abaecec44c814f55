"""What a person can do about a service that does not run, as one line; pure.

Lives here: the fixes that several answers share. Where a colon and a blank stand in one, what follows is to be copied.
Not here: the answers (`decide.py`, `answers.py`, `gates.py`), how they look (`error_pages.py`).
"""

import shlex

from devproxy.registry.model import Service


def start(service: Service) -> str:
    """How a service that nobody answers for is started."""
    if service.awaits_requests and not service.trusted:
        return trust(service)
    if service.command:
        return f"start it: {service.command_line}"
    return f"start it, or correct its port: {service.source.file}:{service.source.line}"


def give_port(service: Service) -> str:
    """How a service gets a port that nothing says yet."""
    if service.awaits_requests and not service.trusted:
        return trust(service)
    return f"give it one: port = 3000 under [services.{service.name}], {service.source.file}:{service.source.line}"


def trust(service: Service) -> str:
    """How a request may come to start it; the local file is linked by way of the one beside it."""
    file = service.source.file
    if file.endswith(".local.toml"):
        file = file.removesuffix(".local.toml") + ".toml"
    return f"its first request may start it once its commands are trusted: devproxy link --trust {shlex.quote(file)}"
