"""From "run this" to a lease and a command: the steps before a session (`session.py`), put together.

The port that the service gets (its own, or a reserved one), its lease, and its command with both filled in.
Not here: each of these steps (`selection.py`, `ports.py`, `registry/leases.py`, `command.py`).
"""

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from devproxy.errors import DevproxyError, Exit
from devproxy.net.loopback import is_free
from devproxy.net.port_owner import holder
from devproxy.paths import Paths
from devproxy.registry.leases import remove_lease, replace_lease, take_lease
from devproxy.registry.loader import read
from devproxy.registry.model import Lease, ProxySettings, Registry, Service
from devproxy.registry.resolve import with_lease
from devproxy.run.command import PreparedCommand, prepare, with_certificates
from devproxy.run.ports import declared_ports, reserve
from devproxy.run.selection import SelectedService
from devproxy.storage.process_identity import start_time
from devproxy.text import devproxy_command, did_you_mean, listed, near_words
from devproxy.urls import Ports


class Launch(NamedTuple):
    """Ready to run: the service as the registry has it with its lease, the lease, the command, and `[proxy]`."""

    service: Service
    lease: Lease
    prepared: PreparedCommand
    settings: ProxySettings


def launch(
    paths: Paths,
    selected: SelectedService,
    *,
    folder: Path,
    ports: Ports,
    argv: Sequence[str] | None = None,
    force: bool = False,
) -> Launch:
    """Take the lease of a service for this process, and prepare its command (`argv`, else the registry's).

    `folder` is where it is started, `ports` as in `prepare`. Blocks. Raises DevproxyError: it runs already (unless
    `force`), its port is held, it has no command.
    """
    _refuse_other_checkout(paths, selected)
    if selected.service is None and not argv:
        raise _commandless(selected, read(paths))
    loaded: list[Registry] = []

    def make(others: tuple[Lease, ...]) -> Lease:
        # Loaded in turn with all who take a lease: the port is chosen beside theirs, and the files may be new.
        loaded.append(read(paths, leases=others))
        return _new_lease(paths, selected, folder, loaded[-1], others)

    lease = take_lease(paths, selected.id, make, force=force)
    try:
        service = _find(loaded[-1], selected.id)
        if service is not None:
            service = with_lease(service, lease)
        else:
            loaded.append(read(paths))  # a name that no file declares: the lease itself gives it to the service
            service = _find(loaded[-1], selected.id)
        if service is None:
            raise _nameless(selected)
        registry = loaded[-1]
        port = lease.port
        if isinstance(service.listens, int):  # the name leads there; for PORT there is another one
            port = _reserved_port(paths, selected, registry, {lease.port})
        prepared = prepare(service, port=port, registry=registry, ports=ports, argv=argv or None)
        prepared = with_certificates(prepared, service, paths, ports)
        if prepared.port != port:
            changed = structs.replace(lease, port=prepared.port)
            lease = changed if replace_lease(paths, lease, changed) else lease
    except BaseException:
        remove_lease(paths, lease)
        raise
    return Launch(service, lease, prepared, registry.settings)


def _find(registry: Registry, identity: str) -> Service | None:
    return next((one for one in registry.services if one.id == identity), None)


def _new_lease(
    paths: Paths, selected: SelectedService, folder: Path, registry: Registry, others: tuple[Lease, ...]
) -> Lease:
    service = _find(registry, selected.id)
    port = 0 if service is not None and not service.serves else _declared_port(selected, registry)
    if port is None:
        port = _reserved_port(paths, selected, registry, {lease.port for lease in others})
    us = os.getpid()
    return Lease(service=selected.id, port=port, pid=us, started=start_time(us) or 0.0, checkout=str(folder))


def _reserved_port(paths: Paths, selected: SelectedService, registry: Registry, others: Collection[int]) -> int:
    """A port that nobody has chosen; `others` are taken as well."""
    low, high = registry.settings.ports
    taken = {*declared_ports(registry, except_for=selected.id), *others}
    base, label = (selected.project.base, selected.project.label) if selected.project else ("", "")
    return reserve(paths, base, selected.name, label, taken=taken, low=low, high=high)


def _declared_port(selected: SelectedService, registry: Registry) -> int | None:
    """The port that its file gives it, which nobody else may have; None where it gives none."""
    service = _find(registry, selected.id)
    if service is None or (service.upstream is None and not isinstance(service.listens, int)):
        return None
    if service.upstream is not None and service.upstream.path:
        raise DevproxyError(
            f"`{service.id}` is a unix socket, {service.upstream.path}",
            why="what devproxy run starts gets a port",
            fix="start it by itself: its name leads to the socket; or take `upstream` out of its table",
            where=service.source.where,
            exit_code=Exit.USAGE,
        )
    port = service.listens if isinstance(service.listens, int) else service.upstream.port if service.upstream else 0
    if not is_free(port):
        kept = "let its program listen elsewhere, and say so in `listens`"
        free = "take `port` out of its table: devproxy run then chooses a free one"
        raise DevproxyError(
            f"port {port} of `{service.id}` is taken",
            why=f"it is held by {holder('127.0.0.1', port)}",
            fix=f"end that process, or {kept if isinstance(service.listens, int) else free}",
            where=service.source.where,
        )
    return port


def _refuse_other_checkout(paths: Paths, selected: SelectedService) -> None:
    """A name belongs to the checkout that is linked: another one of the same project would answer in its place."""
    if selected.service is None or selected.project_file is None:
        return
    here, linked = selected.project_file.parent.resolve(), Path(selected.service.source.file).parent.resolve()
    if linked in (here, paths.leases.resolve()):
        return
    link = devproxy_command("link", "--as", "two", here)
    raise DevproxyError(
        f"`{selected.id}` belongs to another checkout of `{selected.project}`",
        why=f"{selected.service.source.file} is linked, and this is {here}",
        fix=f"link this one beside it, with a word of your own in its hostnames: {link}",
        exit_code=Exit.REFUSED,
    )


def _commandless(selected: SelectedService, registry: Registry) -> DevproxyError:
    beside = selected.project_file.parent.resolve() if selected.project_file is not None else None
    own = [one.name for one in registry.services if Path(one.source.file).parent.resolve() == beside]
    if own:
        near = did_you_mean(near_words(selected.name, own))
        named = devproxy_command("run", selected.name, "--", "COMMAND")
        return DevproxyError(
            f"`{selected.project}` has no service `{selected.name}`",
            why=f"its file has {listed(own)}",
            fix=f"{near} To run a command by that name: {named}" if near else named,
            exit_code=Exit.USAGE,
        )
    linked = selected.project_file is not None
    return DevproxyError(
        f"nothing says what to run for `{selected.id}`",
        why=f"{selected.project_file} is not linked, or has no such service"
        if linked
        else "the registry has no such service",
        fix=devproxy_command("run", selected.name, "--", "COMMAND")
        if selected.project_file is None
        else devproxy_command("link", selected.project_file),
        exit_code=Exit.USAGE,
    )


def _nameless(selected: SelectedService) -> DevproxyError:
    return DevproxyError(
        f"`{selected.id}` cannot be run",
        why="its table in the registry has an error",
        fix="devproxy check says which",
    )
