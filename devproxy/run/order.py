"""Which services are started, and in which order: those that were asked for, and what they depend on. Pure.

Not here: starting them (`group.py`), cycles and unknown names, which the registry reports and leaves out (`merge.py`).
"""

from collections.abc import Iterable, Sequence

from devproxy.registry.model import Service


def in_order(services: Sequence[Service], wanted: Iterable[str]) -> list[Service]:
    """The services whose id is in `wanted` and all that they depend on, each after its dependencies."""
    known = {service.id: service for service in services}
    found: dict[str, Service] = {}

    def add(identity: str, above: tuple[str, ...]) -> None:
        service = known.get(identity)
        if service is None or identity in found or identity in above:
            return
        for other in service.depends_on:
            add(other, (*above, identity))
        found[identity] = service

    for identity in wanted:
        add(identity, ())
    return list(found.values())
